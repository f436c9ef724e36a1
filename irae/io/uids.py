"""Unique identifiers that follow from what they name: the same words give the same UID, on every machine."""

from __future__ import annotations

import hashlib
import uuid


def uid_of(*words: str) -> str:
    """A DICOM UID under the UUID root (PS3.5 B.2), derived from words by SHA-256.

    >>> uid_of("track", "P01", "L07") == uid_of("track", "P01", "L07") != uid_of("track", "P01", "L08")
    True
    >>> uid_of("track", "P01", "L07").startswith("2.25."), len(uid_of("a")) <= 64
    (True, True)
    """
    # Each word is measured before it is hashed, so that ("ab", "c") and ("a", "bc") differ.
    named = "".join(f"{len(word)}:{word}" for word in words)
    digest = hashlib.sha256(named.encode()).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"
