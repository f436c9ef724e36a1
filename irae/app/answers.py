"""What readers answered on the worklist, as rows of a manifest for the classifiers.

A dismissal says that a suspected irAE was none, and why: a label 0. That an exam was read says nothing about its irAEs,
unless a site makes it its rule that a flag which was not dismissed was right.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path

from irae.core.anatomy import Irae
from irae.io.manifest import FileRole, Manifest, Row, Split, sha256_of
from irae.io.recipes import split_of
from irae.worklist.answers import Answer, Answers, Recorded

LICENCE = "own data, not to be passed on"
IMAGES = (FileRole.CT, FileRole.PET, FileRole.MR)


def rows_from_answers(
    out: Path, images: Path, root: Path, *, splits: Mapping[str, Split], read_confirms: bool = False
) -> list[Row]:
    """Rows of the exams that readers answered for.

    Args:
        out: The output folder whose worklist was answered; its masks become the organs.
        images: The exams as NIfTI, ``<patient>/<date>/ct.nii.gz`` ..., e.g. from ``irae convert``.
        root: The manifest's folder; both lie below it.
        splits: Of patients who have one. Others are learnt from or validated on, and never tested on: a reader who
            saw the model's flag is no independent truth.
        read_confirms: Whether a flag that was read and not dismissed counts as right.

    Returns:
        Nothing for exams whose images are not there, or that say nothing.
    """
    rows: list[Row] = []
    for key, answer in sorted(Answers(out).standing().items()):
        patient, _, day = key.rpartition("/")
        label = _label(answer, read_confirms=read_confirms)
        files = {role: images / patient / day / f"{role.value}.nii.gz" for role in IMAGES}
        there = {role: file for role, file in files.items() if file.is_file()}
        if not label or not there:
            continue
        split = splits.get(patient, split_of(patient))
        split = Split.TRAIN if split is Split.TEST and patient not in splits else split
        for number, (role, file) in enumerate(there.items()):
            rows.append(_row(file, root, patient, day, role, split, label if number == 0 else ""))
        organs = out / patient / day / "organs.nii.gz"
        names = _names(out / patient / day / "result.json")
        if organs.is_file() and names and FileRole.CT in there:
            rows.append(_row(organs, root, patient, day, FileRole.ORGANS, split, names))
    return rows


def with_rows(manifest: Manifest, rows: Iterable[Row], root: Path) -> list[Row]:
    """A manifest's rows, as seen from another folder, and further rows; exams that it has already keep theirs."""
    known = {exam.key for exam in manifest.exams}
    old = [
        row.model_copy(update={"file": Path(os.path.relpath(manifest.root / row.file, root)).as_posix()})
        for exam in manifest.exams for row in exam.rows
    ]
    return [*old, *(row for row in rows if row.exam_key not in known)]


def common_folder(folders: Sequence[Path]) -> Path:
    """The deepest folder that holds all of them."""
    return Path(os.path.commonpath([folder.resolve() for folder in folders]))


def _label(answer: Recorded, *, read_confirms: bool) -> str:
    known = {irae.value for irae in Irae}
    flagged = [name for name in answer.suspected if name in known]
    if answer.answer is Answer.DISMISSED:
        return ";".join(f"{name}=0" for name in flagged)
    return ";".join(f"{name}=1" for name in flagged) if read_confirms else ""


def _names(result: Path) -> str:
    try:
        organs = json.loads(result.read_text(encoding="utf-8"))["organs"]
        return ";".join(f"{name}={its['label']}" for name, its in organs.items() if name != "pituitary")
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _row(file: Path, root: Path, patient: str, day: str, role: FileRole, split: Split, label: str) -> Row:
    return Row(
        patient=patient, exam=date.fromisoformat(day), role=role,
        file=file.resolve().relative_to(root.resolve()).as_posix(), sha256=sha256_of(file), label=label,
        licence=LICENCE, split=split,
    )
