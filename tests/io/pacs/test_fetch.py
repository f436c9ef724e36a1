"""Fetching from a real Orthanc by DICOMweb, C-GET and C-MOVE."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from pydicom.uid import RLELossless

from irae.io.pacs import Credentials, Link, Query, Retrieve, SourceError, fetch
from irae.io.pacs.dimse import Dimse
from tests.io.pacs import orthanc as server
from tests.io.pacs.cut import wire
from tests.io.pacs.images import images, in_folder, pixels

pytest.importorskip("pynetdicom")
pytest.importorskip("dicomweb_client")

# pynetdicom drops a socket that could not connect without closing it.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")

READER = Credentials(user=server.USER, password=server.PASSWORD)
QUICK = {"attempts": 2, "pause_s": 0.05, "timeout_s": 5.0}


def ways(orthanc):
    """Source and link of each way to fetch."""
    return {
        "dicomweb": (orthanc.web, Link(**QUICK)),
        "get": (orthanc.dimse, Link(**QUICK)),
        "move": (orthanc.dimse, Link(**QUICK, retrieve=Retrieve.MOVE, port=orthanc.ours)),
    }


def written(folder: Path) -> dict[Path, int]:
    """When each file was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.dcm")}


@pytest.mark.parametrize("way", ["dicomweb", "get", "move"])
def test_round_trip_is_bit_equal_and_nothing_is_fetched_twice(orthanc, tmp_path, way):
    source, link = ways(orthanc)[way]
    ct, pet = images(f"RT-{way}"), images(f"RT-{way}", modality="PT", number=2)
    orthanc.put(ct + pet)
    query = Query(patients=(f"RT-{way}",))
    report = fetch(source, tmp_path, query=query, credentials=READER, link=link)
    assert report.complete
    assert sorted(series.instances for series in report.series) == [6, 6]
    assert pixels(in_folder(report.folder)) == pixels(ct + pet)
    before = written(report.folder)
    again = fetch(source, tmp_path, query=query, credentials=READER, link=link)
    assert sum(series.fetched for series in again.series) == 0
    assert written(again.folder) == before
    assert str(again) == "2 series: 0 images fetched, 12 were there"


@pytest.mark.parametrize("way", ["dicomweb", "get"])
def test_query_names_patients_dates_and_modalities(orthanc, tmp_path, way):
    source, link = ways(orthanc)[way]
    one, two = f"Q1-{way}", f"Q2-{way}"
    old, new = images(one, day="20250101"), images(one, day="20260401", number=2)
    pet, other = images(one, modality="PT", day="20260401", number=3), images(two, number=4)
    orthanc.put(old + new + pet + other)

    def fetched(**asked):
        report = fetch(source, tmp_path, query=Query(**asked), credentials=READER, link=link)
        return pixels(in_folder(report.folder))

    assert fetched(patients=(one, two)) == pixels(old + new + pet + other)
    assert fetched(patients=(one,), studied_from=date(2026, 1, 1)) == pixels(new + pet)
    assert fetched(patients=(one,), studied_until=date(2026, 3, 31)) == pixels(old)
    assert fetched(patients=(one,), studied_from=date(2025, 1, 1), studied_until=date(2025, 1, 1)) == pixels(old)
    assert fetched(patients=(one,), modalities=("PT",)) == pixels(pet)
    assert fetched(patients=("nobody",)) == {}


@pytest.mark.parametrize("way", ["dicomweb", "get", "move"])
def test_late_images_come_alone_and_deleted_ones_leave_the_folder(orthanc, tmp_path, way):
    source, link = ways(orthanc)[way]
    patient = f"LATE-{way}"
    scan = images(patient, slices=8)
    orthanc.put(scan[:5])
    query = Query(patients=(patient,))
    fetch(source, tmp_path, query=query, credentials=READER, link=link)
    orthanc.put(scan[5:])
    report = fetch(source, tmp_path, query=query, credentials=READER, link=link)
    assert [series.fetched for series in report.series] == [3]
    assert pixels(in_folder(report.folder)) == pixels(scan)
    orthanc.remove(patient)
    orthanc.put(scan[:4])
    report = fetch(source, tmp_path, query=query, credentials=READER, link=link)
    assert pixels(in_folder(report.folder)) == pixels(scan[:4])


@pytest.mark.parametrize("way", ["dicomweb", "get"])
def test_a_compressed_series_comes_as_it_is_kept(orthanc, tmp_path, way):
    source, link = ways(orthanc)[way]
    scan = images(f"RLE-{way}", slices=3)
    plain = [one.pixel_array.copy() for one in scan]
    for one in scan:
        one.compress(RLELossless, generate_instance_uid=False)
    orthanc.put(scan)
    report = fetch(source, tmp_path, query=Query(patients=(f"RLE-{way}",)), credentials=READER, link=link)
    back = sorted(in_folder(report.folder), key=lambda one: int(one.InstanceNumber))
    assert [(one.pixel_array == was).all() for one, was in zip(back, plain, strict=True)] == [True] * 3
    if way == "dicomweb":
        assert {one.file_meta.TransferSyntaxUID for one in back} == {RLELossless}


@pytest.mark.parametrize("credentials", [None, Credentials(user=server.USER, password="secret-wrong"),
                                         Credentials(token="secret-token")], ids=["none", "password", "token"])
def test_wrong_credentials_are_said_and_never_shown(orthanc, tmp_path, credentials):
    with pytest.raises(SourceError, match=r"refuses these credentials.*401") as caught:
        fetch(orthanc.web, tmp_path, query=Query(), credentials=credentials, link=Link(**QUICK))
    assert "secret" not in str(caught.value)
    assert "secret" not in repr(credentials)
    assert not list(tmp_path.rglob("*.dcm"))


def test_an_ae_title_that_is_not_the_servers_is_refused(orthanc, tmp_path):
    with pytest.raises(SourceError, match=r"refuses the association"):
        fetch(f"dimse://OTHER@127.0.0.1:{orthanc.dicom}", tmp_path, query=Query(), link=Link(**QUICK))


def test_a_move_destination_the_server_does_not_know(orthanc, tmp_path):
    orthanc.put(images("MOVE-UNKNOWN"))
    link = Link(**QUICK, retrieve=Retrieve.MOVE, aet="NOBODY", port=0)
    report = fetch(orthanc.dimse, tmp_path, query=Query(patients=("MOVE-UNKNOWN",)), link=link)
    assert [bool(series.problem) for series in report.series] == [True]
    assert in_folder(report.folder) == []


@pytest.mark.parametrize("way", ["dicomweb", "get"])
def test_nobody_listens(tmp_path, caplog, way):
    port = server.free_port()
    source = f"dicomweb+http://127.0.0.1:{port}/dicom-web" if way == "dicomweb" else f"dimse://A@127.0.0.1:{port}"
    with pytest.raises(SourceError, match=r"cannot be listed.*in 2 attempts"):
        fetch(source, tmp_path, query=Query(patients=("CANARY",)), link=Link(**QUICK))
    assert "CANARY" not in caplog.text


@pytest.mark.parametrize("way", ["dicomweb", "get"])
def test_a_query_too_wide_is_refused(orthanc, tmp_path, way):
    source, _ = ways(orthanc)[way]
    for day in ("20260101", "20260102", "20260103"):
        orthanc.put(images(f"WIDE-{way}", slices=1, day=day))
    with pytest.raises(SourceError, match="more than 2 studies"):
        fetch(source, tmp_path, query=Query(patients=(f"WIDE-{way}",)), credentials=READER,
              link=Link(**QUICK, max_studies=2))


@pytest.mark.parametrize("way", ["dicomweb", "get"])
def test_a_connection_cut_in_the_middle_of_a_series_is_taken_up_where_it_broke(orthanc, tmp_path, way):
    scan = images(f"CUT-{way}", slices=20, rows=128, columns=128)
    orthanc.put(scan)
    with wire(orthanc.http if way == "dicomweb" else orthanc.dicom, after=400_000) as broken:
        source = {"dicomweb": f"dicomweb+http://127.0.0.1:{broken.port}/dicom-web",
                  "get": f"dimse://{server.AET}@127.0.0.1:{broken.port}"}[way]
        report = fetch(source, tmp_path, query=Query(patients=(f"CUT-{way}",)), credentials=READER, link=Link(**QUICK))
        assert broken.done == 1
    assert report.complete
    assert pixels(in_folder(report.folder)) == pixels(scan)


@pytest.mark.parametrize("way", ["dicomweb", "get"])
def test_part_of_a_series_is_kept_but_not_shown(orthanc, tmp_path, way):
    """A scan without its last slices looks like a shorter body; it must not be analysed."""
    scan = images(f"PART-{way}", slices=20, rows=128, columns=128)
    orthanc.put(scan)
    with wire(orthanc.http if way == "dicomweb" else orthanc.dicom, after=400_000, stays_dead=True) as broken:
        source = {"dicomweb": f"dicomweb+http://127.0.0.1:{broken.port}/dicom-web",
                  "get": f"dimse://{server.AET}@127.0.0.1:{broken.port}"}[way]
        asked = {"query": Query(patients=(f"PART-{way}",)), "credentials": READER}
        report = fetch(source, tmp_path, **asked, link=Link(**QUICK))
        brought = sum(series.fetched for series in report.series)
        assert not report.complete
        assert 0 < brought < 20
        assert in_folder(report.folder) == []
        broken.cuts = 0
        report = fetch(source, tmp_path, **asked, link=Link(**QUICK))
    assert report.complete
    assert sum(series.fetched for series in report.series) == 20 - brought
    assert pixels(in_folder(report.folder)) == pixels(scan)


def test_the_server_dies_between_series_and_comes_back(tmp_path):
    if reason := server.why_not():
        pytest.skip(reason)
    images_sent = [one for n in (1, 2, 3, 4) for one in images("GONE", number=n)]
    query, link = Query(patients=("GONE",)), Link(**QUICK)
    with server.running(tmp_path / "server") as dying:
        dying.put(images_sent)
        report = fetch(dying.web, tmp_path / "cache", query=query, credentials=READER, link=link,
                       progress=lambda done, _: dying.stop() if done == 1 else None)
    assert [bool(series.problem) for series in report.series] == [False, True, True, True]
    assert "stopped answering" in report.series[3].problem
    assert len(in_folder(report.folder)) == 6
    before = written(report.folder)
    with server.running(tmp_path / "server", ports=dying.ports) as back:
        report = fetch(back.web, tmp_path / "cache", query=query, credentials=READER, link=link)
    assert report.complete
    assert sum(series.fetched for series in report.series) == 18
    assert written(report.folder).items() >= before.items()
    assert pixels(in_folder(report.folder)) == pixels(images_sent)


def test_a_full_disk_stops_the_series_with_a_reason(orthanc, tmp_path):
    orthanc.put(images("FULL"))
    link = Link(**QUICK, disk_reserve_bytes=2**60)
    move = replace(link, retrieve=Retrieve.MOVE, port=orthanc.ours)
    for source, how in ((orthanc.web, link), (orthanc.dimse, link), (orthanc.dimse, move)):
        report = fetch(source, tmp_path, query=Query(patients=("FULL",)), credentials=READER, link=how)
        assert "free beside the reserve" in report.series[0].problem
        assert in_folder(report.folder) == []


def test_an_answer_that_the_library_loses_is_asked_for_again(orthanc, tmp_path, monkeypatch):
    """pynetdicom's own thread can take an answer off the queue; here one more arrives than is handed on, once."""
    orthanc.put(images("LOST"))
    counted, lost = Dimse._answered, []

    def once_too_many(self, event):
        counted(self, event)
        if not lost:
            lost.append(event)
            counted(self, event)

    monkeypatch.setattr(Dimse, "_answered", once_too_many)
    query = Query(patients=("LOST",))
    with pytest.raises(SourceError, match="1 answers of a C-FIND were lost"):
        fetch(orthanc.dimse, tmp_path, query=query, link=Link(**QUICK | {"attempts": 1}))
    lost.clear()
    assert len(in_folder(fetch(orthanc.dimse, tmp_path, query=query, link=Link(**QUICK)).folder)) == 6


@pytest.mark.parametrize(("source", "module"), [("dimse://A@127.0.0.1", "pynetdicom"),
                                                ("dicomweb+http://127.0.0.1", "dicomweb_client")])
def test_without_the_extra_it_is_said_what_to_install(tmp_path, monkeypatch, source, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(SourceError, match=r"pip install 'irae\[pacs\]'"):
        fetch(source, tmp_path, query=Query())
