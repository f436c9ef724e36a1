"""One exam's answers written as a TID 1500 report and read back by highdicom."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from datetime import date, datetime

import numpy as np
import pydicom
import pytest
from highdicom import sr
from pydicom.sr.coding import Code

from irae.core.anatomy import ORGANS, Irae
from irae.core.assessment import Assessment, View
from irae.core.exam import Role
from irae.core.finding import Decision, EpisodeState, Evidence, OrganFinding, Quantities
from irae.core.focus import AttributedFocus, Focus, FocusStatus, Nature
from irae.core.notice import Notice
from irae.core.result import ExamResult, Versions
from irae.core.triage import Priority, Triage
from irae.core.volume import Coverage, LabelMap
from irae.io import codes
from irae.io.dicom_seg import PatientModule, write_seg
from irae.io.dicom_sr import RESEARCH_ONLY, write_sr
from tests.io.dicom_source import geometry_of, series

CREATED = datetime(2026, 3, 15, 12, 0, 0)
VERSIONS = Versions(irae="0.1.0", models={"organs": "sha256:" + "1" * 64}, settings="sha256:" + "2" * 64)


def attributed(number: int, nature: Nature, status: FocusStatus = FocusStatus.NEW, **changes) -> AttributedFocus:
    values = {
        "id": number, "centroid_ras_mm": (1.0, 2.0, 3.0), "volume_ml": 3.2109876, "longest_mm": 21.0,
        "short_mm": 14.0, "suv_max": 7.9, "suv_peak": 6.6, "suv_mean": 4.4, "tlg": 14.1, "organ": "lung_left",
        "organ_fraction": 0.9, "track": f"L{number:02d}", "status": status,
    }
    return AttributedFocus(
        focus=Focus(**{**values, **changes}), nature=nature,
        probabilities={"inflammation": 0.8, "metastasis": 0.15, "physiologic": 0.05}, score=3.0,
        outcome="favour inflammation", reasons=("diffuse", "symmetric"),
    )


def finding(irae: Irae, organ: str) -> OrganFinding:
    if irae is Irae.HYPOPHYSITIS:
        return OrganFinding(
            irae=irae, organ=organ, decision=Decision.NOT_ASSESSABLE, probability=None, threshold=None, severity=0,
            reasons=("no MR",),
        )
    return OrganFinding(
        irae=irae, organ=organ, decision=Decision.SUSPECTED, probability=0.91, threshold=0.42, severity=2,
        state=EpisodeState.NEW, reasons=("hot",), evidence=(
            Evidence(name="suv95", value=4.1, unit="g/mL", reference="> 2.7", source="Hribernik 2022", met=True),
            Evidence(name="wall_thickness", value=None, unit="mm", reference=">= 5", source="X 2020", met=None),
        ),
    )


def exam_result(**changes) -> ExamResult:
    organs = {irae: next(o.name for o in ORGANS if o.irae is irae) for irae in Irae}
    result = ExamResult(
        patient="P01", acquired_on=date(2026, 3, 14), modalities=("CT", "PT"), organs={}, quantities=Quantities(),
        findings=tuple(finding(irae, organs[irae]) for irae in Irae),
        foci=(
            attributed(4, Nature.INFLAMMATION), attributed(5, Nature.METASTASIS, organ="lymph_node"),
            attributed(6, Nature.INDETERMINATE, FocusStatus.GONE, volume_ml=0.0, longest_mm=0.0, short_mm=0.0,
                       suv_max=None, suv_peak=None, suv_mean=None, tlg=None, organ=None),
        ),
        assessments=(
            Assessment(criterion="irecist", view=View.ATTRIBUTED, category="iSD", sum_mm=52.1, baseline_mm=61.0,
                       nadir_mm=50.3, reasons=(("iRECIST-2", "between the limits"),)),
            Assessment(criterion="irecist", view=View.AS_SEEN, category="iUPD",
                       confirm_between=(date(2026, 4, 11), date(2026, 5, 9))),
            Assessment(criterion="impercist5", view=View.AS_SEEN, category="PMD", sum_sul=14.2, baseline_sul=9.0),
        ),
        hinges_on=(),
        triage=Triage(priority=Priority.URGENT, score=0.93, acr_category=2, reasons=("pneumonitis",)),
        notices=(Notice("no_baseline", "There is no baseline."),), versions=VERSIONS, series={Role.CT: "1.2"},
    )
    return replace(result, **changes)


@pytest.fixture
def written(tmp_path):
    source = series(rows=8, columns=8, slices=4)
    geometry = geometry_of(source)
    labels = np.zeros(geometry.shape, np.uint16)
    labels[1:3, 1:3, 1], labels[5, 5, 2] = 4, 5
    organs = LabelMap(
        array=np.ones(geometry.shape, np.uint8), geometry=geometry, labels={"liver": 1},
        coverage={"liver": Coverage.PARTIAL},
    )
    result = exam_result()
    seg = write_seg(
        tmp_path / "seg.dcm", source=source, organs=organs, foci=result.foci, foci_labels=labels,
        foci_geometry=geometry, versions=VERSIONS, patient=result.patient, created=CREATED,
    )
    write_sr(tmp_path / "sr.dcm", result=result, source=source, seg=seg, created=CREATED)
    return tmp_path, source, seg, result


def comment(group) -> str:
    return next(i.TextValue for i in group[0].ContentSequence if i.name == codes.COMMENT)


def answers_of(group) -> dict[str, str]:
    """Questions and answers by code value; highdicom counts the algorithm's family and the category among them."""
    items = {e.name.value: e.value.value for e in group.get_qualitative_evaluations()}
    return {name: value for name, value in items.items() if name not in ("111000", "276214006")}


def test_foci_come_back_with_units_sites_and_their_segments(written):
    folder, _, seg, _ = written
    report = sr.srread(folder / "sr.dcm").content
    groups = report.get_volumetric_roi_measurement_groups()
    assert [g.tracking_identifier for g in groups] == ["L04", "L05"]
    first = groups[0]
    assert first.referenced_segment.referenced_segment_numbers[0] == seg.foci[4]
    assert first.referenced_segment.referenced_sop_instance_uid == seg.header.SOPInstanceUID
    assert first.finding_type == codes.NATURE_TYPE[Nature.INFLAMMATION]
    assert first.finding_category.value == "49755003"
    assert first.finding_sites[0].value.value == "39607008"
    assert first.finding_sites[0].laterality.value == "7771000"
    assert groups[1].finding_sites[0].value.value == "59441001"
    numbers = {(m.name.meaning, m.derivation.meaning if m.derivation else ""): (m.value, m.unit.value)
               for m in first.get_measurements()}
    assert numbers == {
        ("Long axis", ""): (21.0, "mm"), ("Short axis", ""): (14.0, "mm"), ("Volume", ""): (3.21099, "cm3"),
        ("SUVbw", "Maximum"): (7.9, "g/ml{SUVbw}"), ("SUVbw", "Peak Value Within ROI"): (6.6, "g/ml{SUVbw}"),
        ("SUVbw", "Mean"): (4.4, "g/ml{SUVbw}"), ("Total Lesion Glycolysis", ""): (14.1, "g"),
        ("Probability of inflammation", ""): (0.8, "1"), ("Probability of metastasis", ""): (0.15, "1"),
        ("Probability of physiologic", ""): (0.05, "1"),
    }
    answers = answers_of(first)
    assert answers == {"nature": "inflammation", "status": "new"}
    assert "favour inflammation" in comment(first)
    description = pydicom.dcmread(folder / "seg.dcm").SegmentSequence[seg.foci[4] - 1]
    assert description.TrackingUID == first.tracking_uid, "SEG and SR name one lesion alike"


def test_iraes_response_and_priority_come_back(written):
    folder, _, _, _ = written
    report = sr.srread(folder / "sr.dcm").content
    groups = {g.tracking_identifier: g for g in report.get_image_measurement_groups()}
    gone = groups.pop("L06")
    assert answers_of(gone)["status"] == "gone"
    assert set(groups) == {
        "suggested priority", *(irae.value for irae in Irae), "response irecist attributed",
        "response irecist as_seen", "response impercist5 as_seen",
    }
    pneumonitis = groups["pneumonitis"]
    assert pneumonitis.finding_type.value == "205237003"
    numbers = {m.name.value: (m.value, m.unit.value) for m in pneumonitis.get_measurements()}
    assert numbers == {
        "122157": (0.91, "1"), "threshold": (0.42, "1"), "severity": (2.0, "1"), "suv95": (4.1, "g/ml{SUVbw}")
    }
    assert "suv95: 4.1 g/mL (reference > 2.7; Hribernik 2022): met" in comment(pneumonitis)
    assert "wall_thickness: not measured" in comment(pneumonitis)
    hypophysitis = groups["hypophysitis"]
    answers = answers_of(hypophysitis)
    assert answers == {"irae-decision": "not_assessable", "episode": "ep-none"}
    assert "122157" not in {m.name.value for m in hypophysitis.get_measurements()}

    answers = {e.name.value: e.value for e in groups["response irecist attributed"].get_qualitative_evaluations()}
    assert (answers["112021"].value, answers["112021"].scheme_designator) == ("C136711", "NCIt")
    assert (answers["112048"].value, answers["view"].value) == ("C142359", "attributed")
    sums = {m.name.value: m.value for m in groups["response irecist attributed"].get_measurements()}
    assert sums == {"sum-mm": 52.1, "sum-mm-baseline": 61.0, "sum-mm-nadir": 50.3}
    assert "2026-04-11 and 2026-05-09" in comment(groups["response irecist as_seen"])

    priority = answers_of(groups["suggested priority"])
    assert priority == {"priority": "urgent", "acr-category": "RID49481"}
    assert RESEARCH_ONLY in comment(groups["suggested priority"])


def test_document_is_preliminary_unnamed_and_repeatable(written):
    folder, source, seg, result = written
    document = pydicom.dcmread(folder / "sr.dcm")
    assert document.SOPClassUID == "1.2.840.10008.5.1.4.1.1.88.34"
    assert document.ContentTemplateSequence[0].TemplateIdentifier == "1500"
    assert (document.PreliminaryFlag, document.VerificationFlag) == ("PRELIMINARY", "UNVERIFIED")
    assert (document.PatientID, str(document.PatientName)) == ("P01", "")
    raw = (folder / "sr.dcm").read_bytes()
    assert b"Canary" not in raw
    referenced = {
        instance.ReferencedSOPInstanceUID
        for study in document.CurrentRequestedProcedureEvidenceSequence
        for series_item in study.ReferencedSeriesSequence for instance in series_item.ReferencedSOPSequence
    } | {
        instance.ReferencedSOPInstanceUID
        for study in document.get("PertinentOtherEvidenceSequence", [])
        for series_item in study.ReferencedSeriesSequence for instance in series_item.ReferencedSOPSequence
    }
    assert referenced == {d.SOPInstanceUID for d in source} | {seg.header.SOPInstanceUID}
    write_sr(folder / "again.dcm", result=result, source=source, seg=seg, created=CREATED)
    assert (folder / "again.dcm").read_bytes() == raw
    other = replace(result, triage=replace(result.triage, priority=Priority.ROUTINE))
    write_sr(folder / "other.dcm", result=other, source=source, seg=seg, created=CREATED)
    assert pydicom.dcmread(folder / "other.dcm").SOPInstanceUID != document.SOPInstanceUID


def test_without_segmentation_every_focus_still_has_its_group(tmp_path):
    write_sr(tmp_path / "sr.dcm", result=exam_result(), source=series(rows=8, columns=8, slices=2))
    report = sr.srread(tmp_path / "sr.dcm").content
    assert {"L04", "L05", "L06"} <= {g.tracking_identifier for g in report.get_image_measurement_groups()}


def test_words_beyond_ascii_and_numbers_that_are_none(tmp_path):
    source = series(rows=8, columns=8, slices=2)
    for image in source:
        image.SpecificCharacterSet = "ISO_IR 100"
        image.PatientName = "Müller^Jörg"
    odd = attributed(4, Nature.METASTASIS, suv_peak=float("nan"))
    result = exam_result(foci=(replace(odd, reasons=("≥ 2.7 g/mL, 1 cm³ – größer als zuvor",)),))
    write_sr(tmp_path / "sr.dcm", result=result, source=source, patient_module=PatientModule.SOURCE)
    document = sr.srread(tmp_path / "sr.dcm")
    group = next(g for g in document.content.get_image_measurement_groups() if g.tracking_identifier == "L04")
    assert "≥ 2.7 g/mL, 1 cm³ – größer als zuvor" in comment(group)
    assert str(document.PatientName) == "Müller^Jörg"
    assert len(group.get_measurements(name=codes.SUV_BW)) == 2


def test_a_report_needs_a_source(tmp_path):
    with pytest.raises(ValueError, match="at least one source image"):
        write_sr(tmp_path / "sr.dcm", result=exam_result(), source=[])


@pytest.mark.skipif(shutil.which("dciodvfy") is None, reason="dciodvfy (Debian: dicom3tools) is not installed")
def test_both_objects_are_valid_by_an_independent_checker(written):
    folder, *_ = written
    for name in ("seg.dcm", "sr.dcm"):
        done = subprocess.run(["dciodvfy", "-new", folder / name], capture_output=True, text=True, check=False)
        said = [line for line in done.stderr.splitlines() if "99IRAE" not in line]
        assert not [line for line in said if "Error" in line or "Warning" in line], said


# Not in PS3.16 but in the SNOMED CT Global Patient Set 2020-09.
GLOBAL_PATIENT_SET = {
    "64226004", "205237003", "82119001", "75694006", "3723001", "64613007", "4556007", "82403002", "26889001",
}


def test_every_code_of_a_published_scheme_is_one_of_ps3_16():
    """Each SCT and DCM value of the table is known to pydicom's copy of PS3.16, with the same meaning."""
    from pydicom.sr._concepts_dict import concepts

    known = {
        (scheme, value): {meaning.lower() for meaning in meanings}
        for scheme in ("SCT", "DCM", "RADLEX")
        for value, meanings in _meanings(concepts[scheme]).items()
    }
    table = [value for value in vars(codes).values() if isinstance(value, Code)]
    for value in vars(codes).values():
        if isinstance(value, dict):
            table += [code for code in value.values() if isinstance(code, Code)]
    table += [codes.organ_code(organ) for organ in ORGANS]
    checked = 0
    for code in table:
        if code.scheme_designator in ("SCT", "DCM", "RADLEX") and code.value not in GLOBAL_PATIENT_SET:
            key = (code.scheme_designator, code.value)
            assert key in known, code
            assert code.meaning.lower() in known[key], (code, known[key])
            checked += 1
    assert checked > 45


def _meanings(scheme: dict) -> dict[str, list[str]]:
    meanings: dict[str, list[str]] = {}
    for entries in scheme.values():
        for value, (meaning, _) in entries.items():
            meanings.setdefault(value, []).append(meaning)
    return meanings
