"""What later exams show of lesions that earlier ones called otherwise."""

from __future__ import annotations

from collections.abc import Sequence

from irae.attribution.situation import same_look
from irae.core.course import Revision
from irae.core.focus import AttributedFocus, FocusStatus, Nature
from irae.core.result import ExamResult

# Natures that a later exam can show a lesion to be. Becoming undecided, or fading into normal uptake, shows nothing.
SHOWN = frozenset({Nature.INFLAMMATION, Nature.METASTASIS})


def revisions(exams: Sequence[ExamResult]) -> tuple[Revision, ...]:
    """Every change of a track's nature to inflammation or metastasis, in the order of the exams that show it.

    Args:
        exams: Results of one patient, oldest first. Earlier results are read, never rewritten.
    """
    found: list[Revision] = []
    last: dict[str, tuple[ExamResult, AttributedFocus]] = {}
    for exam in exams:
        for a in exam.foci:
            track = a.focus.track
            if not track:
                continue
            before = last.get(track)
            if before is not None and a.nature in SHOWN and a.nature is not before[1].nature and _alike(before[1], a):
                found.append(Revision(
                    track=track, said=before[1].nature, said_on=before[0].acquired_on, shown=a.nature,
                    shown_on=exam.acquired_on, reason=a.reasons[0],
                ))
            if before is None or a.nature is not Nature.INDETERMINATE:
                last[track] = exam, a
    return tuple(found)


def _alike(before: AttributedFocus, after: AttributedFocus) -> bool:
    return after.focus.status is FocusStatus.GONE or same_look(before.focus, after.focus)
