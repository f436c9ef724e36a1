"""Everything that can be wrong with a manifest's files for a task, found before training starts and told at once."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from irae.core.anatomy import Irae
from irae.core.errors import StudyError
from irae.core.exam import ROLE_QUANTITY
from irae.core.geometry import Geometry
from irae.core.volume import LabelMap, Volume
from irae.io.annotations import organ_named, organs_of, read_annotations
from irae.io.annotations.value import Annotation
from irae.io.manifest import UNUSED, ExamRows, FileRole, Manifest, ManifestError, Problem, Row, Split, sha256_of
from irae.io.nifti import read_volume
from irae.training.memory import available_bytes, shortage
from irae.training.settings import (
    ClassificationSettings,
    FociSettings,
    SegmentationSettings,
    Target,
    VoxelSettings,
)

ANNOTATED_ON = {FileRole.ORGANS: FileRole.CT, FileRole.PITUITARY: FileRole.MR}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamChecked:
    """What was seen of an exam's files.

    Attributes:
        pixels: Image role to the sha256 of its voxels and shape, whatever file they are in.
        grids: Image role to its grid.
        drawn: Organs that have voxels. annotated: Organs that were looked for; the rest is unknown, not absent.
        problems: What is wrong.
    """

    pixels: Mapping[FileRole, str] = field(default_factory=dict)
    grids: Mapping[FileRole, Geometry] = field(default_factory=dict)
    drawn: frozenset[str] = frozenset()
    annotated: frozenset[str] = frozenset()
    problems: tuple[Problem, ...] = ()


def check_manifest(
    manifest: Manifest, settings: VoxelSettings | ClassificationSettings, *, on_disk: bool = False,
    memory_bytes: float | None = None, workers: int = 2,
) -> Mapping[str, ExamChecked]:
    """Reads every file once and compares it with the table and the task.

    Args:
        manifest: The table.
        settings: The task to train.
        on_disk: Whether prepared cases are kept on disk and not in memory.
        memory_bytes: What may be taken; what is free now where absent.
        workers: Threads that read.

    Returns:
        What was seen, by exam key.

    Raises:
        ManifestError: With every problem.
    """
    with ThreadPoolExecutor(workers) as pool:
        seen = pool.map(lambda exam: check_exam(exam, manifest.root), manifest.exams)
        checked = dict(zip((exam.key for exam in manifest.exams), seen, strict=True))
    problems = [problem for seen in checked.values() for problem in seen.problems]
    problems += _same_pixels(manifest, checked)
    problems += list(_unfit(manifest, checked, settings))
    if isinstance(settings, VoxelSettings):
        role = image_role(settings)
        kept = (*manifest.of(Split.TRAIN), *manifest.of(Split.VALIDATION))
        grids = [checked[exam.key].grids[role] for exam in kept if role in checked[exam.key].grids]
        available = available_bytes() if memory_bytes is None else memory_bytes
        text = shortage(grids, settings, on_disk=on_disk, available=available)
        problems += [Problem("task", "memory", text)] if text else []
    if problems:
        raise ManifestError(manifest.name, sorted(set(problems)))
    return checked


def image_role(settings: VoxelSettings) -> FileRole:
    """The image whose grid a network's cases lie on."""
    if isinstance(settings, FociSettings):
        return FileRole.PET
    on_mr = isinstance(settings, SegmentationSettings) and settings.target is Target.pituitary
    return FileRole.MR if on_mr else FileRole.CT


def check_exam(exam: ExamRows, root: Path) -> ExamChecked:
    """Reads the files of one exam."""
    problems: list[Problem] = []
    pixels, grids = {}, {}
    there = [row for row in exam.rows if _is_there(row, root, problems)]
    for row in there:
        if row.role.image is None:
            continue
        try:
            volume = read_volume(root / row.file, ROLE_QUANTITY[row.role.image])
        except (StudyError, ValueError) as error:
            problems.append(_problem(row, error))
            continue
        digest = hashlib.sha256(repr(volume.array.shape).encode())
        digest.update(np.ascontiguousarray(volume.array).tobytes())
        pixels[row.role], grids[row.role] = digest.hexdigest(), volume.geometry
    drawn: set[str] = set()
    annotated: set[str] = set()
    for row in there:
        onto = grids.get(grid_role(row, exam)) if row.role.image is None else None
        if onto is None:
            continue
        try:
            found = annotations_of(row, root, onto)
        except StudyError as error:
            problems.append(_problem(row, error))
            continue
        drawn |= {item.organ for item in found if item.organ is not None}
        annotated |= organs_looked_for(row, found)
    return ExamChecked(
        pixels=pixels, grids=grids, drawn=frozenset(drawn), annotated=frozenset(annotated), problems=tuple(problems)
    )


def grid_role(row: Row, exam: ExamRows) -> FileRole:
    """The image that an annotation is drawn on."""
    if row.role is FileRole.FOCI:
        return FileRole.CT if exam.of(FileRole.CT) else FileRole.PET
    return ANNOTATED_ON[row.role]


def annotations_of(row: Row, root: Path, onto: Geometry) -> Sequence[Annotation]:
    """What an annotation file marks; nothing where it is a mask of one region that the field of view does not show.

    Raises:
        StudyError: As ``io.annotations.read_annotations``; ``annotation_names`` where a label value has no name.
    """
    values = {name: int(value) for name, value in row.labels.items() if value}
    names = list(row.labels)
    if row.role is FileRole.PITUITARY and not names:
        values = {"pituitary": 1}
    elif len(names) == 1 and not values:
        values = {names[0]: 1}
    try:
        read = read_annotations(root / row.file, onto, names=values or None)
    except StudyError as error:
        if error.code == "annotation_empty":
            return ()
        raise
    unnamed = [text for _, code, text in read.left_out if code == "annotation_names"]
    if unnamed and row.role is not FileRole.FOCI:
        raise StudyError("annotation_names", f"{row.file}: {'; '.join(unnamed)}")
    return tuple(item for item in read.annotations if not item.name.startswith(UNUSED))


def organs_looked_for(row: Row, found: Iterable[Annotation]) -> set[str]:
    """Organs that an annotation file would show if they were there."""
    if row.role is FileRole.FOCI:
        return set()
    if row.role is FileRole.PITUITARY:
        return {"pituitary"}
    named = {organ_named(name) for name in row.labels if not name.startswith(UNUSED)}
    stem = Path(row.file).name.removesuffix(".gz").removesuffix(".nii")
    drawn = {item.organ for item in found}
    return {organ for organ in (named | drawn or {organ_named(stem)}) if organ is not None}


def organs_in(exam: ExamRows, root: Path, onto: Geometry, role: FileRole) -> LabelMap:
    """The organs (or the pituitary) of an exam on its image's grid, from all its files of a role."""
    return organs_of((item for row in exam.of(role) for item in annotations_of(row, root, onto)), onto)


def image_of(exam: ExamRows, root: Path, role: FileRole) -> Volume | None:
    """An image of an exam; None where it has none."""
    rows = exam.of(role)
    if not rows or role.image is None:
        return None
    return read_volume(root / rows[0].file, ROLE_QUANTITY[role.image])


def _is_there(row: Row, root: Path, problems: list[Problem]) -> bool:
    path = root / row.file
    if not path.is_file():
        problems.append(Problem(f"exam {row.exam_key}", "missing", f"{row.file}: there is no such file"))
        return False
    found = sha256_of(path)
    if found != row.sha256:
        problems.append(Problem(
            f"exam {row.exam_key}", "sha256",
            f"{row.file}: has sha256 {found[:12]}..., the table says {row.sha256[:12]}...; the file was changed",
        ))
        return False
    return True


def _problem(row: Row, error: StudyError | ValueError) -> Problem:
    code = error.code if isinstance(error, StudyError) else "values"
    text = str(error)
    return Problem(f"exam {row.exam_key}", code, text if Path(row.file).name in text else f"{row.file}: {text}")


def _same_pixels(manifest: Manifest, checked: Mapping[str, ExamChecked]) -> list[Problem]:
    owners: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
    for exam in manifest.exams:
        for digest in checked[exam.key].pixels.values():
            owners[digest].add((exam.key, exam.split.value))
    return [
        Problem("pixels", "leak", "the same voxels are in two splits: "
                + ", ".join(f"{key} ({split})" for key, split in sorted(found)))
        for found in owners.values() if len({split for _, split in found}) > 1
    ]


def _unfit(
    manifest: Manifest, checked: Mapping[str, ExamChecked], settings: VoxelSettings | ClassificationSettings
) -> Iterable[Problem]:
    """What the table lacks for the task, split by split."""
    for split in (Split.TRAIN, Split.VALIDATION, Split.TEST):
        exams = manifest.of(split)
        if not exams:
            yield Problem(f"split {split.value}", "empty", "has no exam; a task needs train, validation and test")
        elif isinstance(settings, SegmentationSettings):
            yield from _without_organs(split, exams, checked, settings)
        elif isinstance(settings, FociSettings):
            yield from _without_foci(split, exams)
    if isinstance(settings, ClassificationSettings):
        for split in (Split.TRAIN, Split.VALIDATION, Split.CALIBRATION, Split.TEST):
            yield from _without_class(split, manifest.of(split), settings)


def _without_organs(
    split: Split, exams: Sequence[ExamRows], checked: Mapping[str, ExamChecked], settings: SegmentationSettings
) -> Iterable[Problem]:
    wanted = {"pituitary"} if settings.target is Target.pituitary else set(settings.labels)
    role = image_role(settings)
    used = [exam for exam in exams if exam.of(role)]
    if not used:
        yield Problem(f"split {split.value}", "no_image", f"no exam has a {role.value}, which the task needs")
        return
    for exam in used:
        seen = checked[exam.key]
        unknown = sorted(wanted - seen.annotated)
        if unknown and not seen.problems:
            yield Problem(
                f"exam {exam.key}", "not_annotated",
                f"{', '.join(unknown)}: not annotated, and would be taught as background; leave them out of "
                "task.labels, or annotate them",
            )
    drawn = set().union(*(checked[exam.key].drawn for exam in used))
    absent = sorted(wanted - drawn)
    if absent:
        yield Problem(f"split {split.value}", "class_absent", f"no exam shows {', '.join(absent)}")


def _without_foci(split: Split, exams: Sequence[ExamRows]) -> Iterable[Problem]:
    if not any(all(exam.of(role) for role in (FileRole.CT, FileRole.PET, FileRole.FOCI)) for exam in exams):
        yield Problem(f"split {split.value}", "no_image", "no exam has a ct, a pet and foci, which the task needs")


def _without_class(split: Split, exams: Sequence[ExamRows], settings: ClassificationSettings) -> Iterable[Problem]:
    for name in settings.iraes:
        irae = Irae(name.value)
        role = FileRole.MR if irae is Irae.HYPOPHYSITIS else FileRole.CT
        values = [exam.iraes[irae] for exam in exams if irae in exam.iraes and exam.of(role)]
        for value, word in (("1", "with"), ("0", "without")):
            if exams and value not in values:
                yield Problem(
                    f"split {split.value}", "class_absent",
                    f"no exam {word} {irae.value} that has a {role.value}; both classes are needed",
                )
