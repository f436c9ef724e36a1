"""The receiver, sent to by a real C-STORE user."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from irae.io.archive import index_archive
from irae.io.pacs import SourceError, Store, receive, receiving
from irae.io.pacs.store import alone
from tests.io.pacs.images import images, in_folder, pixels

pynetdicom = pytest.importorskip("pynetdicom")

# pynetdicom drops a socket that could not connect without closing it.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@contextmanager
def receiver(folder, *, reserve=0, timeout_s=5.0):
    """The receiver on a free port of loopback; its port, counts and refusals."""
    refused = []
    store = Store(folder, disk_reserve_bytes=reserve)
    with alone(folder), receiving(store, aet="IRAE", bind="127.0.0.1", port=0, senders=["SCANNER"], timeout_s=timeout_s,
                                  refused=refused.append) as received:
        yield received, refused


def send(port, datasets, *, sender="SCANNER", called="IRAE"):
    """Status of each C-STORE; None where the association was refused."""
    ae = pynetdicom.AE(ae_title=sender)
    ae.connection_timeout = ae.acse_timeout = ae.dimse_timeout = 5
    for context in sorted({(one.SOPClassUID, one.file_meta.TransferSyntaxUID) for one in datasets}):
        ae.add_requested_context(*context)
    association = ae.associate("127.0.0.1", port, ae_title=called)
    if not association.is_established:
        return None
    try:
        with alone_at_its_answers(association):
            return [association.send_c_store(one).Status for one in datasets]
    finally:
        association.release()


@contextmanager
def alone_at_its_answers(association):
    """Holds the association's own thread: with little luck it takes an answer that ``send_c_store`` waits for."""
    gate = association._reactor_checkpoint
    gate.set = lambda: None
    gate.clear()
    time.sleep(0.05)  # its round in which it saw the gate open
    yield
    del gate.set


def test_what_is_sent_becomes_an_archive(tmp_path):
    scan = images("RECEIVED", slices=8)
    with receiver(tmp_path / "archive") as (received, refused):
        assert send(received.port, scan) == [0] * 8
    assert received.counts == {"new": 8}
    assert not refused
    assert pixels(in_folder(tmp_path / "archive")) == pixels(scan)
    index = index_archive(tmp_path / "archive", scratch=tmp_path / "scratch")
    assert [exam.key for exam in index.exams] == ["RECEIVED/2026-03-14"]
    assert {row.code for row in index.files} == {"used"}
    assert "RECEIVED" not in " ".join(str(path) for path in (tmp_path / "archive").rglob("*"))


def test_the_same_image_twice_is_kept_once_another_under_its_uid_is_refused(tmp_path):
    one, other = images("TWICE", slices=1)[0], images("TWICE", slices=1)[0]
    other.PixelData = bytes(reversed(other.PixelData))
    with receiver(tmp_path) as (received, refused):
        assert send(received.port, [one, one, other]) == [0, 0, 0xC111]
        assert received.counts == {"new": 1, "already there": 1, "conflicting_instance": 1}
        assert refused[0].code == "conflicting_instance"
    with receiver(tmp_path) as (received, _):  # a receiver that starts again knows what is there
        assert send(received.port, [one, other]) == [0, 0xC111]
    assert pixels(in_folder(tmp_path)) == pixels([one])


def test_equal_content_in_another_transfer_syntax_is_the_same_image(tmp_path):
    one, other = images("SYNTAX", slices=1)[0], images("SYNTAX", slices=1)[0]
    other.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2"
    with receiver(tmp_path) as (received, _):
        assert send(received.port, [one]) + send(received.port, [other]) == [0, 0]
    assert received.counts == {"new": 1, "already there": 1}


@pytest.mark.parametrize("name", ["SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID"])
@pytest.mark.parametrize("hostile", ["../../../../tmp/irae-escaped", "/tmp/irae-escaped", "1.2/../../escaped", ".."])
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom says that these are no UIDs
def test_uids_never_become_paths(tmp_path, name, hostile):
    from pydicom import config

    scan = images("HOSTILE", slices=1)
    with config.disable_value_validation():
        scan[0][name].value = hostile
        scan[0].file_meta.MediaStorageSOPInstanceUID = scan[0].SOPInstanceUID
        before = {path for path in tmp_path.parent.iterdir() if path != tmp_path}
        with receiver(tmp_path / "in" / "archive") as (received, _):
            assert send(received.port, scan) == [0]
    assert {path for path in tmp_path.parent.iterdir() if path != tmp_path} == before
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["archive"]
    held = list((tmp_path / "in" / "archive").rglob("*.dcm"))
    assert len(held) == 1
    assert len(held[0].relative_to(tmp_path / "in" / "archive").parts) == 3


def test_only_known_senders_that_call_us_by_our_name(tmp_path):
    scan = images("STRANGER", slices=1)
    with receiver(tmp_path) as (received, _):
        assert send(received.port, scan, sender="STRANGER") is None
        assert send(received.port, scan, called="ANY-SCP") is None
    assert not in_folder(tmp_path)
    store = Store(tmp_path, disk_reserve_bytes=0)
    with pytest.raises(ValueError, match="no sender is named"), \
            receiving(store, aet="IRAE", bind="127.0.0.1", port=0, senders=[]):
        pass


def request_to_associate(sender):
    """An A-ASSOCIATE-RQ for verification (PS3.8 Section 9.3.2)."""
    def item(kind, content):
        return struct.pack(">BxH", kind, len(content)) + content

    context = b"\1\0\0\0" + item(0x30, b"1.2.840.10008.1.1") + item(0x40, b"1.2.840.10008.1.2")
    user = item(0x51, struct.pack(">I", 16384)) + item(0x52, b"1.2.3")
    content = (b"\0\1\0\0" + b"IRAE".ljust(16) + sender.ljust(16) + bytes(32)
               + item(0x10, b"1.2.840.10008.3.1.1.1") + item(0x20, context) + item(0x50, user))
    return struct.pack(">BxI", 0x01, len(content)) + content


@pytest.mark.parametrize(("said", "answer", "last"), [
    (request_to_associate(b"STRANGER"), b"\x03", b""),  # rejected, then closed on
    (request_to_associate(b"SCANNER"), b"\x02", b"\x07"),  # accepted, then aborted
])
def test_a_peer_that_does_not_close_does_not_keep_the_receiver(tmp_path, said, answer, last):
    with receiver(tmp_path) as (received, _):
        peer = socket.create_connection(("127.0.0.1", received.port), timeout=10.0)
        peer.sendall(said)
        assert peer.recv(4096)[:1] == answer
    with peer:
        assert peer.recv(4096)[:1] == last


def test_a_peer_that_says_nothing_does_not_keep_the_receiver(tmp_path, monkeypatch):
    monkeypatch.setattr(receive, "_LAST_WORDS_S", 0.2)
    before = time.monotonic()
    with receiver(tmp_path, timeout_s=3.0) as (received, _):
        peer = socket.create_connection(("127.0.0.1", received.port), timeout=10.0)
        time.sleep(0.1)  # it is listened to by then
    assert time.monotonic() - before < 3.0
    with peer:
        assert peer.recv(4096) == b""


def test_a_full_disk_and_an_image_without_its_uids_are_refused(tmp_path):
    scan = images("FULL", slices=2)
    del scan[1].SeriesInstanceUID
    with receiver(tmp_path / "full", reserve=2**60) as (received, refused):
        assert send(received.port, scan) == [0xA700, 0xA900]
    assert [error.code for error in refused] == ["disk_full", "uid_missing"]
    assert not list((tmp_path / "full").rglob("*.*"))


def test_what_a_killed_receiver_left_half_written_is_cleared(tmp_path):
    (tmp_path / "study" / "series").mkdir(parents=True)
    half = tmp_path / "study" / "series" / ".aside-77-1.2.3.dcm"
    half.write_bytes(b"half")
    Store(tmp_path, disk_reserve_bytes=0)
    assert not half.exists()


def test_a_port_or_folder_in_use_is_said(tmp_path):
    with receiver(tmp_path) as (received, _):
        with pytest.raises(SourceError, match="cannot listen on 127"), \
                receiving(Store(tmp_path / "x", disk_reserve_bytes=0), aet="IRAE", bind="127.0.0.1",
                          port=received.port, senders=["SCANNER"]):
            pass
        with pytest.raises(ValueError, match="another process"), alone(tmp_path):
            pass


def test_irae_receive_until_interrupted(tmp_path):
    program = os.path.join(os.path.dirname(sys.executable), "irae")
    if shutil.which(program) is None:
        pytest.skip("the command irae is not installed beside this Python")
    command = [program, "receive", "--out", str(tmp_path), "--from", "SCANNER", "--port", "0", "--reserve-gb", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        port = int(running.stderr.readline().split("127.0.0.1:")[1].split(";")[0])
        scan = images("COMMAND", slices=2)
        assert send(port, scan) == [0, 0]
        running.send_signal(signal.SIGTERM)
        said = running.stderr.read()
        assert running.wait(20) == 0
    assert said.strip() == "2 new"
    assert pixels(in_folder(tmp_path)) == pixels(scan)
