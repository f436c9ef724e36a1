"""The twelve features of the evidence score, each one function from a focus and its situation to points and words."""

from __future__ import annotations

from collections.abc import Callable

from irae.attribution.rules import IRAE_SITE, EvidenceRules
from irae.attribution.situation import (
    BONE_SITE,
    NODE_SITE,
    Situation,
    fell,
    grew,
    is_hilar,
    is_opacity,
    same_look,
)
from irae.core.anatomy import BY_NAME, IRAE_ORGANS, Uptake, site_of
from irae.core.focus import Focus, FocusStatus, Nature, ScorePart
from irae.core.numbers import exceeds, reaches

Feature = Callable[[Focus, Situation, EvidenceRules], ScorePart | None]


def is_focal(focus: Focus, rules: EvidenceRules) -> bool:
    """A single spot rather than the picture of an organ, a tube or an opacity."""
    return not focus.features.get("picture", 0.0) and not is_opacity(focus, rules)


def is_stretch(focus: Focus, rules: EvidenceRules) -> bool:
    """A long hot stretch of bowel: how much of it is hot changes from day to day, and is no growth."""
    get = focus.features.get
    return (focus.organ in {"colon", "small_bowel"} and reaches(get("length_mm", 0.0), rules.segmental_mm)
            and get("sphericity", 1.0) < rules.stretch_sphericity)


def is_at_joint(focus: Focus, rules: EvidenceRules) -> bool:
    """Bone as far off the midline as shoulders, hips and knees are, and alike on the other side."""
    get = focus.features.get
    far = abs(get("off_midline_mm", 0.0)) >= rules.joint_off_mm
    return focus.organ == BONE_SITE and far and reaches(get("symmetry", 0.0), rules.joint_alike)


def organ_share(focus: Focus, now: Situation, rules: EvidenceRules) -> ScorePart | None:
    """F1: how much of an irAE organ is involved; for lung opacities, all of them together."""
    site = site_of(focus.organ)
    share = focus.features.get("organ_share")
    if site not in IRAE_SITE or share is None:
        return None
    if is_opacity(focus, rules):
        share = max(share, now.opacity_share)
    words = f"{100 * share:.0f} % of the {site.replace('_', ' ')}"
    if reaches(share, rules.organ_share_most):
        return ScorePart(feature="F1", value=words, points=rules.organ_share_most_points,
                         reason=f"It involves {words}: a process of the whole organ.")
    if reaches(share, rules.organ_share_some):
        return ScorePart(feature="F1", value=words, points=rules.organ_share_some_points,
                         reason=f"It involves {words}: a large part of the organ.")
    if share < rules.organ_share_little:
        return ScorePart(feature="F1", value=words, points=rules.organ_share_little_points,
                         reason=f"It involves only {100 * share:.1f} % of the {site.replace('_', ' ')}.")
    return ScorePart(feature="F1", value=words, points=0.0, reason=f"It involves {words}.")


def shape(focus: Focus, now: Situation, rules: EvidenceRules) -> ScorePart | None:
    """F2: a long segment of bowel speaks for inflammation, a small ball for metastasis.

    Nodes are judged by F6. A ball with opacity around it is a piece of that opacity, not a nodule.
    """
    length = focus.features.get("length_mm", focus.longest_mm)
    long = bool(focus.features.get("picture")) or reaches(focus.features.get("elongation", 9.0), rules.focal_elongation)
    if focus.organ in {"colon", "small_bowel"} and long and reaches(length, rules.segmental_mm):
        return ScorePart(feature="F2", value=f"{length:.0f} mm along the bowel", points=rules.segmental_points,
                         reason=f"It follows the bowel for {length:.0f} mm: segmental or diffuse, not focal.")
    sphericity = focus.features.get("sphericity", 0.0)
    small = focus.longest_mm <= rules.blob_mm + 1e-6
    if is_opacity(focus, rules) and reaches(focus.features.get("rim_ground_glass_fraction", 0.0), rules.within_opacity):
        return None
    if site_of(focus.organ) != NODE_SITE and small and reaches(sphericity, rules.blob_sphericity):
        return ScorePart(feature="F2", value=f"{focus.longest_mm:.0f} mm, sphericity {sphericity:.2f}",
                         points=rules.blob_points, reason=f"It is a small round focus of {focus.longest_mm:.0f} mm.")
    return None


def contrast(focus: Focus, now: Situation, rules: EvidenceRules) -> ScorePart | None:
    """F3: SUVpeak over the host organ's uptake. Not for lung opacities: the lung around is mostly air."""
    ratio = focus.features.get("contrast")
    if ratio is None or is_opacity(focus, rules) or focus.organ is None or site_of(focus.organ) == NODE_SITE:
        return None
    low, high = rules.contrast_mild
    if reaches(ratio, rules.contrast_high) and is_focal(focus, rules):
        return ScorePart(feature="F3", value=f"{ratio:.1f}", points=rules.contrast_high_points,
                         reason=f"Its SUVpeak is {ratio:.1f} times that of the surrounding organ.")
    if reaches(ratio, low) and ratio <= high and not is_focal(focus, rules):
        return ScorePart(feature="F3", value=f"{ratio:.1f}", points=rules.contrast_mild_points,
                         reason=f"Its uptake is diffuse and only {ratio:.1f} times that of the quiet organ.")
    return None


def symmetry(focus: Focus, now: Situation, rules: EvidenceRules) -> ScorePart | None:
    """F4: left against right, where sides are comparable: hilar nodes, thyroid lobes, joints, lung opacities.

    A mirror partner alone elsewhere is chance as often as inflammation.
    """
    value = focus.features.get("symmetry")
    if is_opacity(focus, rules):
        value, where = now.lung_symmetry, "the opacities of both lungs"
    elif is_hilar(focus):
        where = "the hilar and mediastinal nodes of both sides"
        if value is None:  # in the midline
            return None if not now.hilar_pair else ScorePart(
                feature="F4", value="midline", points=rules.pattern_points,
                reason="It lies between hilar nodes that are alike on both sides (sarcoid-like pattern).")
    elif focus.organ == "thyroid_gland" and focus.features.get("picture"):
        where = "the thyroid lobes"
    elif is_at_joint(focus, rules):
        where = "the joints of both sides"
    else:
        return None
    if value is None:
        return None
    if reaches(value, rules.symmetric):
        return ScorePart(feature="F4", value=f"{value:.2f}", points=rules.symmetric_points,
                         reason=f"Symmetric: {where} are alike ({value:.2f}).")
    if value <= rules.one_sided:
        return ScorePart(feature="F4", value=f"{value:.2f}", points=rules.one_sided_points,
                         reason=f"One-sided: {where} differ ({value:.2f}).")
    return None


def ct_correlate(focus: Focus, now: Situation, rules: EvidenceRules) -> ScorePart | None:
    """F5: what the CT shows there."""
    get, site = focus.features.get, site_of(focus.organ)
    if "ct_hu_mean" not in focus.features:
        return None
    if is_opacity(focus, rules):
        hazy = max(get("ground_glass_fraction", 0.0), get("rim_ground_glass_fraction", 0.0))
        return ScorePart(feature="F5", value=f"opacity, {100 * hazy:.0f} % ground glass", points=rules.opacity_points,
                         reason="The CT shows ground glass or consolidation without a nodule.")
    if site == BONE_SITE and is_focal(focus, rules):
        mean = get("ct_hu_mean", 0.0)
        if mean > rules.sclerotic_hu or get("lytic_fraction", 0.0) >= rules.lytic_fraction:
            kind = "sclerotic" if mean > rules.sclerotic_hu else "lytic"
            return ScorePart(feature="F5", value=f"{kind}, {mean:.0f} HU", points=rules.bone_points,
                             reason=f"The bone is {kind} there ({mean:.0f} HU).")
        return None
    if focus.organ in {"colon", "small_bowel"}:
        wall = now.quantities.get(f"{focus.organ}.wall_mm")
        if wall is not None and reaches(wall, rules.wall_mm):
            return ScorePart(feature="F5", value=f"wall {wall:.1f} mm", points=rules.opacity_points,
                             reason=f"The bowel wall is thickened ({wall:.1f} mm).")
        return ScorePart(feature="F5", value="no CT sign", points=rules.bowel_pet_only_points,
                         reason="The bowel shows uptake without a mass on CT.")
    nodule = get("ct_nodule_mm", 0.0)
    if site != NODE_SITE and reaches(nodule, rules.nodule_mm):
        return ScorePart(feature="F5", value=f"nodule {nodule:.0f} mm", points=rules.nodule_points,
                         reason=f"The CT shows a discrete nodule of {nodule:.0f} mm.")
    return None


def node_shape(focus: Focus, now: Situation, rules: EvidenceRules) -> ScorePart | None:
    """F6: round nodes are suspect, oval ones are not. Needs the CT: a PET contour is round by blur."""
    if not focus.is_node or focus.longest_mm <= 0 or not focus.features.get("size_from_ct"):
        return None
    ratio = focus.short_mm / focus.longest_mm
    if reaches(ratio, rules.round_node):
        return ScorePart(feature="F6", value=f"{ratio:.2f}", points=rules.round_node_points,
                         reason=f"The node is round (short over long axis {ratio:.2f}).")
    if ratio < rules.oval_node:
        return ScorePart(feature="F6", value=f"{ratio:.2f}", points=rules.oval_node_points,
                         reason=f"The node is oval (short over long axis {ratio:.2f}).")
    return None


def onset(focus: Focus, now: Situation, rules: EvidenceRules) -> ScorePart | None:
    """F7: whether an irAE of this organ usually begins at this time of the therapy."""
    site = site_of(focus.organ)
    if site not in rules.window_weeks:
        return None
    if now.before_therapy:
        return ScorePart(feature="F7", value="before therapy", points=-rules.onset_points,
                         reason="The exam precedes checkpoint inhibitor therapy: an irAE is not possible yet.")
    if now.weeks is None:
        return None
    first, last = rules.window_weeks[site]
    inside = first <= now.weeks <= last
    points = rules.onset_points if inside else -rules.onset_points
    words = f"week {now.weeks:.0f} of therapy"
    text = f"It appears in {words}, {'inside' if inside else 'outside'} the usual onset of weeks {first:g}-{last:g}"
    if inside and now.combination:
        points += rules.combination_points
        text += ", on combined anti-CTLA-4 therapy"
    return ScorePart(feature="F7", value=words, points=points, reason=f"{text}.")


def other_irae(focus: Focus, now: Situation, rules: EvidenceRules) -> ScorePart | None:
    """F8: another organ with a suspected irAE at this exam."""
    others = sorted(
        irae.value for irae in now.suspected if focus.organ not in IRAE_ORGANS[irae]
        and IRAE_SITE.get(site_of(focus.organ)) is not irae
    )
    if not others:
        return None
    return ScorePart(feature="F8", value=", ".join(others), points=rules.other_irae_points,
                     reason=f"Another irAE is suspected at this exam ({', '.join(others)}).")


def lesion_context(focus: Focus, now: Situation, rules: EvidenceRules) -> ScorePart | None:
    """F9: where this tumour spreads, and what the known lesions do."""
    points, words = 0.0, []
    site = site_of(focus.organ)
    if site in now.metastatic and is_focal(focus, rules):
        points += rules.metastatic_site_points
        words.append(f"the {site.replace('_', ' ')} is a usual site of spread")
    growing, shrinking = now.growing - {focus.track}, now.shrinking - {focus.track}
    if len(growing) >= rules.others:
        points += rules.growing_points
        words.append(f"{len(growing)} other known lesions grow")
    elif shrinking and not growing:
        points += rules.shrinking_points
        words.append(f"{len(shrinking)} known lesions shrink and none grows")
    if not words:
        return None
    text = "; ".join(words)
    return ScorePart(feature="F9", value=text, points=points, reason=f"{text[0].upper()}{text[1:]}.")


def over_time(focus: Focus, now: Situation, rules: EvidenceRules) -> ScorePart | None:
    """F10: what the same place did since it was last seen.

    A focal spot says nothing of a later picture of the whole organ. A fall counts for inflammation only if the focus
    appeared under therapy and was never called metastasis: known metastases fall too when the therapy works.
    """
    before = now.earlier.get(focus.track)
    if before is None or focus.status is FocusStatus.NEW:
        return None
    attributed, on, untreated = before
    when = on.isoformat()
    was_tumour = attributed.nature is Nature.METASTASIS
    variable = focus.organ in BY_NAME and BY_NAME[focus.organ].uptake is not Uptake.LOW
    if focus.features.get("picture") and attributed.focus.features.get("picture") and variable:
        return ScorePart(feature="F10", value=f"same on {when}", points=rules.same_at_baseline_points,
                         reason=f"The same pattern was there on {when}.")
    if focus.status is FocusStatus.KNOWN and not same_look(attributed.focus, focus):
        return None
    points, words = 0.0, []
    if was_tumour:
        points += rules.called_metastasis_points
        words.append(f"it was called metastasis on {when}")
    spot = is_focal(focus, rules) and not is_stretch(focus, rules)
    if focus.status is FocusStatus.KNOWN and spot and grew(focus, rules):
        points += rules.grew_points
        words.append(f"it grew since {when} ({focus.features.get('longest_change_mm', 0.0):+.0f} mm, "
                     f"SUVpeak x {focus.features.get('suv_peak_ratio', 1.0):.1f})")
    elif not was_tumour and not untreated and (focus.status is FocusStatus.GONE or fell(focus, rules)):
        points += rules.fell_points
        words.append(f"it {'vanished' if focus.status is FocusStatus.GONE else 'fell by 30 % or more'} since {when}")
    if not words:
        return None
    text = ", ".join(words)
    return ScorePart(feature="F10", value=text, points=points, reason=f"{text[0].upper()}{text[1:]}.")


def is_believable(focus: Focus, points: float, rules: EvidenceRules) -> bool:
    """Whether a new focus counts for PERCIMT: focal, hotter than liver and surroundings, by itself a metastasis."""
    if not is_focal(focus, rules) or focus.status is not FocusStatus.NEW or focus.suv_peak is None:
        return False
    hot = reaches(focus.features.get("liver_ratio", rules.percimt_liver_ratio), rules.percimt_liver_ratio)
    return (hot or bool(focus.features.get("size_from_ct"))) and reaches(-points, rules.favour)


def percimt_met(foci: list[Focus], rules: EvidenceRules) -> str:
    """The PERCIMT criterion for progression that these new focal lesions meet, in words; empty if none.

    >>> from irae.core.focus import Focus
    >>> two = [Focus(id=i, centroid_ras_mm=(0, 0, 0), volume_ml=3, longest_mm=18, short_mm=15) for i in (1, 2)]
    >>> percimt_met(two, EvidenceRules())
    '2 new lesions over 15 mm'
    """
    for count, longer_mm in rules.percimt:
        many = [f for f in foci if longer_mm == 0 or exceeds(f.longest_mm, longer_mm)]
        if len(many) >= count:
            return f"{len(many)} new lesions" + (f" over {longer_mm:g} mm" if longer_mm else "")
    return ""


# F11 are gates, not points; F12 needs the other foci's natures and is added by ``attribute``.
FEATURES: tuple[Feature, ...] = (
    organ_share, shape, contrast, symmetry, ct_correlate, node_shape, onset, other_irae, lesion_context, over_time,
)

# Features that name a sign of inflammation itself. Onset, other irAEs and context alone never make one.
SIGNS = frozenset({"F1", "F2", "F4", "F5", "F6", "F10"})
# What by itself forbids to call a focus inflammation: a nodule, destroyed bone, growth of what was tumour.
VETOES = frozenset({"F5", "F10"})
