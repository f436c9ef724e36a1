"""The true response of the drawn metastases, by arithmetic on their true diameters alone.

Written apart from ``irae.response`` on purpose: a benchmark of the product's categories needs an answer that the
product did not give. RECIST 1.1 (Eisenhauer 2009) and iRECIST (Seymour 2017) in their plain cases; inflammation, benign
nodes and everything else that is not a metastasis is left out, which is what a reader who knew the truth would do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from irae.core.anatomy import site_of
from irae.core.focus import Nature
from irae.phantom.patient import LesionCourse, Patient

MAX_TARGETS, MAX_PER_ORGAN = 5, 2
MEASURABLE_MM, MEASURABLE_NODE_MM, NORMAL_NODE_MM = 10.0, 15.0, 10.0
# "Unequivocal progression" of what is not measured has no published number: their sum of diameters must rise by this.
NON_TARGET_SHARE, NON_TARGET_MM = 0.5, 10.0
TOLERANCE = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionTruth:
    """One metastasis at one visit.

    Attributes:
        track: Its identity over visits.
        site: As criteria count organs.
        is_node: A lymph node, measured by its short axis.
        role: ``target``, ``non_target`` (both from the baseline) or ``new``.
        course: ``response``, ``pseudoprogression``, ``new`` ...
        longest_mm, short_mm: True axial diameters; 0 where it is gone or has not come yet.
    """

    track: str
    site: str
    is_node: bool
    role: str
    course: str
    longest_mm: float
    short_mm: float

    @property
    def size_mm(self) -> float:
        """What is summed: the short axis of a node, the longest diameter of anything else."""
        return self.short_mm if self.is_node else self.longest_mm


@dataclass(frozen=True, slots=True, kw_only=True)
class ResponseTruth:
    """The true response at one visit; empty words at the baseline.

    Attributes:
        recist11, irecist: Overall response (CR PR SD PD; iCR iPR iSD iUPD iCPD).
        target, non_target: Of the parts (``NA`` without such lesions).
        sum_mm, baseline_mm, nadir_mm: Sums of the targets' diameters; the nadir is that before this visit.
        new_tracks: Metastases that the baseline did not have and that are there now.
    """

    recist11: str
    irecist: str
    target: str
    non_target: str
    sum_mm: float
    baseline_mm: float
    nadir_mm: float
    new_tracks: tuple[str, ...]


def _roles(lesions: Sequence[LesionCourse]) -> dict[str, str]:
    """Targets: the largest measurable ones, two an organ, five in all."""
    roles = {x.track: "non_target" if x.diameter_mm[0] > 0 else "new" for x in lesions}
    counts: dict[str, int] = {}
    for x in sorted(lesions, key=lambda x: (-x.diameter_mm[0], x.track)):
        node = x.organ == "lymph_node"
        size = x.diameter_mm[0] * (x.ratio[1] if node else 1.0)
        site = site_of(x.organ)
        large = size >= (MEASURABLE_NODE_MM if node else MEASURABLE_MM) - TOLERANCE
        # Bone is measurable only with a soft-tissue mass, which the phantom does not draw.
        free = sum(counts.values()) < MAX_TARGETS and counts.get(site, 0) < MAX_PER_ORGAN
        if large and free and site != "bone":
            roles[x.track] = "target"
            counts[site] = counts.get(site, 0) + 1
    return roles


def lesion_truths(patient: Patient, visit: int) -> tuple[LesionTruth, ...]:
    """Every metastasis of a patient with its true diameters at a visit; absent ones too, with size 0."""
    lesions = [x for x in patient.lesions if x.nature is Nature.METASTASIS]
    roles = _roles(lesions)
    return tuple(
        LesionTruth(
            track=x.track,
            site=site_of(x.organ),
            is_node=x.organ == "lymph_node",
            role=roles[x.track],
            course=x.course,
            longest_mm=round(x.diameter_mm[visit], 2),
            short_mm=round(x.diameter_mm[visit] * x.ratio[1], 2),
        )
        for x in lesions
    )


def _target_word(now: Sequence[LesionTruth], sum_mm: float, baseline_mm: float, nadir_mm: float) -> str:
    if not now:
        return "NA"
    if all(x.size_mm < NORMAL_NODE_MM if x.is_node else x.size_mm == 0 for x in now):
        return "CR"
    if sum_mm - nadir_mm >= 5.0 - TOLERANCE and sum_mm - nadir_mm >= 0.2 * nadir_mm - TOLERANCE:
        return "PD"
    return "PR" if baseline_mm - sum_mm >= 0.3 * baseline_mm - TOLERANCE else "SD"


def _non_target_word(now: Sequence[LesionTruth], least_mm: float) -> str:
    if not now:
        return "NA"
    if all(x.size_mm < NORMAL_NODE_MM if x.is_node else x.size_mm == 0 for x in now):
        return "CR"
    total = sum(x.size_mm for x in now)
    grown = total - least_mm
    return "PD" if grown >= NON_TARGET_MM and grown >= NON_TARGET_SHARE * least_mm else "NON-CR/NON-PD"


def _overall(target: str, non_target: str, new: bool) -> str:
    if new or "PD" in (target, non_target):
        return "PD"
    if target == "NA":
        return "CR" if non_target in {"CR", "NA"} else "NON-CR/NON-PD"
    return "PR" if target == "CR" and non_target == "NON-CR/NON-PD" else target


@dataclass(slots=True)
class _Unconfirmed:
    """What was seen when progression was last called unconfirmed."""

    target_mm: float | None
    non_target_mm: float | None
    new_mm: dict[str, float]


def _confirms(
    seen: _Unconfirmed, target: str, non_target: str, sums: tuple[float, float], new: dict[str, float]
) -> bool:
    """Whether a visit confirms the progression called before it (iRECIST, table 2)."""
    if seen.target_mm is not None and sums[0] - seen.target_mm >= 5.0 - TOLERANCE:
        return True
    if seen.non_target_mm is not None and sums[1] > seen.non_target_mm + TOLERANCE:
        return True
    if set(new) - set(seen.new_mm) or sum(new.values()) - sum(seen.new_mm.values()) >= 5.0 - TOLERANCE:
        return True
    # Progression of a part that had not progressed before.
    return (target == "PD" and seen.target_mm is None) or (non_target == "PD" and seen.non_target_mm is None)


def response_truths(patient: Patient) -> tuple[ResponseTruth, ...]:
    """The true response at every visit, the baseline first."""
    out: list[ResponseTruth] = []
    sums: list[float] = []
    least_other = float("inf")
    waiting: _Unconfirmed | None = None
    confirmed = False
    for visit in range(len(patient.visits)):
        lesions = lesion_truths(patient, visit)
        targets, others = ([x for x in lesions if x.role == role] for role in ("target", "non_target"))
        new = {x.track: x.size_mm for x in lesions if x.role == "new" and x.longest_mm > 0}
        total, other = sum(x.size_mm for x in targets), sum(x.size_mm for x in others)
        word = iword = target = non_target = ""
        if visit:
            target = _target_word(targets, total, sums[0], min(sums))
            non_target = _non_target_word(others, least_other)
            word = _overall(target, non_target, bool(new))
            if confirmed or (
                waiting is not None and word == "PD" and _confirms(waiting, target, non_target, (total, other), new)
            ):
                iword, confirmed = "iCPD", True
            elif word == "PD":
                iword = "iUPD"
                waiting = _Unconfirmed(
                    target_mm=total if target == "PD" else (waiting.target_mm if waiting else None),
                    non_target_mm=other if non_target == "PD" else (waiting.non_target_mm if waiting else None),
                    new_mm=new,
                )
            else:
                iword, waiting = "NON-iCR/NON-iUPD" if word == "NON-CR/NON-PD" else f"i{word}", None
        out.append(
            ResponseTruth(
                recist11=word,
                irecist=iword,
                target=target,
                non_target=non_target,
                sum_mm=round(total, 2),
                baseline_mm=round(sums[0] if sums else total, 2),
                nadir_mm=round(min(sums) if sums else total, 2),
                new_tracks=tuple(sorted(new)),
            )
        )
        sums.append(total)
        least_other = min(least_other, other)
    return tuple(out)
