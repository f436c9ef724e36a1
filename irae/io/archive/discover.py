"""Finds every file of an archive: folders of any depth, in a stable order, with what tells whether a file changed.

Nothing outside the archive is read and links are not followed. Whatever is not handed on has a row that says why.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from irae.io.archive.codes import Outcome
from irae.io.archive.values import FileOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much an archive may claim before it is refused. Design values, far above any study."""

    zip_depth: int = 3
    zip_members: int = 500_000
    zip_member_bytes: int = 8 * 2**30
    zip_total_bytes: int = 256 * 2**30
    zip_ratio: float = 200.0  # DICOM of air compresses 50 to 100 times; a deflate bomb 1000 times
    zip_ratio_from_bytes: int = 64 * 2**20  # small files may compress as they like
    disk_reserve_bytes: int = 1 * 2**30
    volume_bytes: int = 16 * 2**30  # one series as float32


LIMITS = Limits()
_KIND = 0o170000  # the bits of a mode that say what it is


@dataclass(slots=True)
class Folder:
    """The files that lie directly in one folder.

    Attributes:
        path: Where it lies.
        name: Its name inside the archive, with a slash at the end; empty for the top.
        entries: (file name, size, modified ns, changed ns), by name.
        rows: What lies in it and is not handed on.
    """

    path: str
    name: str
    entries: list[tuple[str, int, int, int]] = field(default_factory=list)
    rows: list[FileOutcome] = field(default_factory=list)

    def refuse(self, name: str, outcome: Outcome, code: str, text: str) -> None:
        """Adds the row of something that goes no further."""
        self.rows.append(FileOutcome(path=name, series_uid="", outcome=outcome, code=code, text=text))


def root_of(source: Path) -> Path:
    """The folder that names inside the archive start from."""
    source = source.resolve()
    return source if source.is_dir() else source.parent


def folders(source: Path) -> Iterator[Folder]:
    """Every folder of an archive with its files, in a stable order; one folder of one file where it is a file.

    Args:
        source: A folder, a .zip, a DICOMDIR file (its folder is taken), or one image file.

    Raises:
        ValueError: If the source does not exist, or is a FIFO, socket or device.
    """
    if not source.exists():
        raise ValueError(f"archive {source} does not exist")
    if not (source.is_dir() or source.is_file()):
        raise ValueError(f"archive {source} is neither a folder nor a file")
    source = source.resolve()
    if source.is_dir() or source.name.upper() == "DICOMDIR":
        yield from _walk(str(root_of(source)))
    else:
        info = source.stat()
        yield Folder(
            str(source.parent), "", [(source.name, info.st_size, info.st_mtime_ns, info.st_ctime_ns)]
        )


def _walk(top: str) -> Iterator[Folder]:
    pending = [(top, "")]
    while pending:
        path, name = pending.pop()
        folder = Folder(path, name)
        try:
            # Entries are looked at relative to the open folder: the kernel need not walk the path for each.
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        except OSError as error:
            shown = name.rstrip("/") or "."
            folder.refuse(
                shown, Outcome.QUARANTINED, "unreadable", f"folder {shown} cannot be listed: {error.strerror}"
            )
            yield folder
            continue
        try:
            below = _listed(descriptor, folder)
        finally:
            os.close(descriptor)
        pending.extend((f"{path}/{sub}", f"{name}{printable(sub)}/") for sub in reversed(below))
        yield folder


def _listed(descriptor: int, folder: Folder) -> list[str]:
    """Fills a folder from its descriptor, by name; the names of the folders in it, in order."""
    below: list[str] = []
    for name in sorted(os.listdir(descriptor)):
        try:
            info = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except OSError as error:
            shown = folder.name + printable(name)
            folder.refuse(shown, Outcome.QUARANTINED, "unreadable", f"{shown} cannot be looked at: {error.strerror}")
            continue
        mode = info.st_mode
        if mode & _KIND == stat.S_IFREG:
            folder.entries.append((name, info.st_size, info.st_mtime_ns, info.st_ctime_ns))
        elif stat.S_ISDIR(mode):
            below.append(name)
        else:
            shown = folder.name + printable(name)
            if stat.S_ISLNK(mode):
                folder.refuse(shown, Outcome.IGNORED, "symbolic_link", f"{shown} is a link; links are not followed")
            else:
                folder.refuse(shown, Outcome.IGNORED, "not_a_regular_file", f"{shown} is not a regular file")
    return below


class Fingerprint:
    """What the whole archive looks like from outside: names, sizes and times of every file, in one digest."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def over(self, found: Iterable[Folder]) -> Iterator[Folder]:
        """Hands folders on and takes each into the digest."""
        for folder in found:
            columns = list(zip(*folder.entries, strict=True))
            names = [folder.name, *(columns[0] if columns else ()), *(row.path for row in folder.rows)]
            self._digest.update("\0".join(names).encode("utf-8", "surrogateescape"))
            for numbers in columns[1:]:
                self._digest.update(array("q", numbers))
            yield folder

    def of(self, found: Iterable[Folder]) -> str:
        """The digest over all folders."""
        for _ in self.over(found):
            pass
        return self.value

    @property
    def value(self) -> str:
        """The digest over what was handed on until now."""
        return self._digest.hexdigest()


def printable(path: str) -> str:
    """A path as valid, one-line text: undecodable bytes and control characters are escaped."""
    if path.isascii() and path.isprintable():
        return path
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\x{ord(m.group()):02x}", text)
