"""Recipes that turn a folder in the layout of a public set, or of one's own, into a manifest.

Nothing is downloaded and nothing copied: a manifest names files where they lie. Licences are those that the sets' own
pages state; they are written into every row, and are to be read again before use.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from irae.io.annotations import organ_named
from irae.io.manifest import FileRole, Row, Split, sha256_of

# Sets without dates: every exam gets this one.
NO_DATE = date(2000, 1, 1)
# Where a set has no splits: shares of the patients, drawn by the sha256 of their key, so that they never change.
SHARES = ((Split.TEST, 0.15), (Split.VALIDATION, 0.15), (Split.TRAIN, 0.70))
AMOS_LABELS = (
    "spleen", "right_kidney", "left_kidney", "_gallbladder", "_esophagus", "liver", "stomach", "aorta",
    "_inferior_vena_cava", "pancreas", "adrenal_gland_right", "adrenal_gland_left", "_duodenum", "bladder",
    "_prostate_uterus",
)
# AMOS numbers its CTs up to 500, its MRs above.
AMOS_LAST_CT = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """How a set becomes rows. source: where a user gets it. licence: as its page states it."""

    rows: Callable[[Path, Recipe], Iterator[Row]]
    source: str
    licence: str
    holds: str

    def row(
        self, root: Path, file: Path, *, patient: str, role: FileRole, split: Split, on: date = NO_DATE,
        label: str = "", sex: str = "", scanner: str = "",
    ) -> Row:
        """A row for a file of the set."""
        return Row(
            patient=patient, exam=on, role=role, file=file.relative_to(root).as_posix(), sha256=sha256_of(file),
            label=label, licence=self.licence, split=split, sex=sex, scanner=scanner,
        )


def split_of(patient: str) -> Split:
    """The split of a patient of a set that has none: the same for the same key, always."""
    place = int(hashlib.sha256(patient.encode()).hexdigest()[:8], 16) / 2**32
    for split, share in SHARES:
        if place < share:
            return split
        place -= share
    return Split.TRAIN


def manifest_rows(name: str, root: Path) -> list[Row]:
    """The rows of a set.

    Raises:
        ValueError: If there is no such recipe, or nothing of its layout in the folder.
    """
    if name not in RECIPES:
        raise ValueError(f"recipe {name!r} is unknown; the choices are {', '.join(RECIPES)}")
    if not root.is_dir():
        raise ValueError(f"{root}: no such folder")
    recipe = RECIPES[name]
    rows = list(recipe.rows(root, recipe))
    if not rows:
        raise ValueError(f"{root}: nothing in the layout of {name} ({recipe.holds})")
    return rows


def _totalsegmentator(root: Path, recipe: Recipe) -> Iterator[Row]:
    """``s0001/ct.nii.gz``, ``s0001/segmentations/<class>.nii.gz``, ``meta.csv`` (semicolons) with its own split."""
    about = _table(root / "meta.csv", "image_id", delimiter=";")
    splits = {"train": Split.TRAIN, "val": Split.VALIDATION, "test": Split.TEST}
    for image in sorted(root.glob("*/ct.nii.gz")):
        patient = image.parent.name
        its = about.get(patient, {})
        split = splits.get(its.get("split", ""), split_of(patient))
        more: dict[str, Any] = {"sex": _sex(its.get("gender", "")), "scanner": its.get("manufacturer", "")}
        yield recipe.row(root, image, patient=patient, role=FileRole.CT, split=split, **more)
        for mask in sorted((image.parent / "segmentations").glob("*.nii.gz")):
            name = mask.name.removesuffix(".nii.gz")
            if organ_named(name) is not None:
                yield recipe.row(
                    root, mask, patient=patient, role=FileRole.ORGANS, split=split, label=name, **more
                )


def _amos(root: Path, recipe: Recipe) -> Iterator[Row]:
    """``imagesTr|imagesVa/amos_0001.nii.gz`` with ``labelsTr|labelsVa``; the organisers' validation set is the test."""
    label = ";".join(f"{name}={value}" for value, name in enumerate(AMOS_LABELS, start=1))
    tables = sorted(root.glob("labeled_data_meta*.csv"))
    about = _table(tables[0], "amos_id") if tables else {}
    for part in ("Tr", "Va"):
        for image in sorted((root / f"images{part}").glob("amos_*.nii.gz")):
            drawn = root / f"labels{part}" / image.name
            number = int(re.sub(r"\D", "", image.name.split(".")[0]))
            if number > AMOS_LAST_CT or not drawn.is_file():
                continue
            patient = image.name.removesuffix(".nii.gz")
            split = Split.TEST if part == "Va" else split_of(patient)
            if part == "Tr" and split is Split.TEST:
                split = Split.TRAIN
            its = about.get(str(number), {})
            more: dict[str, Any] = {"sex": _sex(its.get("Patient's Sex", "")), "scanner": its.get("Manufacturer", "")}
            yield recipe.row(root, image, patient=patient, role=FileRole.CT, split=split, **more)
            yield recipe.row(root, drawn, patient=patient, role=FileRole.ORGANS, split=split, label=label, **more)


def _autopet(root: Path, recipe: Recipe) -> Iterator[Row]:
    """``PETCT_<id>/<MM-DD-YYYY>-.../{CTres,SUV,SEG}.nii.gz``: all three on the PET's grid."""
    for suv in sorted(root.glob("PETCT_*/*/SUV.nii.gz")):
        folder = suv.parent
        patient, split = folder.parent.name, split_of(folder.parent.name)
        try:
            day = datetime.strptime(folder.name[:10], "%m-%d-%Y").date()
        except ValueError:
            day = NO_DATE
        yield recipe.row(root, suv, patient=patient, role=FileRole.PET, split=split, on=day)
        for name, role in (("CTres.nii.gz", FileRole.CT), ("SEG.nii.gz", FileRole.FOCI)):
            if (folder / name).is_file():
                label = "lesion=1" if role is FileRole.FOCI else ""
                yield recipe.row(root, folder / name, patient=patient, role=role, split=split, on=day, label=label)


def _covid_lungs(root: Path, recipe: Recipe) -> Iterator[Row]:
    """``COVID-19-CT-Seg_20cases/<case>.nii.gz`` and ``Lung_Mask/<case>.nii.gz`` (1 left, 2 right, infection within)."""
    for image in sorted((root / "COVID-19-CT-Seg_20cases").glob("*.nii.gz")):
        drawn = root / "Lung_Mask" / image.name
        if not drawn.is_file():
            continue
        patient = image.name.removesuffix(".nii.gz")
        split = split_of(patient)
        yield recipe.row(root, image, patient=patient, role=FileRole.CT, split=split)
        label = "lung_left=1;lung_right=2"
        yield recipe.row(root, drawn, patient=patient, role=FileRole.ORGANS, split=split, label=label)


def _own(root: Path, recipe: Recipe) -> Iterator[Row]:
    """What ``irae convert`` writes, with what was drawn beside it.

    ``<patient>/<YYYY-MM-DD>/{ct,pet_suv,mr_t1c}.nii.gz``; ``organs*``, ``pituitary*`` and ``foci*`` as .nii.gz or .dcm
    (SEG, RTSTRUCT) in the same folder; ``exams.csv`` beside the patients with the columns ``patient, exam, label`` and,
    if wanted, ``split, sex, scanner, organs`` (names of the values in organs.nii.gz, ``liver=5;colon=3``).
    """
    about = _table(root / "exams.csv", "patient", "exam")
    for folder in sorted(path for path in root.glob("*/*") if path.is_dir()):
        try:
            day = date.fromisoformat(folder.name)
        except ValueError:
            continue
        patient = folder.parent.name
        its = about.get(f"{patient} {day}", {})
        split = Split(its["split"]) if its.get("split") else split_of(patient)
        more: dict[str, Any] = {"sex": its.get("sex", ""), "scanner": its.get("scanner", "")}
        labelled = False
        for role in FileRole:
            names = [f"{role.value}.nii.gz"] if role.image is not None else [
                f"{role.value}*.nii.gz", f"{role.value}*.dcm"
            ]
            for file in sorted(path for name in names for path in folder.glob(name)):
                label = its.get("organs", "") if role is FileRole.ORGANS else ""
                if role.image is not None and not labelled:
                    label, labelled = its.get("label", ""), True
                yield recipe.row(root, file, patient=patient, role=role, split=split, on=day, label=label, **more)


def _table(path: Path, *keys: str, delimiter: str = ",") -> dict[str, Mapping[str, str]]:
    if not path.is_file():
        return {}
    with path.open(newline="", encoding="utf-8-sig") as file:
        return {" ".join(row[key] for key in keys): row for row in csv.DictReader(file, delimiter=delimiter)}


def _sex(text: str) -> str:
    return {"m": "M", "f": "F", "male": "M", "female": "F"}.get(text.strip().lower(), "")


RECIPES: dict[str, Recipe] = {
    "totalsegmentator": Recipe(
        rows=_totalsegmentator, source="doi.org/10.5281/zenodo.10047292", licence="CC BY 4.0",
        holds="<subject>/ct.nii.gz, <subject>/segmentations/<class>.nii.gz, meta.csv",
    ),
    "amos": Recipe(
        rows=_amos, source="doi.org/10.5281/zenodo.7155725", licence="CC BY 4.0",
        holds="imagesTr, labelsTr, imagesVa, labelsVa with amos_<number>.nii.gz",
    ),
    "autopet_fdg": Recipe(
        rows=_autopet, source="doi.org/10.7937/gkr0-xv29", licence="TCIA restricted",
        holds="PETCT_<id>/<date>-.../CTres.nii.gz, SUV.nii.gz, SEG.nii.gz",
    ),
    "covid_lungs": Recipe(
        rows=_covid_lungs, source="doi.org/10.5281/zenodo.3757476", licence="CC BY-NC-SA 4.0",
        holds="COVID-19-CT-Seg_20cases/<case>.nii.gz, Lung_Mask/<case>.nii.gz",
    ),
    "own": Recipe(
        rows=_own, source="irae convert", licence="own data, not to be passed on",
        holds="<patient>/<YYYY-MM-DD>/{ct,pet_suv,mr_t1c}.nii.gz",
    ),
}
