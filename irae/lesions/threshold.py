"""From which uptake on a region is hot: named methods, the best one that the scan allows."""

from __future__ import annotations

from dataclasses import dataclass

from irae.core.notice import Notice
from irae.lesions.rules import FociRules
from irae.quant.uptake import UptakeReference


@dataclass(frozen=True, slots=True)
class HotThreshold:
    """The general threshold of one scan, g/mL, the name of its method, and the sentence for the reader."""

    suv: float
    method: str
    notice: Notice


def hot_threshold(reference: UptakeReference | None, rules: FociRules) -> HotThreshold:
    """Chooses ``liver`` (PERCIST), else ``blood_pool`` (PERCIST, diseased liver), else ``fixed``."""
    known = reference or UptakeReference()
    rejected = []
    for name, factor, believable, mean, sd in (
        ("liver", rules.liver_factor, rules.liver_range_suv, known.liver_mean, known.liver_sd),
        ("blood_pool", rules.blood_pool_factor, rules.blood_pool_range_suv, known.blood_pool_mean,
         known.blood_pool_sd),
    ):
        words = name.replace("_", " ")
        if mean is None:
            rejected.append(f"{words} not measured")
        elif not believable[0] <= mean <= believable[1]:
            rejected.append(f"{words} SUVmean {mean:.2f} outside {believable[0]}-{believable[1]}")
        else:
            suv = factor * mean + rules.reference_sd * (sd or 0.0)
            why = f" ({'; '.join(rejected)})" if rejected else ""
            text = (f"Hot means SUV {suv:.1f} or more: {factor} x {words} mean {mean:.2f} + {rules.reference_sd:g} SD "
                    f"(PERCIST){why}; organs with a cut-off of their own and quiet surroundings are searched lower.")
            return HotThreshold(suv, name, Notice("hot_threshold", text))
    text = (f"Hot means SUV {rules.fixed_suv} or more (fixed threshold, no reference region: {'; '.join(rejected)}); "
            f"comparisons between scans are less certain.")
    return HotThreshold(rules.fixed_suv, "fixed", Notice("hot_threshold", text))
