"""Small annotated data sets on disk: stand-in bodies and heads as NIfTI, with a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from irae.core.geometry import Geometry
from irae.io.manifest import FileRole, Row, Split, sha256_of, write_manifest
from irae.io.nifti import write_labels, write_volume
from tests.training.stand_in import body, head

ORGAN_NAMES = "lung_left=1;lung_right=2;liver=5;spleen=6"


class SetOnDisk:
    """Collects rows while files are written below a folder."""

    def __init__(self, root: Path) -> None:
        self.root, self.rows = root, []

    def add(self, patient: str, day: date, role: FileRole, file: str, split: Split, **more: Any) -> Row:
        values = {"licence": "CC BY 4.0", "sha256": sha256_of(self.root / file)} | more
        self.rows.append(Row(patient=patient, exam=day, role=role, file=file, split=split, **values))
        return self.rows[-1]

    def body(self, number: int, split: Split, *, spacing_mm: float = 16.0, positive: bool | None = None,
             day: date = date(2026, 1, 1), patient: str | None = None, **more: Any) -> None:
        """CT, PET and organs of one body; positive: its liver is hot, and labelled hepatitis."""
        exam, truth = body(number, spacing_mm, hot=bool(positive))
        patient = patient or f"S{number}"
        folder = f"{patient}/{day}"
        write_volume(self.root / folder / "ct.nii.gz", exam.ct)
        write_volume(self.root / folder / "pet_suv.nii.gz", exam.pet)
        write_labels(self.root / folder / "organs.nii.gz", truth.array, truth.geometry)
        label = "" if positive is None else f"hepatitis={int(positive)}"
        self.add(patient, day, FileRole.CT, f"{folder}/ct.nii.gz", split, label=label, **more)
        self.add(patient, day, FileRole.PET, f"{folder}/pet_suv.nii.gz", split, **more)
        self.add(patient, day, FileRole.ORGANS, f"{folder}/organs.nii.gz", split, label=ORGAN_NAMES, **more)

    def head(self, number: int, split: Split) -> None:
        sample = head(number, spacing_mm=4.0)
        folder = f"H{number}/2026-01-01"
        write_volume(self.root / folder / "mr_t1c.nii.gz", sample.image)
        write_labels(
            self.root / folder / "pituitary.nii.gz", (sample.truth.array > 0).astype(np.uint8), sample.truth.geometry
        )
        self.add(f"H{number}", date(2026, 1, 1), FileRole.MR, f"{folder}/mr_t1c.nii.gz", split)
        self.add(f"H{number}", date(2026, 1, 1), FileRole.PITUITARY, f"{folder}/pituitary.nii.gz", split)

    def write(self, name: str = "set.csv") -> Path:
        return write_manifest(self.root / name, self.rows)


def bodies(root: Path, *, train: int = 3, validation: int = 1, test: int = 2, classes: bool = False,
           spacing_mm: float = 16.0) -> Path:
    """A manifest of stand-in bodies; with classes every second is positive (of hepatitis)."""
    made = SetOnDisk(root)
    number = 0
    for split, count in ((Split.TRAIN, train), (Split.VALIDATION, validation), (Split.TEST, test)):
        for _ in range(count):
            made.body(number, split, positive=number % 2 == 1 if classes else None, spacing_mm=spacing_mm,
                      sex="MF"[number % 2], scanner="AB"[number // 2 % 2])
            number += 1
    return made.write()


def moved(geometry: Geometry, by_mm: Sequence[float]) -> Geometry:
    """The same grid elsewhere."""
    affine = geometry.affine.copy()
    affine[:3, 3] += np.array(by_mm)
    return Geometry(shape=geometry.shape, affine=affine)
