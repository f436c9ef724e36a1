"""Files that appear whole or not at all: written aside, flushed to disk, then renamed."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; renamed onto ``path`` when the block ends well, removed when it does not.

    The temporary name keeps the suffixes of ``path``, because writers choose their format by it. Nobody can guess it: a
    link planted there would take what is written out of the folder.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".aside-{secrets.token_hex(8)}-{path.name}")
    try:
        yield aside
        with open(aside, "rb+") as written:
            os.fsync(written.fileno())
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a UTF-8 text file, whole or not at all."""
    with written_aside(path) as aside:
        aside.write_text(text, encoding="utf-8", newline="\n")
