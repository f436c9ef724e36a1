"""Parts of a multipart/related answer, one at a time, and only whole ones (RFC 2387, PS3.18 section 8.6.1.2).

Own code, because dicomweb-client hands on what came of a part whose connection broke, and pydicom reads a file that
ends early without a word: a slice with half of its pixels would look like a slice.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from email.message import Message

from irae.io.pacs.query import SourceError, TransientError

MAX_PART_BYTES = 4 * 2**30  # no DICOM attribute of defined length can be larger


def parts(content_type: str, chunks: Iterable[bytes], *, max_part_bytes: int = MAX_PART_BYTES) -> Iterator[bytes]:
    """The bodies of all parts.

    Args:
        content_type: The answer's Content-Type, with its boundary.
        chunks: The answer's body, cut anywhere.
        max_part_bytes: More than that in one part is refused.

    Raises:
        TransientError: If the body ends before its closing delimiter.
        SourceError: If it is no multipart body, or a part is too large.
    """
    header = Message()
    header["Content-Type"] = content_type
    boundary = header.get_param("boundary")
    if header.get_content_type() != "multipart/related" or not isinstance(boundary, str) or not boundary:
        raise SourceError("the server does not answer with multipart/related and a boundary")
    delimiter = b"\r\n--" + boundary.encode("latin-1", "replace")
    buffer = bytearray(b"\r\n")  # the first delimiter may stand at the very start
    inside, searched = False, 0
    for chunk in chunks:
        buffer += chunk
        while (found := buffer.find(delimiter, searched)) >= 0:
            after = found + len(delimiter)
            if len(buffer) < after + 2:
                break  # what follows says whether it is the closing one
            if inside:
                yield _body(bytes(buffer[:found]))
            if buffer[after:after + 2] == b"--":
                return
            inside, searched = True, 0
            del buffer[:after]
        else:
            searched = max(0, len(buffer) - len(delimiter))
        if len(buffer) > max_part_bytes:
            raise SourceError(f"the server sends a part of more than {max_part_bytes} bytes")
    raise TransientError("the answer ends in the middle")


def _body(part: bytes) -> bytes:
    """A part without its header lines."""
    if part.lstrip(b" \t").startswith(b"\r\n\r\n"):
        return part.lstrip(b" \t")[4:]
    _, blank, body = part.partition(b"\r\n\r\n")
    if not blank:
        raise SourceError("the server sends a part without the blank line after its header")
    return body
