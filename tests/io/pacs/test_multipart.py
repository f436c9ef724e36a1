import pytest

from irae.io.pacs.multipart import parts
from irae.io.pacs.query import SourceError, TransientError

TYPE = 'multipart/related; type="application/dicom"; boundary="x-1"'
BODIES = [b"first\r\n--not the boundary", b"", b"\r\n\r\nthird\r\n"]


def answer(bodies, *, preamble=b"", header=b"Content-Type: application/dicom"):
    sent = preamble
    for body in bodies:
        sent += b"\r\n--x-1\r\n" + header + b"\r\n\r\n" + body
    return sent.removeprefix(b"\r\n") + b"\r\n--x-1--\r\n"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 10_000])
@pytest.mark.parametrize("header", [b"Content-Type: application/dicom\r\nContent-Length: 9", b"X: y"])
def test_parts_come_back_wherever_the_answer_is_cut(size, header):
    whole = answer(BODIES, header=header)
    assert list(parts(TYPE, (whole[i:i + size] for i in range(0, len(whole), size)))) == BODIES


def test_parts_without_a_header_and_after_a_preamble():
    assert list(parts(TYPE, [b"hello\r\n--x-1\r\n\r\nbody\r\n--x-1--"])) == [b"body"]


@pytest.mark.parametrize("size", [5, 10_000])
def test_an_answer_that_ends_early_gives_its_whole_parts_and_an_error(size):
    whole = answer(BODIES)
    for end in range(len(whole) - len(b"--\r\n")):
        seen = []
        with pytest.raises(TransientError, match="ends in the middle"):
            seen.extend(parts(TYPE, [whole[:end][i:i + size] for i in range(0, end, size)]))
        assert seen == BODIES[:len(seen)]  # what came before it broke, whole


@pytest.mark.parametrize("content_type", ["", "application/dicom", "multipart/related", "text/html; boundary=x"])
def test_another_kind_of_answer_is_refused(content_type):
    with pytest.raises(SourceError, match="multipart/related"):
        list(parts(content_type, [answer(BODIES)]))


def test_an_endless_part_is_refused():
    with pytest.raises(SourceError, match="more than 1000 bytes"):
        list(parts(TYPE, (b"\r\n--x-1\r\n\r\n" if n == 0 else b"a" * 100 for n in range(10**9)), max_part_bytes=1000))
