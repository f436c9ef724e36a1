"""One exam's answers as a DICOM Measurement Report (PS3.16 TID 1500) in a Comprehensive 3D SR.

One measurement group per focus (TID 1411 where it has a segment), per immune-related adverse event, per response
criterion and view, and one for the suggested priority.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeAlias

import pydicom.config
from highdicom import sr
from highdicom.coding_schemes import CodingSchemeIdentificationItem
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes as dicom_codes
from pydicom.sr.coding import Code
from pydicom.uid import SegmentationStorage

from irae.core.anatomy import BY_NAME
from irae.core.assessment import Assessment
from irae.core.finding import OrganFinding
from irae.core.focus import AttributedFocus, FocusSource
from irae.core.result import ExamResult
from irae.core.triage import Triage
from irae.io import codes
from irae.io.atomic import written_aside
from irae.io.dicom_seg import MANUFACTURER, PatientModule, WrittenSeg, focus_tracking, identified
from irae.io.planes import read_headers
from irae.io.uids import uid_of

SERIES_NUMBER = 9002
RESEARCH_ONLY = "Research use only. Not a diagnosis: a suggestion by software that a physician has to verify."
SIGNIFICANT_DIGITS = 6
LONGEST_TEXT = 1000  # readable in a viewer; the whole text is in result.json

Group: TypeAlias = sr.MeasurementsAndQualitativeEvaluations | sr.VolumetricROIMeasurementsAndQualitativeEvaluations


def write_sr(
    path: Path,
    *,
    result: ExamResult,
    source: Sequence[Path | str | bytes | Dataset],
    seg: WrittenSeg | None = None,
    patient_module: PatientModule = PatientModule.KEY,
    created: datetime | None = None,
) -> None:
    """Writes the report of one exam; preliminary and unverified. The same input gives the same UIDs.

    Args:
        path: The file; appears whole or not at all.
        result: The exam's answers. Its patient key becomes the Patient ID.
        source: Images the answers rest on (any series of one study): files, their bytes, or datasets.
        seg: The Segmentation that shows the foci, if one was written.
        patient_module: How much of the source's patient and study is repeated.
        created: Time written into the object; now by default.

    Raises:
        ValueError: If there is no source image.
    """
    headers = read_headers(source)
    if not headers:
        raise ValueError("a report needs at least one source image")
    algorithm = sr.AlgorithmIdentification(
        name="irae", version=result.versions.irae, family=codes.ARTIFICIAL_INTELLIGENCE,
        parameters=[
            f"settings={result.versions.settings}",
            *(f"{name}={digest}" for name, digest in sorted(result.versions.models.items())), "research use only",
        ],
    )
    main_series = seg.source_series_uid if seg is not None else str(headers[0].SeriesInstanceUID)
    groups: list[Group] = [_triage_group(result.triage, result, algorithm)]
    groups += [_irae_group(finding, result, algorithm) for finding in result.findings]
    groups += [_focus_group(item, result, algorithm, seg, main_series) for item in result.foci]
    groups += [_response_group(item, result, algorithm) for item in result.assessments]

    device = sr.DeviceObserverIdentifyingAttributes(
        uid=uid_of("device", result.versions.irae, result.versions.settings), name=MANUFACTURER,
        manufacturer_name="irae", model_name="irae",
    )
    report = sr.MeasurementReport(
        observation_context=sr.ObservationContext(
            observer_device_context=sr.ObserverContext(
                observer_type=dicom_codes.DCM.Device, observer_identifying_attributes=device
            )
        ),
        procedure_reported=codes.IMAGING_PROCEDURE,
        imaging_measurements=groups,
        title=codes.PET_REPORT if "PT" in result.modalities else codes.ONCOLOGY_REPORT,
    )
    subjects = [identified(h, patient=result.patient, patient_module=patient_module) for h in headers]
    if seg is not None:
        subjects.append(seg.header)
    study, digest = str(headers[0].StudyInstanceUID), _digest(report[0])
    content = ("sr", study, str(subjects[0].PatientID), digest)
    now = created or datetime.now()
    document = sr.Comprehensive3DSR(
        evidence=subjects,
        content=report[0],
        series_instance_uid=uid_of("series", *content),
        series_number=SERIES_NUMBER,
        sop_instance_uid=uid_of("instance", *content),
        instance_number=1,
        manufacturer=MANUFACTURER,
        manufacturer_model_name="irae",
        software_versions=result.versions.irae,
        series_description="irae results (research use only)",
        is_complete=True,
        is_final=False,
        is_verified=False,
        coding_schemes=[CodingSchemeIdentificationItem(designator=codes.SCHEME, name=codes.SCHEME_NAME)],
        specific_character_set="ISO_IR 192",
        content_date=now.date(), content_time=now.time(), series_date=now.date(), series_time=now.time(),
    )
    document.InstanceCreationDate, document.InstanceCreationTime = now.strftime("%Y%m%d"), now.strftime("%H%M%S")
    for equipment in document.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in equipment:
            equipment.ContributionDateTime = now.strftime("%Y%m%d%H%M%S")
    with written_aside(path) as aside:
        document.save_as(aside, enforce_file_format=True)


def _digest(content: Dataset) -> str:
    with pydicom.config.disable_value_validation():
        return hashlib.sha256(json.dumps(content.to_json_dict(), sort_keys=True).encode()).hexdigest()


def _tracking(result: ExamResult, what: str) -> sr.TrackingIdentifier:
    """What is asked of a patient at every exam keeps one tracking UID."""
    return sr.TrackingIdentifier(identifier=what, uid=uid_of("question", result.patient, what))


def _number(
    name: Code, value: float | None, unit: Code, *, derivation: Code | None = None, method: Code | None = None
) -> list[sr.Measurement]:
    if value is None or not math.isfinite(value):
        return []
    rounded = float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    return [sr.Measurement(name=name, value=rounded, unit=unit, derivation=derivation, method=method)]


def _site(organ: str | None) -> list[sr.FindingSite] | None:
    """The finding site of an organ of the table, its side included; None where the organ is unknown."""
    code = codes.site_code(organ)
    if code is None:
        return None
    side = BY_NAME[organ].laterality if organ in BY_NAME else None
    return [sr.FindingSite(anatomic_location=code, laterality=codes.LATERALITY[side] if side else None)]


def _with_comment(group: Group, lines: Iterable[str]) -> Group:
    text = "\n".join(line for line in lines if line)
    if text:
        cut = text if len(text) <= LONGEST_TEXT else text[: LONGEST_TEXT - 3] + "..."
        group[0].ContentSequence.append(
            sr.TextContentItem(name=codes.COMMENT, value=cut, relationship_type=sr.RelationshipTypeValues.CONTAINS)
        )
    return group


def _focus_group(
    item: AttributedFocus, result: ExamResult, algorithm: sr.AlgorithmIdentification, seg: WrittenSeg | None,
    series_uid: str,
) -> Group:
    focus = item.focus
    identifier, uid = focus_tracking(result.patient, focus, series_uid)
    measurements = [
        *_number(codes.LONG_AXIS, focus.longest_mm, codes.MM),
        *_number(codes.SHORT_AXIS, focus.short_mm, codes.MM),
        *_number(codes.VOLUME, focus.volume_ml, codes.CM3, method=codes.SUM_OF_VOXELS),
        *_number(codes.SUV_BW, focus.suv_max, codes.SUV_UNIT, derivation=codes.MAXIMUM),
        *_number(codes.SUV_BW, focus.suv_peak, codes.SUV_UNIT, derivation=codes.PEAK),
        *_number(codes.SUV_BW, focus.suv_mean, codes.SUV_UNIT, derivation=codes.MEAN),
        *_number(codes.TOTAL_LESION_GLYCOLYSIS, focus.tlg, codes.GRAM),
    ]
    for nature, probability in item.probabilities.items():
        measurements += _number(codes.NATURE_PROBABILITY[nature], probability, codes.NO_UNIT)
    answers = [
        sr.QualitativeEvaluation(codes.NATURE, codes.NATURE_ANSWER[item.nature]),
        sr.QualitativeEvaluation(codes.STATUS, codes.STATUS_ANSWER[focus.status]),
    ]
    site = _site(focus.organ)
    tracking = sr.TrackingIdentifier(identifier=identifier, uid=uid)
    kind, abnormal = codes.NATURE_TYPE[item.nature], codes.ABNORMAL_STRUCTURE
    number = seg.foci.get(focus.id) if seg is not None else None
    if seg is not None and number is not None:
        segment = sr.ReferencedSegment(
            sop_class_uid=SegmentationStorage, sop_instance_uid=seg.header.SOPInstanceUID, segment_number=number,
            source_series=sr.SourceSeriesForSegmentation(seg.source_series_uid),
        )
        group: Group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking, referenced_segment=segment, finding_type=kind, finding_category=abnormal,
            algorithm_id=algorithm, finding_sites=site, measurements=measurements, qualitative_evaluations=answers,
        )
    else:
        group = sr.MeasurementsAndQualitativeEvaluations(
            tracking_identifier=tracking, finding_type=kind, finding_category=abnormal, algorithm_id=algorithm,
            finding_sites=site, measurements=measurements, qualitative_evaluations=answers,
        )
    place = ", ".join(f"{v:.1f}" for v in focus.centroid_ras_mm)
    found = {FocusSource.PET: "PET", FocusSource.CT: "CT", FocusSource.MR: "MR"}[focus.source]
    return _with_comment(
        group, [f"Focus {focus.id}, found on {found}, centre at RAS ({place}) mm. {item.outcome}.", *item.reasons]
    )


def _irae_group(finding: OrganFinding, result: ExamResult, algorithm: sr.AlgorithmIdentification) -> Group:
    measurements = [
        *_number(codes.PROBABILITY, finding.probability, codes.NO_UNIT),
        *_number(codes.THRESHOLD, finding.threshold, codes.NO_UNIT),
        *_number(codes.RADIOLOGICAL_SEVERITY, float(finding.severity), codes.NO_UNIT),
    ]
    lines = list(finding.reasons)
    for sign in finding.evidence:
        measurements += _number(codes.evidence_code(sign.name), sign.value, codes.unit_code(sign.unit))
        said = "not measured" if sign.value is None else f"{sign.value:.4g} {sign.unit}".rstrip(" 1")
        met = {True: "met", False: "not met", None: "not judged"}[sign.met]
        lines.append(f"{sign.name}: {said} (reference {sign.reference}; {sign.source}): {met}")
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(result, finding.irae.value),
        finding_type=codes.IRAE_CODE[finding.irae],
        algorithm_id=algorithm,
        finding_sites=_site(finding.organ),
        measurements=measurements,
        qualitative_evaluations=[
            sr.QualitativeEvaluation(codes.DECISION, codes.DECISION_ANSWER[finding.decision]),
            sr.QualitativeEvaluation(codes.EPISODE, codes.EPISODE_ANSWER[finding.state]),
        ],
    )
    return _with_comment(group, lines)


def _response_group(item: Assessment, result: ExamResult, algorithm: sr.AlgorithmIdentification) -> Group:
    lines = [f"{rule}: {sentence}" for rule, sentence in item.reasons]
    if item.confirm_between is not None:
        first, last = item.confirm_between
        lines.insert(0, f"To be confirmed between {first.isoformat()} and {last.isoformat()}.")
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(result, f"response {item.criterion} {item.view.value}"),
        finding_type=codes.RESPONSE_EVALUATION,
        algorithm_id=algorithm,
        measurements=[
            *_number(codes.SUM_OF_DIAMETERS, item.sum_mm, codes.MM),
            *_number(codes.BASELINE_SUM, item.baseline_mm, codes.MM),
            *_number(codes.NADIR_SUM, item.nadir_mm, codes.MM),
            *_number(codes.SUM_SUL, item.sum_sul, codes.SUL_UNIT),
            *_number(codes.BASELINE_SUM_SUL, item.baseline_sul, codes.SUL_UNIT),
        ],
        qualitative_evaluations=[
            sr.QualitativeEvaluation(codes.RESPONSE_METHOD, codes.criterion_code(item.criterion)),
            sr.QualitativeEvaluation(codes.VIEW, codes.VIEW_ANSWER[item.view]),
            sr.QualitativeEvaluation(codes.CURRENT_RESPONSE, codes.category_code(item.category)),
        ],
    )
    return _with_comment(group, lines)


def _triage_group(triage: Triage, result: ExamResult, algorithm: sr.AlgorithmIdentification) -> Group:
    answers = [sr.QualitativeEvaluation(codes.PRIORITY, codes.PRIORITY_ANSWER[triage.priority])]
    if triage.acr_category is not None:
        answers.append(sr.QualitativeEvaluation(codes.ACTIONABLE_CATEGORY, codes.ACTIONABLE[triage.acr_category]))
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(result, "suggested priority"),
        algorithm_id=algorithm,
        measurements=_number(codes.PRIORITY_SCORE, triage.score, codes.NO_UNIT),
        qualitative_evaluations=answers,
    )
    return _with_comment(group, [RESEARCH_ONLY, *triage.reasons, *(notice.text for notice in result.notices)])
