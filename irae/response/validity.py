"""Whether a baseline is measurable and its targets are allowed (RECIST 1.1 sections 3.1, 4.2; rules R11-M, R11-B)."""

from __future__ import annotations

from fractions import Fraction

from irae.response.lengths import PER_MM
from irae.response.options import Options
from irae.response.rules import RECIST_11, Recist11Rules
from irae.response.values import Imaging, Target, Visit

# Rule R11-M3: disease that is never measurable, whatever its size.
NOT_MEASURABLE = frozenset({
    "leptomeningeal", "ascites", "pleural_effusion", "pericardial_effusion", "inflammatory_breast",
    "lymphangitis", "organomegaly", "blastic_bone",
})


def least_size_mm(
    is_node: bool, imaging: Imaging, options: Options, rules: Recist11Rules = RECIST_11
) -> int | Fraction:
    """The smallest measurable size in mm: short axis of a node, longest diameter of anything else (R11-M1, R11-M2)."""
    thick = imaging.slice_mm is not None and imaging.slice_mm > rules.thin_slice_mm
    doubled = 2 * imaging.slice_mm if thick and imaging.slice_mm is not None else 0
    if is_node:
        least = rules.node_measurable_mm
        return max(least, doubled) if options.node_slices == "max_15_or_2_slices" else least
    if imaging.modality.upper() in ("CXR", "XR", "X-RAY", "XRAY"):
        return rules.xray_measurable_mm
    return max(rules.lesion_measurable_mm, doubled)


def is_measurable(target: Target, imaging: Imaging, options: Options, rules: Recist11Rules = RECIST_11) -> bool:
    """Whether a lesion may be a target."""
    size = target.short if target.is_node else target.longest
    if size is None or target.disease in NOT_MEASURABLE:
        return False
    return size >= least_size_mm(target.is_node, imaging, options, rules) * PER_MM


def node_class(short: int, rules: Recist11Rules = RECIST_11) -> str:
    """A node by its short axis in tenths of mm (rule R11-M2).

    >>> node_class(99), node_class(100), node_class(150)
    ('normal', 'pathological_non_target', 'target_eligible')
    """
    if short < rules.node_normal_below_mm * PER_MM:
        return "normal"
    return "target_eligible" if short >= rules.node_measurable_mm * PER_MM else "pathological_non_target"


def violations(
    baseline: Visit, imaging: Imaging, options: Options, rules: Recist11Rules = RECIST_11
) -> tuple[str, ...]:
    """What the choice of targets breaks: ``max_targets``, ``max_per_organ:<organ>``, ``not_measurable:<id>``."""
    found: list[str] = []
    if len(baseline.targets) > rules.max_targets:
        found.append("max_targets")
    sites: dict[str, int] = {}
    for target in baseline.targets:
        sites[target.site] = sites.get(target.site, 0) + 1
    found.extend(f"max_per_organ:{site}" for site in sorted(sites) if sites[site] > rules.max_per_organ)
    found.extend(
        f"not_measurable:{t.id}" for t in baseline.targets if not is_measurable(t, imaging, options, rules)
    )
    return tuple(found)
