"""Finds every file of an archive: folders of any depth, zips in them (also nested), a DICOMDIR's folder.

Nothing outside the archive is read: links are not followed, zip members are written under names of our own (never
theirs) and only after their declared sizes fit the limits. Whatever is not handed on has a row that says why.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from irae.core.errors import StudyError
from irae.io.archive.codes import Outcome
from irae.io.archive.values import FileOutcome, FoundFile


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


@dataclass(slots=True)
class Found:
    """The files to look into, and rows for what was not handed on."""

    files: list[FoundFile] = field(default_factory=list)
    outcomes: list[FileOutcome] = field(default_factory=list)

    def row(self, name: str, outcome: Outcome, code: str, text: str) -> None:
        """Adds the row of a file that goes no further."""
        self.outcomes.append(FileOutcome(path=name, series_uid="", outcome=outcome, code=code, text=text))


def discover(source: Path, *, scratch: Path, limits: Limits = LIMITS) -> Found:
    """Every file under a folder, in a zip, or beside a DICOMDIR.

    Args:
        source: A folder, a .zip, a DICOMDIR file, or one image file.
        scratch: A folder of ours for unpacked members; reused while the zip is unchanged.
        limits: What is refused.

    Returns:
        Files in a stable order (by name), and rows for the rest.

    Raises:
        ValueError: If the source does not exist.
    """
    if not source.exists():
        raise ValueError(f"archive {source} does not exist")
    found = Found()
    source = source.resolve()
    if source.is_dir():
        _walk(source, source, found)
    elif source.name.upper() == "DICOMDIR":
        _walk(source.parent, source.parent, found)
    else:
        found.files.append(FoundFile(source.name, source, source.stat().st_size))
    _unpack_zips(found, scratch, limits)
    found.files.sort(key=lambda file: file.name)
    _check_directory_records(found)
    return found


def printable(path: str) -> str:
    """A path as valid, one-line text: undecodable bytes and control characters are escaped."""
    text = os.fsencode(path).decode("utf-8", "backslashreplace")
    return re.sub(r"[\x00-\x1f\x7f]", lambda m: f"\\x{ord(m.group()):02x}", text)


def _walk(folder: Path, root: Path, found: Found) -> None:
    pending = [str(folder)]
    while pending:
        here = pending.pop()
        try:
            entries = sorted(os.scandir(here), key=lambda entry: entry.name)
        except OSError as error:
            name = printable(os.path.relpath(here, root))
            found.row(name, Outcome.QUARANTINED, "unreadable", f"folder {name} cannot be listed: {error.strerror}")
            continue
        for entry in entries:
            name = printable(os.path.relpath(entry.path, root))
            try:
                info = entry.stat(follow_symlinks=False)
            except OSError as error:
                found.row(name, Outcome.QUARANTINED, "unreadable", f"{name} cannot be looked at: {error.strerror}")
                continue
            if stat.S_ISLNK(info.st_mode):
                found.row(name, Outcome.IGNORED, "symbolic_link", f"{name} is a link; links are not followed")
            elif stat.S_ISDIR(info.st_mode):
                pending.append(entry.path)
            elif not stat.S_ISREG(info.st_mode):
                found.row(name, Outcome.IGNORED, "not_a_regular_file", f"{name} is not a regular file")
            else:
                found.files.append(FoundFile(name, Path(entry.path), info.st_size))


def _unpack_zips(found: Found, scratch: Path, limits: Limits) -> None:
    budget = _Budget(limits)
    pending = [(file, 1) for file in found.files if _is_zip(file)]
    found.files = [file for file in found.files if not _is_zip(file)]
    while pending:
        container, depth = pending.pop()
        if depth > limits.zip_depth:
            found.row(container.name, Outcome.QUARANTINED, "zip_bomb",
                      f"{container.name} is nested {depth} zips deep; at most {limits.zip_depth} are opened")
            continue
        inner = Found()
        try:
            members = list(_members(container, scratch, budget, inner))
        except StudyError as error:
            found.row(container.name, Outcome.QUARANTINED, error.code, error.text)
            continue
        except OSError as error:
            reason = error.strerror or type(error).__name__
            found.row(container.name, Outcome.QUARANTINED, "zip_broken",
                      f"{container.name} could not be unpacked: {reason}")
            continue
        found.outcomes.extend(inner.outcomes)
        count = len(members) + len(inner.outcomes)
        found.row(container.name, Outcome.USED, "container", f"{container.name} was opened; it holds {count} files")
        for member in members:
            if _is_zip(member):
                pending.append((member, depth + 1))
            else:
                found.files.append(member)


def _is_zip(file: FoundFile) -> bool:
    return file.name.lower().endswith(".zip") and file.size > 0


@dataclass(slots=True)
class _Budget:
    limits: Limits
    bytes_left: int = field(init=False)
    members_left: int = field(init=False)

    def __post_init__(self) -> None:
        self.bytes_left = self.limits.zip_total_bytes
        self.members_left = self.limits.zip_members


def _members(container: FoundFile, scratch: Path, budget: _Budget, found: Found) -> Iterator[FoundFile]:
    info = container.path.stat()
    identity = f"{container.path}\0{info.st_size}\0{info.st_mtime_ns}"
    folder = scratch / "unpacked" / hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    try:
        archive = zipfile.ZipFile(container.path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise StudyError("zip_broken", f"{container.name} is not a readable zip: {error}") from error
    with archive:
        members = [member for member in archive.infolist() if not member.is_dir()]
        _check_claims(container, members, budget, scratch)
        folder.mkdir(parents=True, exist_ok=True)
        seen: dict[str, int] = {}
        for number, member in enumerate(members):
            inside = printable(member.filename)
            seen[inside] = seen.get(inside, 0) + 1
            suffix = f"#{seen[inside]}" if seen[inside] > 1 else ""
            name = f"{container.name}/{inside}{suffix}"
            refusal = _refused(member, inside)
            if refusal is not None:
                found.row(name, Outcome.QUARANTINED, refusal[0], f"{name}: {refusal[1]}")
                continue
            target = folder / f"{number:07d}{_kept_suffix(inside)}"
            if not (target.exists() and target.stat().st_size == member.file_size):
                try:
                    _extract(archive, member, target)
                except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError) as error:
                    target.unlink(missing_ok=True)
                    if isinstance(error, OSError) and error.errno is not None:
                        raise
                    found.row(name, Outcome.QUARANTINED, "zip_broken", f"{name} does not unpack: {error}")
                    continue
            yield FoundFile(name, target, member.file_size)


def _check_claims(container: FoundFile, members: list[zipfile.ZipInfo], budget: _Budget, scratch: Path) -> None:
    limits = budget.limits
    total = sum(member.file_size for member in members)
    largest = max((member.file_size for member in members), default=0)
    ratio = total / max(container.size, 1)
    problems = (
        (len(members) > budget.members_left, f"{len(members)} members; {budget.members_left} are left of the limit"),
        (largest > limits.zip_member_bytes, f"a member of {largest} bytes; at most {limits.zip_member_bytes}"),
        (total > budget.bytes_left, f"{total} bytes unpacked; {budget.bytes_left} are left of the limit"),
        (total > limits.zip_ratio_from_bytes and ratio > limits.zip_ratio,
         f"it unpacks to {ratio:.0f} times its size; at most {limits.zip_ratio:g}"),
    )
    for wrong, text in problems:
        if wrong:
            raise StudyError("zip_bomb", f"{container.name}: {text}", where=container.name)
    scratch.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(scratch).free - limits.disk_reserve_bytes
    if total > free:
        raise StudyError("too_large", f"{container.name}: {total} bytes to unpack, {max(free, 0)} free on disk")
    budget.members_left -= len(members)
    budget.bytes_left -= total


def _refused(member: zipfile.ZipInfo, inside: str) -> tuple[str, str] | None:
    if member.flag_bits & 0x1:
        return "zip_encrypted", "the member is encrypted"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "unsafe_member", "the member is a link or a device"
    path = PurePosixPath(inside.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"^[A-Za-z]:", inside) or "\\x00" in inside:
        return "unsafe_member", "the member's name points outside the archive"
    return None


def _kept_suffix(inside: str) -> str:
    lower = inside.lower()
    return ".nii.gz" if lower.endswith(".nii.gz") else ".nii" if lower.endswith(".nii") else ""


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Writes at most the declared size; a member that holds more is broken."""
    aside = target.with_name(f".aside-{os.getpid()}-{target.name}")
    left = member.file_size
    try:
        with archive.open(member) as packed, open(aside, "wb") as unpacked:
            while chunk := packed.read(1 << 20):
                left -= len(chunk)
                if left < 0:
                    raise zipfile.BadZipFile(f"more than the declared {member.file_size} bytes")
                unpacked.write(chunk)
        if left:
            raise zipfile.BadZipFile(f"{left} bytes fewer than declared")
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)


def _check_directory_records(found: Found) -> None:
    """Rows for each DICOMDIR, and for images it names that are not there or lie outside."""
    records = [file for file in found.files if PurePosixPath(file.name).name.upper() == "DICOMDIR"]
    if not records:
        return
    names = {file.name.upper() for file in found.files}
    for record in records:
        folder = PurePosixPath(record.name).parent
        references = _references(record.path)
        if references is None:
            continue  # not a DICOMDIR at all; it is looked into like any other file
        found.files.remove(record)
        missing = 0
        for parts in references:
            if any(part in ("..", "") or "/" in part or "\\" in part or ":" in part for part in parts):
                name = f"{record.name}->{printable('/'.join(parts))}"
                found.row(name, Outcome.QUARANTINED, "unsafe_reference", f"{name} points outside the disc")
            elif str(folder.joinpath(*parts)).upper() not in names:
                missing += 1
                name = f"{record.name}->{printable('/'.join(parts))}"
                found.row(name, Outcome.QUARANTINED, "missing_referenced_file", f"{name} is not there")
        found.row(record.name, Outcome.USED, "directory_record",
                  f"{record.name} names {len(references)} files, {missing} of them missing")


def _references(path: Path) -> list[tuple[str, ...]] | None:
    from pydicom import dcmread
    from pydicom.multival import MultiValue

    try:
        dataset = dcmread(path)
        rows = dataset.DirectoryRecordSequence
        named = [row.ReferencedFileID for row in rows if "ReferencedFileID" in row]
    except Exception:  # any parser error means that it is no DICOMDIR
        return None
    return [tuple(map(str, n)) if isinstance(n, MultiValue | list) else (str(n),) for n in named]
