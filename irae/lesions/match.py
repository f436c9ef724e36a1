"""The same lesion over time: earlier foci found again, new ones, and those that are gone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import linear_sum_assignment

from irae.core.anatomy import site_of
from irae.core.exam import Exam
from irae.core.focus import Focus, FocusStatus, Nature
from irae.lesions.follow import follow, in_field, label_at
from irae.lesions.hiding import covers
from irae.lesions.register import Mapping, register
from irae.lesions.retrospect import looked_back
from irae.lesions.values import EarlierExam, FociFound, Known
from irae.quant.shape import ball_mm
from irae.quant.uptake import UptakeReference


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchRules:
    """When two foci of two exams may be one lesion. Design values, except where a source is named."""

    # Registration and breathing leave about 10 mm; a large lesion's centre moves with its shape.
    gate_mm: float = 20.0
    gate_per_radius: float = 0.6
    gone_gate_mm: float = 10.0  # of a track that an exam did not show: what comes back comes back where it was
    # Cost in mm of a difference that speaks against identity.
    other_site_mm: float = 8.0
    size_ratio_mm: float = 4.0  # per factor e of volume
    # A track that the newest exam does not show (it had merged into another, or was hidden or gone) gives way to one
    # that it shows: a piece of a lesion, once, is as large as what is left of the whole.
    unlisted_mm: float = 20.0
    # Of fat on CT (share of the focus) and of soft tissue: brown fat beside a node is not the node.
    fat_share: float = 0.6
    soft_share: float = 0.3
    fat_mean_hu: float = -50.0
    # A second earlier lesion (merged) or a second focus now (split) lies inside the other's extent.
    inside_share: float = 0.8


MATCH_RULES = MatchRules()
CT_SEARCHED = frozenset({"lung", "liver"})  # sites in which lesions are found on a CT alone


def match_foci(
    found: FociFound, exam: Exam, *, earlier: Sequence[EarlierExam], reference: UptakeReference | None = None,
    rules: MatchRules = MATCH_RULES,
) -> FociFound:
    """Gives every focus its identity over the patient's exams.

    Every track is looked for where the newest exam that listed it (present, not gone) saw it, mapped through the
    registration of that exam to this one. One global assignment (least total cost) over distance, size and site within
    a gate decides which focus is which track. What remains:

    - an unmatched track that this exam's images show at its place becomes a focus of its own (``follow``);
    - a known metastasis under a focus too large to be it, which shows nothing of it, is hidden: it is not listed;
    - an unmatched focus whose centre lies inside a matched lesion's earlier extent is a part of it (split): it gets
      its own track, and ``features["split_of"]`` holds the number of the parent's track;
    - any other unmatched focus is new; ``features["seen_days_before"]`` says how long before this exam an earlier one
      shows it already (``retrospect``);
    - an unmatched track whose place lies inside a focus that carries another track has merged into it:
      ``features["merged"]`` of that focus counts them; it is not called gone;
    - an unmatched track whose place was imaged is appended as GONE (0 mm, 0 mL, new ids after the others, organ and
      place as known); one that was not imaged is not listed.

    Tracks are ``L01``, ``L02`` ... in the order of their first appearance. A track once gone that is found again keeps
    its name.

    Args:
        found: The foci of this exam.
        exam: This exam.
        earlier: The earlier exams with their results, in any order.
        reference: Liver and blood pool of this exam's PET.
        rules: Gates and costs.

    Returns:
        The foci in their order, those followed, then the gone ones, track and status set; the labels with what was
        added; the notices, then those of known lesions that were followed or are hidden, of registrations that failed,
        and of new foci that earlier exams show.
    """
    past = sorted((e for e in earlier if e.exam is not exam), key=lambda e: e.exam.acquired_on)
    mappings: dict[int, Mapping] = {}

    def mapping(at: int) -> Mapping:
        if at not in mappings:
            mappings[at] = register(past[at].exam, exam)
        return mappings[at]

    known = _known_tracks(past, mapping)
    tracks = {a.focus.track for e in past for a in e.result.foci if a.focus.track}
    following = 1 + max((int(t[1:]) for t in tracks if t[1:].isdigit()), default=0)
    pairs = _assigned(found.foci, known, rules)
    lost = [k for at, k in enumerate(known) if at not in set(pairs.values())]
    followed = follow(found, exam, lost, reference)
    found = followed.found
    foci = list(found.foci)
    first = len(foci) - len(followed.tracks)
    pairs |= {first + n: known.index(track) for n, track in enumerate(followed.tracks)}
    matched: list[Focus] = []
    for at, focus in enumerate(foci):
        if at in pairs:
            matched.append(_again(focus, known[pairs[at]].focus))
            continue
        features = dict(focus.features)
        parent = _parent(focus, [known[k] for k in pairs.values()], rules)
        if parent is not None:
            features["split_of"] = float(parent.focus.track[1:])
        matched.append(replace(focus, track=f"L{following:02d}", status=FocusStatus.NEW, features=features))
        following += 1
    matched, looked = looked_back(matched, past, mapping, exam.acquired_on)
    settled = {*pairs.values(), *(known.index(track) for track in followed.hidden)}
    foci = _with_gone(matched, known, settled, found, exam)
    failed = [m.notice for m in mappings.values() if m.notice is not None]
    return replace(found, foci=tuple(foci), notices=(*found.notices, *failed, *looked))


def _known_tracks(past: Sequence[EarlierExam], mapping: Callable[[int], Mapping]) -> list[Known]:
    """Every track as last seen, at the place where its newest listing (gone included) has it, mapped to this exam.

    A gone lesion's place was already mapped into the exam that lists it, so that mostly one registration is enough.
    """
    newest: dict[str, tuple[int, Focus]] = {}
    natures: dict[str, Nature] = {}
    gone: set[str] = set()
    for at, exam in enumerate(past):
        for attributed in exam.result.foci:
            focus = attributed.focus
            if focus.track and focus.status is not FocusStatus.GONE:
                newest[focus.track] = (at, focus)
                natures[focus.track] = attributed.nature
                gone.discard(focus.track)
            elif focus.track in newest:
                gone.add(focus.track)
                newest[focus.track] = (at, replace(newest[focus.track][1], centroid_ras_mm=focus.centroid_ras_mm))
    known = []
    for at in range(len(past)):
        here = [focus for which, focus in newest.values() if which == at]
        if here:
            places = mapping(at).to_now(np.array([f.centroid_ras_mm for f in here]))
            known += [
                Known(focus=focus, place=place, nature=natures[focus.track], gone=focus.track in gone,
                      listed=at == len(past) - 1)
                for focus, place in zip(here, places, strict=True)
            ]
    return sorted(known, key=lambda k: k.focus.track)


def _radius_mm(focus: Focus) -> float:
    return max(focus.longest_mm, ball_mm(focus.volume_ml)) / 2.0


def _gate_mm(now: Focus, track: Known, rules: MatchRules) -> float:
    """How far off a track's place a focus may be it: a tumour grows about its place, inflammation spreads from it."""
    least = rules.gone_gate_mm if track.gone else rules.gate_mm
    spreads = track.nature in (Nature.INFLAMMATION, Nature.PHYSIOLOGIC)
    radius = max(_radius_mm(track.focus), _radius_mm(now) if spreads else 0.0)
    return least + rules.gate_per_radius * radius


def _assigned(foci: Sequence[Focus], known: Sequence[Known], rules: MatchRules) -> dict[int, int]:
    """Index of focus to index of track: the assignment of least total cost within the gates."""
    if not foci or not known:
        return {}
    forbidden = 1e6
    cost = np.full((len(foci), len(known)), forbidden)
    for i, focus in enumerate(foci):
        for k, track in enumerate(known):
            before = track.focus
            picture = focus.features.get("picture", 0.0) > 0, before.features.get("picture", 0.0) > 0
            if all(picture) and focus.organ == before.organ:
                cost[i, k] = -100.0  # an organ's whole uptake is itself wherever its centre lies
                continue
            distance = float(np.linalg.norm(np.array(focus.centroid_ras_mm) - track.place))
            if distance > _gate_mm(focus, track, rules) or any(picture) or covers(focus, track):
                continue
            if _of_other_tissue(focus, before, rules):
                continue
            size = abs(np.log(max(focus.volume_ml, 0.05) / max(before.volume_ml, 0.05)))
            other = site_of(focus.organ) != site_of(before.organ)
            cost[i, k] = distance + rules.size_ratio_mm * size + rules.other_site_mm * other
            cost[i, k] += rules.unlisted_mm * (not track.listed)
    # Leaving a pair unmatched costs more than any permitted pair, so that as many lesions as possible are known again.
    rows, columns = linear_sum_assignment(cost)
    return {int(i): int(k) for i, k in zip(rows, columns, strict=True) if cost[i, k] < forbidden}


def _of_other_tissue(focus: Focus, before: Focus, rules: MatchRules) -> bool:
    """Whether the CTs show soft tissue in one and in the other fat, dark on average and not by partial volume alone."""
    if any("fat_fraction" not in f.features for f in (focus, before)):
        return False
    soft, fat = sorted((focus, before), key=lambda f: f.features["fat_fraction"])
    return (soft.features["fat_fraction"] <= rules.soft_share and fat.features["fat_fraction"] >= rules.fat_share
            and fat.features.get("ct_hu_mean", rules.fat_mean_hu) <= rules.fat_mean_hu)


def _again(focus: Focus, before: Focus) -> Focus:
    """A known lesion: its track, and how it changed since it was last seen."""
    features = dict(focus.features)
    features["longest_change_mm"] = focus.longest_mm - before.longest_mm
    if before.volume_ml > 0:
        features["volume_ratio"] = focus.volume_ml / before.volume_ml
    if focus.suv_peak is not None and before.suv_peak:
        features["suv_peak_ratio"] = focus.suv_peak / before.suv_peak
    is_node = before.is_node if before.organ == focus.organ or focus.organ is None else focus.is_node
    return replace(focus, track=before.track, status=FocusStatus.KNOWN, features=features, is_node=is_node)


def _parent(focus: Focus, matched: Sequence[Known], rules: MatchRules) -> Known | None:
    place = np.array(focus.centroid_ras_mm)
    inside = [
        k for k in matched
        if not k.focus.features.get("picture")
        and np.linalg.norm(place - k.place) <= rules.inside_share * _radius_mm(k.focus)
    ]
    return min(inside, key=lambda k: float(np.linalg.norm(place - k.place)), default=None)


def _with_gone(
    matched: list[Focus], known: Sequence[Known], settled: set[int], found: FociFound, exam: Exam
) -> list[Focus]:
    """Adds the tracks that are not settled: merged into another focus, gone, or (not imaged) left out."""
    foci = list(matched)
    following = 1 + max((f.id for f in foci), default=0)
    for k, track in enumerate(known):
        if k in settled:
            continue
        within = label_at(track.place, found.labels, found.geometry)
        host = next((i for i, f in enumerate(foci) if f.id == within), None)
        if host is not None and foci[host].status is FocusStatus.KNOWN and not foci[host].features.get("picture"):
            features = dict(foci[host].features)
            features["merged"] = features.get("merged", 0.0) + 1.0
            foci[host] = replace(foci[host], features=features)
            continue
        if not _imaged(track, exam):
            continue
        x, y, z = (float(c) for c in track.place)
        foci.append(replace(
            track.focus, id=following, centroid_ras_mm=(x, y, z), volume_ml=0.0, longest_mm=0.0, short_mm=0.0,
            suv_max=None, suv_peak=None, suv_mean=None, tlg=None, status=FocusStatus.GONE,
            features={"picture": track.focus.features.get("picture", 0.0)},
        ))
        following += 1
    return foci


def _imaged(track: Known, exam: Exam) -> bool:
    """Whether the place of a track lies in the field of view of an image of the kind it was seen on."""
    volume = exam.pet if track.focus.suv_max is not None and exam.pet is not None else exam.ct
    if exam.pet is None:
        searched = track.gone or site_of(track.focus.organ) in CT_SEARCHED
        if not (searched and track.focus.features.get("size_from_ct")):
            return False  # not seen on a CT alone is not gone
    return volume is not None and in_field(track.place, volume.geometry)
