"""The catalogue of an archive: one SQLite file that holds what was read of each file and what was decided.

It is what keeps memory flat: headers and rows lie on disk and are loaded a series at a time. Kept (``save``), it is
what makes the next index incremental. The kept one is only ever replaced as a whole, so an index that finds nothing
changed reads it as it is, under a second name in the scratch folder; before anything is entered, the index takes a
copy of its own there. Its content is JSON: nothing in it is executed, and a checksum at its end tells damage.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, overload

from irae import __version__
from irae.io.archive.codes import Outcome
from irae.io.archive.headers import Header
from irae.io.archive.values import FileOutcome, FoundFile
from irae.io.archive.zips import folder_of, path_of
from irae.io.atomic import written_aside

_SCHEMA = """
CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE templates (id INTEGER PRIMARY KEY, content TEXT NOT NULL);
CREATE TABLE files (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, raw_path BLOB, size INTEGER NOT NULL,
    modified_ns INTEGER NOT NULL, changed_ns INTEGER NOT NULL, container TEXT, number INTEGER,
    kind TEXT NOT NULL, template INTEGER, header TEXT, patient TEXT, uid TEXT, study TEXT, sop TEXT,
    own TEXT, verdict TEXT, sha256 TEXT, plan TEXT, position INTEGER, run INTEGER NOT NULL);
CREATE INDEX files_of_a_zip ON files (container) WHERE container IS NOT NULL;
CREATE INDEX files_of_a_plan ON files (plan) WHERE plan IS NOT NULL;
CREATE TABLE plans (key TEXT PRIMARY KEY, content TEXT NOT NULL);
"""
MADE_UID = "no-uid-"  # what begins the UID of a series whose files name none
_FORMAT = "1"
_CHECKSUM_BYTES = 4
_CHUNK = 1 << 18
_MOST_CHANGES = 30  # more values than this differ from the last header: it becomes a template of its own


_encoded = json.JSONEncoder(separators=(",", ":")).encode  # made once: json.dumps would make one for each header


class CatalogueError(Exception):
    """A kept catalogue that cannot be used; its text says why."""


class Catalogue:
    """The catalogue while it is made; afterwards everything is read through ``Shelf``.

    Args:
        path: Its file, in the scratch folder.
        root: The archive.
        scratch: Where zip members are unpacked.
        own: Whether nobody else has the file, so that it may be written to.
    """

    def __init__(self, path: Path, root: Path, scratch: Path, *, own: bool = True) -> None:
        self.shelf = Shelf(path=path, root=root, scratch=scratch)
        self._own = own
        self.db = sqlite3.connect(f"{path.as_uri()}?mode={'rwc' if own else 'ro'}", uri=True, isolation_level=None)
        self.db.execute("PRAGMA journal_mode=OFF")  # a private copy: what breaks off is thrown away
        self.db.execute("PRAGMA synchronous=OFF")
        self._template: tuple[int, dict[str, Any]] | None = None

    @classmethod
    def new(cls, root: Path, scratch: Path) -> Catalogue:
        """An empty one."""
        catalogue = cls(_private(scratch), root, scratch)
        catalogue.db.executescript(_SCHEMA)
        catalogue.note(format=_FORMAT, program=program_digest(), root=str(root))
        return catalogue

    @classmethod
    def kept(cls, kept: Path, root: Path, scratch: Path) -> Catalogue:
        """A kept one, to be read; to be written to as ``owned``.

        Raises:
            CatalogueError: If it is damaged, or not of this archive and this program.
        """
        path = _private(scratch)
        with ExitStack() as undo:
            undo.callback(path.unlink, missing_ok=True)
            try:
                _link(kept, path)
                _check(path)
                catalogue = cls(path, root, scratch, own=False)
                undo.callback(catalogue.close)
                about = catalogue.about()
            except (sqlite3.Error, OSError) as error:
                raise CatalogueError(f"it does not read ({type(error).__name__})") from error
            for key, expected in (("format", _FORMAT), ("program", program_digest()), ("root", str(root))):
                if about.get(key) != expected:
                    what = "archive" if key == "root" else "version of this program"
                    raise CatalogueError(f"it was made for another {what}")
            undo.pop_all()
        return catalogue

    def owned(self) -> Catalogue:
        """This catalogue, or where others have its file, it is closed for one of the same content with its own."""
        if self._own:
            return self
        self.close()
        path = _private(self.shelf.scratch)
        shutil.copyfile(self.shelf.path, path)
        os.truncate(path, path.stat().st_size - _CHECKSUM_BYTES)
        self.shelf.path.unlink()
        return Catalogue(path, self.shelf.root, self.shelf.scratch)

    def save(self, kept: Path) -> None:
        """Replaces a kept catalogue by this one; whole or not at all."""
        with written_aside(kept) as aside:
            checksum = 0
            with open(self.shelf.path, "rb") as source, open(aside, "wb") as target:
                while chunk := source.read(_CHUNK):
                    checksum = zlib.crc32(chunk, checksum)
                    target.write(chunk)
                target.write(checksum.to_bytes(_CHECKSUM_BYTES, "big"))

    def close(self) -> None:
        """Closes the file; what was handed out stays readable."""
        self.db.close()

    def about(self) -> dict[str, str]:
        """What was noted."""
        return dict(self.db.execute("SELECT key, value FROM about"))

    def note(self, **values: str) -> None:
        """Notes facts about the catalogue as a whole."""
        self.db.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", values.items())

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Groups changes: much faster than one by one."""
        self.db.execute("BEGIN")
        yield
        self.db.execute("COMMIT")

    def headers(self, where: str, values: Sequence[Any]) -> Iterator[Header]:
        """Headers of the files that a condition names, also those just entered."""
        return _headers(self.shelf, self.rows, where, values)

    def rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, also those just entered."""
        yield from self.db.execute(query, values)

    def packed(self, header: Header) -> tuple[int, str]:
        """(template, content): a header as what differs from the one the last template was made of."""
        known = self._template
        if known is not None:
            same = known[1]
            changed = {word: value for word, value in header.values.items() if same.get(word) != value}
            gone = [word for word in same if word not in header.values]
            if len(changed) + len(gone) > _MOST_CHANGES:
                known = None
        if known is None:
            content = json.dumps(_coded(header.values))
            number = self.db.execute("INSERT INTO templates (content) VALUES (?)", (content,)).lastrowid or 0
            self._template, changed, gone = (number, dict(header.values)), {}, []
        else:
            number = known[0]
        rest = [_coded(changed), gone, header.syntax, sorted(header.bad), header.pixels, header.has_pixels]
        return number, _encoded(rest)


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where a catalogue lies; opens it for each look, so that it may go to threads and other processes."""

    path: Path
    root: Path
    scratch: Path

    def rows(self, query: str, values: Sequence[Any] = ()) -> Iterator[tuple[Any, ...]]:
        """The rows of a query, as they are found."""
        with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as db:
            yield from db.execute(query, values)

    def headers(self, where: str, values: Sequence[Any]) -> Iterator[Header]:
        """Headers of the files that a condition names."""
        return _headers(self, self.rows, where, values)


_Rows = Callable[[str, Sequence[Any]], Iterator[tuple[Any, ...]]]
FILE = "name, raw_path, container, number, size, modified_ns, changed_ns"  # the columns that ``file_of`` takes


def file_of(shelf: Shelf, rows: _Rows, row: Sequence[Any], known: dict[str, FoundFile]) -> FoundFile:
    """A row of ``files`` as a file; ``known`` keeps the zips it met."""
    name, raw_path, zipped, number, size, modified_ns, changed_ns = row
    if zipped is None:
        where = f"{shelf.root}/{name}" if raw_path is None else os.fsdecode(raw_path)
        return FoundFile(name, where, size, modified_ns, changed_ns)
    if zipped not in known:
        query = f"SELECT {FILE} FROM files WHERE name = ?"  # noqa: S608 - columns are ours
        known[zipped] = file_of(shelf, rows, next(rows(query, (zipped,))), known)
    where = str(path_of(name, number, folder_of(known[zipped], shelf.scratch)))
    return FoundFile(name, where, size, modified_ns, changed_ns, known[zipped], number)


def _headers(shelf: Shelf, rows: _Rows, where: str, values: Sequence[Any]) -> Iterator[Header]:
    templates: dict[int, dict[str, Any]] = {}
    known: dict[str, FoundFile] = {}
    query = f"SELECT template, header, {FILE} FROM files WHERE {where}"  # noqa: S608 - conditions are ours
    for number, header, *columns in rows(query, values):
        if number not in templates:
            content = next(rows("SELECT content FROM templates WHERE id = ?", (number,)))[0]
            templates[number] = _decoded(json.loads(content))
        changed, gone, syntax, bad, pixels, has_pixels = json.loads(header)
        found = {**templates[number], **_decoded(changed)}
        for word in gone:
            del found[word]
        file = file_of(shelf, rows, columns, known)
        yield Header(file, found, syntax, frozenset(bad), tuple(pixels) if pixels else None, has_pixels)


class _Stored(Sequence[Any]):
    """A sequence that lies in a catalogue; its length is known, the rest is loaded when looked at."""

    def __init__(self, shelf: Shelf, plan: str, count: int) -> None:
        self._shelf, self._plan, self._count = shelf, plan, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Any]:
        return iter(self._loaded())

    @overload
    def __getitem__(self, index: int) -> Any: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Any]: ...
    def __getitem__(self, index: int | slice) -> Any:
        if index == 0 and self._count:
            return next(iter(self._loaded(1)))
        return self._loaded()[index]

    def _loaded(self, most: int = -1) -> tuple[Any, ...]:
        raise NotImplementedError


class StoredFiles(_Stored):
    """The files of a planned series, in slice order."""

    def _loaded(self, most: int = -1) -> tuple[FoundFile, ...]:
        known: dict[str, FoundFile] = {}
        query = f"SELECT {FILE} FROM files WHERE plan = ? ORDER BY position LIMIT ?"  # noqa: S608 - columns are ours
        return tuple(
            file_of(self._shelf, self._shelf.rows, row, known) for row in self._shelf.rows(query, (self._plan, most))
        )


class StoredHeaders(_Stored):
    """The headers of a planned series, by file name; of a multi-frame object one for each frame."""

    def __init__(self, shelf: Shelf, plan: str, count: int, *, enhanced: bool = False) -> None:
        super().__init__(shelf, plan, count)
        self._enhanced = enhanced

    def _loaded(self, most: int = -1) -> tuple[Header, ...]:
        found = tuple(self._shelf.headers("plan = ? ORDER BY name LIMIT ?", (self._plan, most)))
        if self._enhanced and (self._count > 1 or most != 1):
            from irae.io.archive.enhanced import frames_of
            from irae.io.archive.zips import present

            present(found[0].file)
            return frames_of(found[0])
        return found


class StoredRows(Sequence[FileOutcome]):
    """One row for every file of an index, by name."""

    def __init__(self, shelf: Shelf, fates: dict[str, tuple[Outcome, str, str, str]]) -> None:
        self._shelf, self._fates = shelf, fates  # by plan: outcome, code, text, series UID
        self._count = next(shelf.rows("SELECT COUNT(*) FROM files"))[0]

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[FileOutcome]:
        query = "SELECT name, uid, COALESCE(verdict, own), plan FROM files ORDER BY name"
        for name, uid, said, plan in self._shelf.rows(query):
            if said is None:
                outcome, code, text, uid = self._fates[plan]
            else:
                value, code, text = json.loads(said)
                outcome, uid = Outcome(value), uid or ""
                uid = "" if uid.startswith(MADE_UID) else uid
            yield FileOutcome(path=name, series_uid=uid, outcome=outcome, code=code, text=text)

    @overload
    def __getitem__(self, index: int) -> FileOutcome: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[FileOutcome]: ...
    def __getitem__(self, index: int | slice) -> FileOutcome | Sequence[FileOutcome]:
        return tuple(self)[index]


def said(outcome: Outcome, code: str, text: str) -> str:
    """A verdict as the catalogue keeps it."""
    return json.dumps([outcome.value, code, text])


@lru_cache(maxsize=1)
def program_digest() -> str:
    """Stands for the program that judges: a catalogue made by another one is made anew."""
    here = Path(__file__).resolve().parent
    digest = hashlib.sha256(__version__.encode())
    for folder in (here, here.parent, here.parents[1] / "quant"):
        for path in sorted(folder.glob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()


def _private(scratch: Path) -> Path:
    scratch.mkdir(parents=True, exist_ok=True)
    return scratch.resolve() / f"catalogue-{uuid.uuid4().hex}.sqlite"


def _link(kept: Path, path: Path) -> None:
    """A second name for a kept catalogue, so that it stays when another process replaces it; else a copy."""
    try:
        os.link(kept, path)
    except OSError:  # another file system, or one without links
        shutil.copyfile(kept, path)


def _check(path: Path) -> None:
    """Compares a kept catalogue with its checksum.

    Raises:
        CatalogueError: If it is not its content's.
    """
    left = path.stat().st_size - _CHECKSUM_BYTES
    checksum, buffer = 0, memoryview(bytearray(_CHUNK))
    with open(path, "rb", buffering=0) as source:
        while left > 0 and (count := source.readinto(buffer[:left])):
            checksum = zlib.crc32(buffer[:count], checksum)
            left -= count
        if left or source.read() != checksum.to_bytes(_CHECKSUM_BYTES, "big"):
            raise CatalogueError("it is damaged, or no index of this program")


def _coded(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        word: {"bytes": value.decode("latin-1")} if isinstance(value, bytes) else value
        for word, value in values.items()
    }


def _decoded(values: dict[str, Any]) -> dict[str, Any]:
    return {
        word: tuple(value) if isinstance(value, list) else value["bytes"].encode("latin-1")
        if isinstance(value, dict) else value
        for word, value in values.items()
    }
