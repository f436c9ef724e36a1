"""The path of one exam, and of one patient's course, in the order a person would tell it.

Stages that can be exchanged (segmenter, classifier) come in as arguments; nothing here knows torch or DICOM.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from irae.attribution import attribute, attribution_notices
from irae.attribution.learned import LearnedModel
from irae.attribution.revise import revisions
from irae.core.anatomy import ORGANS, Irae
from irae.core.baseline import BaselineImages
from irae.core.context import ContextKind, PatientContext
from irae.core.course import Course
from irae.core.exam import DICOM_MODALITY, Exam, Role
from irae.core.finding import Decision, Measured, Quantities
from irae.core.focus import Nature
from irae.core.geometry import Geometry
from irae.core.notice import Notice
from irae.core.ports import Classifier, Segmenter
from irae.core.result import ExamResult, OrganSeen, Versions
from irae.core.volume import Coverage, LabelMap, Volume
from irae.findings import (
    activation_notices,
    assess_findings,
    assess_further,
    measure,
    measure_foci,
    uncertain_notices,
)
from irae.findings.fusion import FittedFusion
from irae.findings.rules import COMMON
from irae.lesions import FOCI_RULES, EarlierExam, FociFound, find_foci, match_foci
from irae.lesions.alignment import aligned
from irae.quant.region import organ_boxes
from irae.quant.uptake import UptakeReference, uptake_reference
from irae.response.course import ExamLesions
from irae.response.course_patterns import due, patterns
from irae.response.views import assess_course
from irae.triage import triage_exam

# A scan up to this long after the first dose still counts as baseline (RECIST 1.1 asks for at most 4 weeks before;
# a scan in the first week of treatment cannot yet show a response). Design value.
BASELINE_GRACE = timedelta(days=7)


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Stages:
    """What can be exchanged: who finds organs, who scores irAEs, how the two arms are fused (None: design weights),
    the learned arm of attribution (None: the evidence points decide alone), which criteria are asked (None: those that
    fit).
    """

    segmenter: Segmenter
    classifier: Classifier | None
    fusion: FittedFusion | None = None
    attribution: LearnedModel | None = None
    criteria: Sequence[str] | None = None


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class AssessedExam:
    """The result of one exam and the images that belong to it.

    Attributes:
        result: Every answer.
        organs: Organs on the CT grid; None without a CT.
        pituitary: The pituitary on the MR grid; None without an MR.
        foci_labels: (i, j, k) uint16, values are focus ids; None where nothing could be searched.
        foci_geometry: The grid of foci_labels.
        evidence_maps: Where the learned arm looked, for the irAEs that it suspects.
    """

    result: ExamResult
    organs: LabelMap | None
    pituitary: LabelMap | None
    foci_labels: NDArray[np.uint16] | None
    foci_geometry: Geometry | None
    evidence_maps: Mapping[Irae, Volume] = field(default_factory=dict)


def assess_exam(
    exam: Exam, *, history: Sequence[ExamResult], images: Sequence[EarlierExam], stages: Stages, versions: Versions
) -> AssessedExam:
    """Everything that can be said about one exam.

    Args:
        exam: The exam.
        history: Results of all the patient's earlier exams, oldest first.
        images: Those earlier exams whose images are at hand (the baseline, the one before, the first head MR).
        stages: Who does what.
        versions: What produces the result, for the record.

    Raises:
        ValueError: If the history is not older than the exam or not in order.
    """
    dates = [past.acquired_on for past in history]
    if dates != sorted(dates) or (dates and dates[-1] >= exam.acquired_on):
        raise ValueError(f"exam {exam.key}: history must be older and oldest first, got {[str(d) for d in dates]}")

    segmenter = stages.segmenter.for_exam(exam.patient, exam.acquired_on)
    organs = segmenter.segment_ct(exam.ct) if exam.ct is not None else None
    pituitary = segmenter.segment_mr(exam.mr) if exam.mr is not None else None
    # Where the PET does not lie on the CT, no organ's uptake is known.
    apart = exam.ct is not None and exam.pet is not None and not aligned(exam.ct, exam.pet, FOCI_RULES)[0]
    laid = replace(exam, volumes={r: v for r, v in exam.volumes.items() if r is not Role.PET}) if apart else exam
    reference = uptake_reference(exam.pet, None if apart else organs) if exam.pet is not None else None

    # Organs are measured while foci are searched for: neither needs the other, and each takes seconds.
    with ThreadPoolExecutor(max_workers=1) as beside:
        search = beside.submit(_matched_foci, exam, organs, reference, images)
        measured = measure(laid, organs, pituitary, reference)
        quantities = Quantities({**measured.values, **acquisition_quantities(exam, reference)})
        classifier = stages.classifier
        learned = {} if classifier is None else classifier.score(laid, organs, pituitary, baseline_images(images))
        findings = assess_findings(
            laid, organs=organs, pituitary=pituitary, quantities=quantities, learned=learned, earlier=history,
            fusion=stages.fusion,
        )
        found = search.result()
    foci = found.foci if found is not None else ()
    attributed = attribute(
        foci, findings=findings, quantities=quantities, context=exam.context, on=exam.acquired_on,
        reference=reference, earlier=history, unseen=unseen_organs(None if apart else organs),
        learned=stages.attribution,
    )
    # Nodes are counted once it is known what is none: ureters and tonsils lie outside all masks, too.
    normal = {a.focus.id for a in attributed if a.nature is Nature.PHYSIOLOGIC}
    quantities = Quantities({**quantities.values, **measure_foci(foci, laid, organs, normal=normal)})
    findings += assess_further(laid, organs=organs, quantities=quantities, earlier=history)

    notices = [*exam.notices, *(reference.notices if reference else ()), *(found.notices if found else ())]
    notices += [*attribution_notices(attributed, stages.attribution)]
    notices += [*expected_gaps(exam, history, organs, pituitary)]
    notices += [
        *activation_notices(quantities, exam.context, exam.acquired_on, COMMON), *uncertain_notices(findings)
    ]
    result = ExamResult(
        patient=exam.patient,
        acquired_on=exam.acquired_on,
        modalities=tuple(sorted(DICOM_MODALITY[role] for role in exam.volumes)),
        organs=organs_seen(organs, pituitary),
        quantities=quantities,
        findings=findings,
        foci=attributed,
        assessments=(),
        hinges_on=(),
        triage=triage_exam(
            findings=findings, foci=attributed, assessments=(), notices=notices, context=exam.context,
            on=exam.acquired_on,
        ),
        notices=tuple(notices),
        versions=versions,
        series={role: origin.series_uid for role, origin in exam.origins.items()},
    )
    result = with_response(result, history=history, context=exam.context, criteria=stages.criteria)
    return AssessedExam(
        result=result, organs=organs, pituitary=pituitary,
        foci_labels=found.labels if found else None, foci_geometry=found.geometry if found else None,
        evidence_maps={irae: s.evidence_map for irae, s in learned.items() if s.evidence_map is not None},
    )


def _matched_foci(
    exam: Exam, organs: LabelMap | None, reference: UptakeReference | None, images: Sequence[EarlierExam]
) -> FociFound | None:
    """The foci of an exam, matched to earlier ones; None where neither CT nor PET can be searched."""
    if exam.ct is None and exam.pet is None:
        return None
    found = find_foci(exam, organs=organs, reference=reference)
    body = [past for past in images if past.exam.ct is not None or past.exam.pet is not None]
    return match_foci(found, exam, earlier=body, reference=reference)


def baseline_images(images: Sequence[EarlierExam]) -> BaselineImages | None:
    """What the learned arm compares with: the oldest body CT (and its PET) and the oldest head MR at hand."""
    by_age = sorted(images, key=lambda past: past.exam.acquired_on)
    body = next((past for past in by_age if past.exam.ct is not None), None)
    head = next((past for past in by_age if past.exam.mr is not None), None)
    if body is None and head is None:
        return None
    suspected = {
        finding.irae
        for past, on_mr in ((body, False), (head, True)) if past is not None
        for finding in past.result.findings
        if isinstance(finding.irae, Irae) and finding.decision is Decision.SUSPECTED
        and (finding.irae is Irae.HYPOPHYSITIS) is on_mr
    }
    return BaselineImages(
        ct=body.exam.ct if body else None, pet=body.exam.pet if body else None, organs=body.organs if body else None,
        mr=head.exam.mr if head else None, pituitary=head.pituitary if head else None,
        suspected=frozenset(suspected),
    )


def with_response(
    result: ExamResult, *, history: Sequence[ExamResult], context: PatientContext, criteria: Sequence[str] | None
) -> ExamResult:
    """The result with the response of the course so far, in both views, and the triage that follows from it."""
    course, baseline = scorable_course([*history, result], context)
    if not course or course[-1].acquired_on != result.acquired_on:
        gap = Notice("response_not_scored", "Response is not scored: this exam has neither CT nor PET of the body.")
        return replace(result, notices=(*result.notices, gap))
    assessments, hinges = assess_course(course, criteria=criteria, baseline_index=baseline)
    return replace(
        result,
        assessments=assessments,
        hinges_on=hinges,
        triage=triage_exam(
            findings=result.findings, foci=result.foci, assessments=assessments, notices=result.notices,
            context=context, on=result.acquired_on,
        ),
    )


def assess_whole_course(exams: Sequence[ExamResult], *, context: PatientContext, on: date | None = None) -> Course:
    """One patient's exams together: patterns and what is due.

    Args:
        exams: All results of the patient, oldest first; at least one.
        context: What is known of the patient besides the images.
        on: The day "overdue" is judged on; None: the day of the last exam.
    """
    if not exams:
        raise ValueError("a course needs at least one exam")
    lesions, baseline = scorable_course(exams, context)
    return Course(
        patient=exams[0].patient,
        exams=tuple(exams),
        patterns=patterns(lesions, baseline_index=baseline) if len(lesions) > 1 else (),
        due=due(lesions, on=on, baseline_index=baseline) if lesions else (),
        revisions=revisions(exams),
    )


def scorable_course(
    results: Sequence[ExamResult], context: PatientContext
) -> tuple[tuple[ExamLesions, ...], int]:
    """What response criteria see: the exams with CT or PET of the body, and which of them is the baseline.

    The baseline is the last exam before (or within a week of) the first checkpoint-inhibitor dose where that is
    known, else the first exam.
    """
    body = [r for r in results if {"CT", "PT"} & set(r.modalities)]
    start = context.immunotherapy_start()
    before = [i for i, r in enumerate(body) if start is not None and r.acquired_on <= start + BASELINE_GRACE]
    return tuple(_lesions_of(r, context) for r in body), max(before, default=0)


def _lesions_of(result: ExamResult, context: PatientContext) -> ExamLesions:
    q = result.quantities
    status = context.latest(ContextKind.CLINICAL_STATUS, result.acquired_on)
    return ExamLesions(
        acquired_on=result.acquired_on,
        foci=result.foci,
        has_ct="CT" in result.modalities,
        has_pet="PT" in result.modalities,
        slice_thickness_mm=q.get("ct.slice_mm"),
        suv_to_sul=q.get("pet.suv_to_sul"),
        why_no_sul=q.values["pet.suv_to_sul"].why if "pet.suv_to_sul" in q.values else "",
        liver_mean_suv=q.get("pet.liver_mean"),
        liver_sd_suv=q.get("pet.liver_sd"),
        blood_pool_mean_suv=q.get("pet.blood_pool_mean"),
        blood_pool_sd_suv=q.get("pet.blood_pool_sd"),
        uptake_minutes=q.get("pet.uptake_minutes"),
        clinical_deterioration=status == "deteriorating",
    )


def acquisition_quantities(exam: Exam, reference: UptakeReference | None) -> Mapping[str, Measured]:
    """What response criteria of later exams need to know of this exam's acquisition."""
    values: dict[str, Measured] = {}
    if exam.ct is not None:
        axis = exam.ct.geometry.axis_of(2)
        values["ct.slice_mm"] = Measured(value=round(exam.ct.geometry.spacing_mm[axis], 3), unit="mm")
    if exam.pet is not None and reference is not None:
        origin = exam.origins.get(Role.PET)
        values["pet.suv_to_sul"] = Measured(
            value=exam.suv_to_sul, unit="1", why=origin.why_no_sul if origin and exam.suv_to_sul is None else ""
        )
        values["pet.uptake_minutes"] = Measured(value=origin.uptake_minutes if origin else None, unit="min")
        for name in ("liver_mean", "liver_sd", "blood_pool_mean", "blood_pool_sd"):
            values[f"pet.{name}"] = Measured(value=getattr(reference, name), unit="g/mL")
    return values


def organs_seen(*maps: LabelMap | None) -> dict[str, OrganSeen]:
    """What was found of each organ, over all label maps of the exam."""
    seen: dict[str, OrganSeen] = {}
    for labels in maps:
        if labels is None:
            continue
        boxes = organ_boxes(labels)
        for organ, coverage in labels.coverage.items():
            label = labels.labels.get(organ, 0)
            voxels = np.count_nonzero(labels.array[boxes[organ]] == label) if organ in boxes else 0
            seen[organ] = OrganSeen(
                label=label,
                volume_ml=float(voxels) * labels.geometry.voxel_volume_ml,
                coverage=coverage,
                rejected=labels.rejected.get(organ, ""),
            )
    return seen


def unseen_organs(organs: LabelMap | None) -> frozenset[str]:
    """Organs of the body that were not found, or whose mask was not believed; all of them without a label map."""
    body = {organ.name for organ in ORGANS if organ.irae is not Irae.HYPOPHYSITIS}
    return frozenset(body if organs is None else (name for name in body if not organs.seen(name)))


def result_unseen(result: ExamResult) -> frozenset[str]:
    """As ``unseen_organs``, from what a result says was seen."""
    body = {organ.name for organ in ORGANS if organ.irae is not Irae.HYPOPHYSITIS}
    seen = {name for name, organ in result.organs.items() if organ.label and organ.coverage is not Coverage.NONE}
    return frozenset(body - seen)


def expected_gaps(
    exam: Exam, history: Sequence[ExamResult], organs: LabelMap | None, pituitary: LabelMap | None
) -> list[Notice]:
    """Gaps that a reader must know of: no PET, no CT, no baseline, masks that were not believed."""
    notices = []
    if exam.ct is None:
        notices.append(Notice("no_ct", "No usable CT: organs of the body and lesion sizes cannot be assessed."))
    if exam.pet is None:
        notices.append(Notice("no_pet", "No PET with usable SUV: uptake cannot be assessed."))
    if exam.mr is None:
        notices.append(Notice("no_head_mr", "No contrast-enhanced T1 head MR: the pituitary cannot be assessed."))
    if not history:
        notices.append(Notice("no_baseline", "No earlier exam: change against the patient's own baseline is unknown."))
    for labels in (organs, pituitary):
        if labels is not None:
            notices += [Notice("organ_mask_rejected", f"{o}: {why}") for o, why in sorted(labels.rejected.items())]
    return notices
