"""Where a source is: ``dicomweb+https://host:port/root`` or ``dimse://AET@host:port``. Never a password."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import urlsplit

_FORMS = "dicomweb+https://HOST[:PORT]/ROOT, dicomweb+http://HOST[:PORT]/ROOT or dimse://AET@HOST[:PORT]"
_AE_TITLE = re.compile(r"[A-Za-z0-9_.\-]{1,16}")  # PS3.5 allows more; these need no quoting anywhere
_DICOM_PORT = 104


class Protocol(Enum):
    """How a source is spoken to."""

    DICOMWEB = "dicomweb"
    DIMSE = "dimse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A source. ``text`` is one text a source, without secrets; ``url`` is DICOMweb's, ``aet`` DIMSE's."""

    protocol: Protocol
    text: str
    host: str
    port: int
    url: str = ""
    aet: str = ""

    @property
    def is_readable_underway(self) -> bool:
        """Whether what is sent could be read on the way: no TLS, and another machine."""
        return not self.url.startswith("https://") and not _is_loopback(self.host)


def is_remote(source: str) -> bool:
    """Whether a source is to be fetched, rather than a folder or file.

    >>> is_remote("dimse://PACS@10.0.0.5:104"), is_remote("/data/studies")
    (True, False)
    """
    return "://" in source


def parse_address(source: str) -> Address:
    """Reads a source's address.

    Raises:
        ValueError: If it is none, or holds a password (which is then not repeated).

    >>> parse_address("dimse://PACS@10.0.0.5").text
    'dimse://PACS@10.0.0.5:104'
    """
    try:
        parts = urlsplit(source)
        host, port, user, password = parts.hostname, parts.port, parts.username, parts.password
    except ValueError as error:
        raise ValueError(f"the address of the source cannot be read; needed is {_FORMS}") from error
    web = parts.scheme in ("dicomweb+http", "dicomweb+https")
    if password is not None or (web and user is not None):
        raise ValueError("the address of the source holds a user or password; give them by environment or file instead")
    if not host or not (web or parts.scheme == "dimse") or parts.query or parts.fragment:
        raise ValueError(f"archive={source}: needed is a folder, a file, {_FORMS}")
    shown = f"[{host}]" if ":" in host else host
    if web:
        scheme = parts.scheme.removeprefix("dicomweb+")
        port = port or (443 if scheme == "https" else 80)
        url = f"{scheme}://{shown}:{port}{parts.path.rstrip('/')}"
        return Address(protocol=Protocol.DICOMWEB, text=f"dicomweb+{url}", host=host, port=port, url=url)
    if parts.path.strip("/"):
        raise ValueError(f"archive={source}: a DIMSE address has no path; needed is dimse://AET@HOST[:PORT]")
    aet = check_ae_title(user or "", "the source's AE title")
    port = port or _DICOM_PORT
    return Address(protocol=Protocol.DIMSE, text=f"dimse://{aet}@{shown}:{port}", host=host, port=port, aet=aet)


def check_ae_title(title: str, name: str) -> str:
    """The title, if it is one.

    Raises:
        ValueError: If it is not 1 to 16 letters, digits, or any of ``_ . -``.
    """
    if not _AE_TITLE.fullmatch(title):
        raise ValueError(f"{name} is {title!r}: must be 1 to 16 letters, digits or any of _ . -")
    return title


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
