"""Real World Value Mapping objects beside a PET: a second opinion on the SUV, never the source of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from irae.core.exam import Role
from irae.io.archive.codes import Outcome
from irae.io.archive.headers import read_dataset
from irae.io.archive.values import FoundFile, SeriesPlan

_AGREES = 0.01


def suv_factors(file: FoundFile) -> tuple[list[float], frozenset[str]]:
    """(factors to SUVbw, SOP Instance UIDs they are for) of one mapping object; empty without SUVbw."""
    dataset: Any = read_dataset(file, pixels=False)
    factors: list[float] = []
    targets: set[str] = set()
    for item in dataset.get("ReferencedImageRealWorldValueMappingSequence") or ():
        for mapping in item.get("RealWorldValueMappingSequence") or ():
            units = mapping.get("MeasurementUnitsCodeSequence") or ()
            if any("suvbw" in str(unit.get("CodeValue", "")).lower() for unit in units):
                factors.append(float(mapping.get("RealWorldValueSlope", float("nan"))))
                images = item.get("ReferencedImageSequence") or ()
                targets.update(str(image.ReferencedSOPInstanceUID) for image in images)
    return factors, frozenset(targets)


def compared_with_mappings(
    chosen: dict[Role, SeriesPlan], unchosen: Sequence[SeriesPlan]
) -> tuple[dict[Role, SeriesPlan], list[SeriesPlan]]:
    """The exam's series with every mapping object of the chosen PET compared and its verdict said."""
    pet = chosen.get(Role.PET)
    result: list[SeriesPlan] = []
    for plan in unchosen:
        if plan.modality != "RWV" or pet is None or pet.suv_factor is None or not pet.headers:
            result.append(plan)
            continue
        instances = {header.text("SOPInstanceUID") for header in pet.headers}
        try:
            factors, targets = suv_factors(plan.files[0])
        except Exception as error:  # a damaged table says nothing about the PET
            text = f"the mapping object does not read ({type(error).__name__})"
            result.append(plan.decided(Outcome.QUARANTINED, "header_broken", text))
            continue
        if not factors:
            result.append(plan)
            continue
        if not targets & instances:
            text = f"its factor {factors[0]:.6g} is for other images than the chosen PET; not used"
            result.append(plan.decided(Outcome.IGNORED, "suv_mapping", text))
            continue
        if not all(math.isfinite(factor) and factor > 0 for factor in factors):
            text = "the mapping object names no usable factor"
            result.append(plan.decided(Outcome.QUARANTINED, "header_broken", text))
            continue
        own = pet.suv_factor
        if all(abs(factor / own - 1.0) <= _AGREES for factor in factors):
            text = f"its factor {factors[0]:.6g} agrees with {own:.6g} from the PET header"
            result.append(plan.decided(Outcome.USED, "suv_mapping_agrees", text))
        else:
            ratio = factors[0] / own
            text = f"its factor {factors[0]:.6g} is {ratio:.4g} times {own:.6g} from the PET header; not believed"
            result.append(plan.decided(Outcome.IGNORED, "suv_mapping_contradicts", text))
        pet = pet.decided(pet.outcome, pet.code, pet.text, f"mapping object {plan.series_uid}: {text}")
    return ({**chosen, Role.PET: pet} if pet is not None else chosen), result
