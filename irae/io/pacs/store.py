"""A folder of DICOM files written by us: one instance once, whole or not at all, under names we made safe."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from irae.io.atomic import written_aside

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_ASIDE = ".aside-"


class RefusedError(Exception):
    """An instance that is not stored.

    Attributes:
        status: The C-STORE status that says so (PS3.4 B.2.3).
        code: ``not_dicom``, ``uid_missing``, ``wrong_instance``, ``conflicting_instance`` or ``disk_full``.
    """

    def __init__(self, status: int, code: str, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code


def is_uid(text: str) -> bool:
    """Whether a text has a UID's form (leading zeros, which some devices write, are let pass)."""
    return len(text) <= 64 and _UID.fullmatch(text) is not None


def name_of(uid: str) -> str:
    """A file name for a UID: itself where it has a UID's form, else a hash of it.

    >>> name_of("1.2.840.1"), name_of("../../etc/passwd")
    ('1.2.840.1', 'x-3754d6cb3a38e1185e5b382d5f3ef3f118af75bf')
    """
    return uid if is_uid(uid) else f"x-{hashlib.sha256(uid.encode('utf-8', 'surrogateescape')).hexdigest()[:40]}"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Makes the folder if needed and holds it; a second process is refused.

    Raises:
        ValueError: If another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise ValueError(f"another process is writing to {folder}") from error
        yield
    finally:
        os.close(held)


class Store:
    """``<study>/<series>/<instance>.dcm`` under one folder. Safe to use from several threads of one process.

    Hold the folder with :func:`alone` while a store on it is in use: what an earlier process left half-written is
    cleared away when the store is made.
    """

    def __init__(self, folder: Path, *, disk_reserve_bytes: int) -> None:
        self.folder = folder
        self.disk_reserve_bytes = disk_reserve_bytes
        self._lock = threading.Lock()
        self._held: dict[str, Path] = {}
        for here, _, names in os.walk(folder):
            for name in names:
                if name.startswith(_ASIDE):
                    Path(here, name).unlink()
                elif name.endswith(".dcm"):
                    self._held[name.removesuffix(".dcm")] = Path(here, name)

    def path_of(self, study_uid: str, series_uid: str, instance_uid: str) -> Path:
        """Where an instance lies, or would."""
        return self.folder / name_of(study_uid) / name_of(series_uid) / f"{name_of(instance_uid)}.dcm"

    def holds(self, study_uid: str, series_uid: str, instance_uid: str) -> bool:
        """Whether the instance is there, in that series."""
        return self._held.get(name_of(instance_uid)) == self.path_of(study_uid, series_uid, instance_uid)

    def add(self, content: bytes, *, announced_uid: str | None = None) -> bool:
        """Keeps one instance.

        Args:
            content: The bytes of a DICOM file.
            announced_uid: The SOP Instance UID its sender announced; must be the one inside.

        Returns:
            False if it was there already, with equal content.

        Raises:
            RefusedError: If it is no DICOM, has no UIDs, differs from what is there, or the disk is full.
        """
        study_uid, series_uid, instance_uid = _uids_of(content)
        if announced_uid is not None and announced_uid != instance_uid:
            raise RefusedError(0xA900, "wrong_instance", "the UID announced is not the one of the data set")
        path = self.path_of(study_uid, series_uid, instance_uid)
        with self._lock:
            held = self._held.get(path.stem)
            if held is not None:
                if held == path and _same(content, held):
                    return False
                raise RefusedError(
                    0xC111, "conflicting_instance", f"differs from the instance stored before as {held.name}"
                )
            try:
                self._write(path, content)
            except OSError as error:
                raise RefusedError(0xA700, "disk_full", f"cannot be written: {error.strerror}") from error
            self._held[path.stem] = path
        return True

    def _write(self, path: Path, content: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        free = shutil.disk_usage(self.folder).free - self.disk_reserve_bytes
        if len(content) > free:
            raise RefusedError(
                0xA700, "disk_full",
                f"{len(content)} bytes to write, {max(free, 0)} free beside the reserve of {self.disk_reserve_bytes}",
            )
        with written_aside(path) as aside:
            aside.write_bytes(content)


def _uids_of(content: bytes) -> tuple[str, str, str]:
    from pydicom import dcmread

    names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    try:
        header = dcmread(BytesIO(content), specific_tags=list(names), stop_before_pixels=True)
        study, series, instance = (str(header.get(name) or "").strip() for name in names)
    except Exception as error:  # a damaged header raises anything; the data may not be repeated
        raise RefusedError(0xC000, "not_dicom", f"the data set cannot be read ({type(error).__name__})") from error
    if not (study and series and instance):
        raise RefusedError(0xA900, "uid_missing", "the study, series or SOP Instance UID is missing")
    return study, series, instance


def _same(content: bytes, path: Path) -> bool:
    """Whether two instances hold the same; file meta information (who sent it) does not count."""
    from pydicom import dcmread

    if content == path.read_bytes():
        return True
    try:
        return bool(dcmread(BytesIO(content)) == dcmread(path))
    except Exception:  # not readable in full, so not shown to be the same
        return False
