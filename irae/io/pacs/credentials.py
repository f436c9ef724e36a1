"""Who we are to a DICOMweb server: from the environment or a file, never from a command line, never printed."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

USER, PASSWORD, TOKEN = "IRAE_PACS_USER", "IRAE_PACS_PASSWORD", "IRAE_PACS_TOKEN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """A user with a password, or a bearer token, or nothing. Its repr shows none of them."""

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if self.token and self.user:
            raise ValueError("credentials hold both a token and a user; needed is one of them")
        if self.password and not self.user:
            raise ValueError("credentials hold a password without its user")

    def __bool__(self) -> bool:
        return bool(self.user or self.token)


def read_credentials(file: Path | None = None, *, environment: Mapping[str, str] = os.environ) -> Credentials:
    """Credentials of a file, else of the environment.

    Args:
        file: JSON: ``{"user": ..., "password": ...}`` or ``{"token": ...}``; readable by its owner alone.
        environment: Where IRAE_PACS_USER, IRAE_PACS_PASSWORD and IRAE_PACS_TOKEN may stand.

    Raises:
        ValueError: If the file is missing, open to others, or not of that form. What it holds is never repeated.
    """
    if file is None:
        return Credentials(
            user=environment.get(USER, ""), password=environment.get(PASSWORD, ""), token=environment.get(TOKEN, "")
        )
    try:
        mode = file.stat().st_mode
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"credentials file {file} cannot be read") from error
    if mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise ValueError(f"credentials file {file} is open to others (mode {stat.S_IMODE(mode):o}); chmod 600 it")
    try:
        said = json.loads(text)
    except ValueError:
        said = None
    if not isinstance(said, dict) or not said.keys() <= {"user", "password", "token"} \
            or not all(isinstance(value, str) for value in said.values()):
        raise ValueError(f'credentials file {file} must hold {{"user": ..., "password": ...}} or {{"token": ...}}')
    return Credentials(**said)
