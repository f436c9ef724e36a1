"""``irae evaluate``: what models are worth on exams whose truth is known, as a page and as JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from irae.training.annotated import AnnotatedExam

WRONG_CALL = 2
WEIGHTS = Path(__file__).resolve().parents[2] / "weights"
# Training has seeds up to a few thousand, measuring from a million on; an evaluation has its own.
FIRST_SEED = 5_000_000


def evaluate(
    out: Annotated[Path, typer.Option(help="Folder for evaluation.html and evaluation.json.")],
    data: Annotated[str, typer.Option(help="phantom, or a manifest (.csv, .json).")] = "phantom",
    root: Annotated[Path | None, typer.Option(help="The data set's folder; the manifest's own where absent.")] = None,
    split: Annotated[str, typer.Option(help="Split of the manifest.")] = "test",
    weights: Annotated[Path, typer.Option(help="Folder of model packages.")] = WEIGHTS,
    patients: Annotated[int, typer.Option(min=1, help="Synthetic patients.")] = 24,
    seed: Annotated[int, typer.Option(min=0, help="First seed of the synthetic patients.")] = FIRST_SEED,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the networks.")] = 1,
) -> None:
    """Measures organs, irAEs and foci with intervals over patients, by subgroup, as one page and one JSON."""
    try:
        exams, about = known_exams(data, root=root, split=split, seeds=range(seed, seed + patients))
        document = evaluated(exams, about, weights=weights, threads=threads)
    except ValueError as error:
        typer.echo(f"irae evaluate: {error}", err=True)
        raise typer.Exit(WRONG_CALL) from error
    write_evaluation(out, document)
    typer.echo(f"{document['patients']} patients: {out / 'evaluation.html'}, {out / 'evaluation.json'}")


def known_exams(
    data: str, *, root: Path | None, split: str, seeds: range
) -> tuple[Iterable[AnnotatedExam], dict[str, Any]]:
    """The exams of the phantom or of a manifest's split, and what a page says about them.

    Raises:
        ValueError: If the manifest is wrong or the split is unknown or empty.
    """
    if data == "phantom":
        from irae.training.phantom_exams import phantom_exams
        from irae.training.phantom_source import generator_digest
        from irae.training.provenance import SYNTHETIC_LIMITS

        what = f"synthetic patients, seeds {seeds.start} to {seeds.stop - 1}"
        return phantom_exams(seeds), {
            "name": "phantom", "what": what, "digest": generator_digest(), "limits": SYNTHETIC_LIMITS,
        }
    from irae.io.manifest import ManifestError, Split, read_manifest
    from irae.training.manifest_checks import check_exam
    from irae.training.manifest_source import ManifestSource

    if split not in {one.value for one in Split}:
        raise ValueError(f"--split {split}: the choices are {', '.join(one.value for one in Split)}")
    manifest = read_manifest(Path(data), root=root)
    chosen = manifest.of(Split(split))
    if not chosen:
        raise ValueError(f"{data}: no exam is of the split {split}")
    problems = [problem for exam in chosen for problem in check_exam(exam, manifest.root).problems]
    if problems:
        raise ManifestError(manifest.name, sorted(set(problems)))
    source = ManifestSource(manifest)
    licences = ", ".join(manifest.licences(Split(split)))
    return source.exams(source.numbers(Split(split))), {
        "name": manifest.name, "what": f"manifest, split {split}, licence {licences}", "digest": manifest.digest,
        "limits": "Measured at one site; other sites, scanners and patients may differ. Research use only.",
    }


def evaluated(
    exams: Iterable[AnnotatedExam], about: dict[str, Any], *, weights: Path, threads: int = 1
) -> dict[str, Any]:
    """The document of an evaluation.

    Raises:
        ValueError: If a package is missing or refused.
    """
    from irae.models.classifiers import PackagedClassifier
    from irae.models.foci import PackagedFociNetwork
    from irae.models.runtime import use_threads
    from irae.models.segmenters import PackagedSegmenter
    from irae.training.evaluation import FOCUS_MM, SURFACE_MM
    from irae.training.evaluation import evaluate as measure
    from irae.training.evaluation_summary import summary

    if not weights.is_dir():
        raise ValueError(f"--weights {weights}: no such folder")
    use_threads(threads)
    segmenter, classifier = PackagedSegmenter.from_folder(weights), PackagedClassifier.from_folder(weights)
    lesions = PackagedFociNetwork.from_folder(weights)
    found = measure(exams, segmenter=segmenter, classifier=classifier, lesions=lesions)
    return summary(found) | {
        "data": about,
        "models": {**segmenter.digests, **classifier.digests, **(lesions.digests if lesions is not None else {})},
        "limits": {"surface_mm": SURFACE_MM, "focus_mm": FOCUS_MM},
    }


def write_evaluation(out: Path, document: dict[str, Any]) -> None:
    """The page and the JSON of an evaluation."""
    from irae.io.atomic import write_text
    from irae.report.evaluation_page import write_evaluation_page

    write_text(out / "evaluation.json", json.dumps(document, indent=1) + "\n")
    write_evaluation_page(out / "evaluation.html", document)
