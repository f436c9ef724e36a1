"""Where an irAE episode stands, given the answers of earlier exams."""

from __future__ import annotations

from collections.abc import Sequence

from irae.core.anatomy import AnyIrae
from irae.core.finding import Decision, EpisodeState, OrganFinding
from irae.core.result import ExamResult


def past_findings(irae: AnyIrae, earlier: Sequence[ExamResult]) -> tuple[OrganFinding, ...]:
    """The assessable answers of earlier exams for one irAE, oldest first."""
    return tuple(
        finding
        for result in earlier
        for finding in result.findings
        if finding.irae is irae and finding.decision is not Decision.NOT_ASSESSABLE
    )


def episode_state(
    decision: Decision, severity: int, past: Sequence[OrganFinding], *, improving_by: int = 1, receding: bool = False,
    lingering: bool = False,
) -> EpisodeState:
    """The state of the episode.

    An exam at which the organ cannot be judged does not end an episode: it stays ongoing. A resolved one stays
    resolved until it recurs. One that is no longer suspected but not back at the patient's own baseline is improving,
    not resolved.

    Args:
        decision, severity: The answer now.
        past: Assessable earlier answers, oldest first.
        improving_by: Severity steps to fall by, against the last answer, to be called improving.
        receding: The extent fell clearly although the severity step is the same.
        lingering: A sign is still clearly above the patient's own baseline.
    """
    before = [finding.decision is Decision.SUSPECTED for finding in past]
    open_episode = bool(before) and (before[-1] or past[-1].state is EpisodeState.IMPROVING)
    if decision is Decision.NOT_ASSESSABLE:
        if open_episode:
            return EpisodeState.ONGOING
        return EpisodeState.RESOLVED if any(before) else EpisodeState.NONE
    if decision is Decision.NOT_SUSPECTED:
        if open_episode and lingering:
            return EpisodeState.IMPROVING
        return EpisodeState.RESOLVED if any(before) else EpisodeState.NONE
    if not any(before):
        return EpisodeState.NEW
    if not open_episode:
        return EpisodeState.RECURRENT
    if past[-1].severity - severity >= improving_by:
        return EpisodeState.IMPROVING
    return EpisodeState.IMPROVING if receding and severity <= past[-1].severity else EpisodeState.ONGOING
