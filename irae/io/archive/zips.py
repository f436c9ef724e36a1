"""What zips hold, also zips in zips: refused before anything is written, or unpacked under names of our own.

A member is written under a number, never under its own name, and only after the declared sizes of the whole zip fit
the limits. A member that an index remembers is unpacked again when someone asks for it (``present``).
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import threading
import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from irae.core.errors import StudyError
from irae.io.archive.codes import Outcome
from irae.io.archive.discover import Limits, printable
from irae.io.archive.values import FileOutcome, FoundFile

_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, OSError)


def is_zip(name: str, size: int) -> bool:
    """Whether a file is opened as a zip by its name; other zips are known by their content."""
    return size > 0 and name.lower().endswith(".zip")


@dataclass(slots=True)
class Budget:
    """What of the limits all zips of an archive together have left."""

    limits: Limits
    bytes_left: int = field(init=False)
    members_left: int = field(init=False)

    def __post_init__(self) -> None:
        self.bytes_left = self.limits.zip_total_bytes
        self.members_left = self.limits.zip_members

    def spend(self, members: int, total_bytes: int) -> None:
        """Takes off what a zip holds."""
        self.members_left -= members
        self.bytes_left -= total_bytes


def unpacked(
    container: FoundFile, *, depth: int, scratch: Path, budget: Budget
) -> tuple[list[FoundFile], list[FileOutcome]]:
    """Every usable member, unpacked, and rows for the others.

    Raises:
        StudyError: ``zip_bomb``, ``zip_broken`` or ``too_large`` for the zip as a whole.
    """
    if depth > budget.limits.zip_depth:
        raise StudyError(
            "zip_bomb", f"{container.name} is nested {depth} zips deep; at most {budget.limits.zip_depth} are opened"
        )
    try:
        with _opened(container) as archive:
            members = [(n, member) for n, member in enumerate(archive.infolist()) if not member.is_dir()]
            _check_claims(container, [member for _, member in members], budget, scratch)
            folder_of(container, scratch).mkdir(parents=True, exist_ok=True)
            return _members(container, archive, members, scratch)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise StudyError("zip_broken", f"{container.name} could not be unpacked: {reason}") from error


def present(file: FoundFile) -> FoundFile:
    """The file, with its bytes where its path says: a zip's member that is not unpacked now is unpacked.

    Raises:
        StudyError: ``zip_broken`` where the zip no longer gives it.
    """
    if file.container is None or file.path.exists():
        return file
    container = present(file.container)
    try:
        with _opened(container) as archive:
            member = archive.infolist()[file.number]
            if member.file_size != file.size:
                raise zipfile.BadZipFile("the zip changed since it was indexed")
            file.path.parent.mkdir(parents=True, exist_ok=True)
            _extract(archive, member, file.path)
    except (IndexError, *_BROKEN) as error:
        raise StudyError("zip_broken", f"{file.name} does not unpack: {error}") from error
    return file


def folder_of(container: FoundFile, scratch: Path) -> Path:
    """Where a zip's members lie once unpacked; another folder for the zip once it has changed."""
    outermost = container
    while outermost.container is not None:
        outermost = outermost.container
    identity = f"{outermost.where}\0{container.name}\0{container.size}\0{container.modified_ns}"
    return scratch / "unpacked" / hashlib.sha256(identity.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def path_of(name: str, number: int, folder: Path) -> Path:
    """Where a member lies: under its number, with the suffix by which NIfTI is known."""
    lower = name.lower()
    suffix = ".nii.gz" if lower.endswith(".nii.gz") else ".nii" if lower.endswith(".nii") else ""
    return folder / f"{number:07d}{suffix}"


def _opened(container: FoundFile) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(container.path)
    except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
        raise StudyError("zip_broken", f"{container.name} is not a readable zip: {error}") from error


def _members(
    container: FoundFile, archive: zipfile.ZipFile, members: list[tuple[int, zipfile.ZipInfo]], scratch: Path
) -> tuple[list[FoundFile], list[FileOutcome]]:
    folder = folder_of(container, scratch)
    files: list[FoundFile] = []
    rows: list[FileOutcome] = []
    seen: dict[str, int] = {}
    for number, member in members:
        inside = printable(member.filename)
        seen[inside] = seen.get(inside, 0) + 1
        name = f"{container.name}/{inside}" + (f"#{seen[inside]}" if seen[inside] > 1 else "")
        problem = _refused(member)
        target = path_of(name, number, folder)
        if problem is None and not (target.exists() and target.stat().st_size == member.file_size):
            try:
                _extract(archive, member, target)
            except _BROKEN as error:
                if isinstance(error, OSError) and error.errno is not None:
                    raise
                problem = ("zip_broken", f"does not unpack: {error}")
        if problem is not None:
            rows.append(FileOutcome(
                path=name, series_uid="", outcome=Outcome.QUARANTINED, code=problem[0], text=f"{name}: {problem[1]}"
            ))
            continue
        files.append(FoundFile(
            name, str(target), member.file_size, container.modified_ns, container.changed_ns, container, number
        ))
    return files, rows


def _check_claims(container: FoundFile, members: list[zipfile.ZipInfo], budget: Budget, scratch: Path) -> None:
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
    budget.spend(len(members), total)


def _refused(member: zipfile.ZipInfo) -> tuple[str, str] | None:
    if member.flag_bits & 0x1:
        return "zip_encrypted", "the member is encrypted"
    kind = stat.S_IFMT(member.external_attr >> 16)
    if kind not in (0, stat.S_IFREG):
        return "unsafe_member", "the member is a link or a device"
    inside = member.filename
    path = PurePosixPath(inside.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or re.match(r"^[A-Za-z]:", inside) or "\0" in inside:
        return "unsafe_member", "the member's name points outside the archive"
    return None


def _extract(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Writes exactly the declared size; a member that holds more or less is broken."""
    aside = target.with_name(f".aside-{os.getpid()}-{threading.get_ident()}-{target.name}")
    left = member.file_size
    try:
        with archive.open(member) as packed, open(aside, "wb") as written:
            while chunk := packed.read(1 << 20):
                left -= len(chunk)
                if left < 0:
                    raise zipfile.BadZipFile(f"more than the declared {member.file_size} bytes")
                written.write(chunk)
        if left:
            raise zipfile.BadZipFile(f"{left} bytes fewer than declared")
        os.replace(aside, target)
    finally:
        aside.unlink(missing_ok=True)
