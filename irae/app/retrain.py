"""``irae retrain``: a challenger from new annotated exams, measured against the champion on the same patients."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from irae.io.manifest import Manifest

WRONG_CALL, NOT_ACCEPTED = 2, 3
WEIGHTS = Path(__file__).resolve().parents[2] / "weights"


def retrain(
    data: Annotated[Path, typer.Option("--manifest", help="Table of new annotated exams; its test split decides.")],
    task: Annotated[str, typer.Option(help="organs, organs_fine, thyroid, adrenals, muscle, pituitary, classifiers.")],
    out: Annotated[Path, typer.Option(help="Folder for the challenger, the comparison and the record.")],
    root: Annotated[Path | None, typer.Option(help="The data set's folder; the manifest's own where absent.")] = None,
    champion: Annotated[
        str, typer.Option(help="Folder of the packages in use; 'registry' for those with the alias champion.")
    ] = str(WEIGHTS),
    irae: Annotated[list[str] | None, typer.Option(help="Which classifiers; may be repeated. All if absent.")] = None,
    answers: Annotated[
        Path | None, typer.Option(help="Output folder whose worklist was answered: dismissals become labels.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="The answered exams as NIfTI (irae convert); needed with --answers.")
    ] = None,
    read_confirms: Annotated[bool, typer.Option(help="A flag that was read and not dismissed was right.")] = False,
    steps: Annotated[int, typer.Option(min=1)] = 400,
    learning_rate: Annotated[float, typer.Option(min=1e-7, max=0.1)] = 5e-4,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the networks.")] = 1,
    tracking_uri: Annotated[str, typer.Option(help="MLflow: sqlite:///FILE.db or a server; '' records nothing.")] = (
        "sqlite:///mlflow.db"
    ),
) -> None:
    """Goes on from the champion, and says whether the challenger is worse. Nothing in use is changed."""
    from irae.models.runtime import use_threads
    from irae.training.jobs import Workplace
    from irae.training.retrain import CLASSIFIERS
    from irae.training.retrain import retrain as train_challenger
    from irae.training.tracking import Tracking, fetch_all

    try:
        if answers is not None and (images is None or task != CLASSIFIERS):
            raise ValueError("--answers needs --images and --task classifiers")
        manifest = _manifest(data, root, out, answers, images, read_confirms=read_confirms)
        use_threads(threads)
        tracking = Tracking(uri=tracking_uri) if tracking_uri else None
        place = Workplace(out=out, tracking=tracking, seed=seed, say=lambda text: typer.echo(text, err=True))
        with TemporaryDirectory(prefix="irae-champion-") as aside:
            folder = Path(champion)
            if champion == "registry":
                folder = fetch_all(place.prefix, "champion", tracking_uri, Path(aside))
                for package in list(folder.iterdir()):
                    package.rename(folder / package.name.removeprefix(f"{place.prefix}-"))
            retrained = train_challenger(
                task, manifest, folder, place, steps=steps, learning_rate=learning_rate, iraes=irae or ()
            )
    except ValueError as error:
        typer.echo(f"irae retrain: {error}", err=True)
        raise typer.Exit(WRONG_CALL) from error
    for reason in retrained.record["reasons"]:
        typer.echo(reason)
    if not retrained.record["accepted"]:
        typer.echo("The challenger is not shown to be as good; irae promote will refuse it.")
        raise typer.Exit(NOT_ACCEPTED)
    typer.echo(f"The challenger is not worse. Take it into use: irae promote {out}")


def _manifest(
    data: Path, root: Path | None, out: Path, answers: Path | None, images: Path | None, *, read_confirms: bool
) -> Manifest:
    from irae.app.answers import common_folder, rows_from_answers, with_rows
    from irae.io.manifest import read_manifest, write_manifest

    manifest = read_manifest(data, root=root)
    if answers is None or images is None:
        return manifest
    folder = common_folder([manifest.root, answers, images])
    splits = {exam.patient: exam.split for exam in manifest.exams}
    rows = rows_from_answers(answers, images, folder, splits=splits, read_confirms=read_confirms)
    typer.echo(f"{len({row.exam_key for row in rows})} exams with an answer that says something", err=True)
    joined = write_manifest(out / f"{manifest.name}_with_answers.csv", with_rows(manifest, rows, folder))
    return read_manifest(joined, root=folder)
