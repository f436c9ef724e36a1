"""The command ``irae``. Starts in well under a second: each command imports what it needs when it runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from irae import __version__
from irae.app.bundle import bundle
from irae.app.convert import convert
from irae.app.deidentify import deidentify
from irae.app.evaluate import evaluate
from irae.app.manifest import manifest
from irae.app.pacs import fetch, receive
from irae.app.plan import plan
from irae.app.promote import promote
from irae.app.retrain import retrain
from irae.app.score import score
from irae.app.worklist import worklist

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Immune-related adverse events on CT, PET/CT and MR, kept apart from new metastasis. Research use only.",
)
app.command()(plan)
app.command()(convert)
app.command()(deidentify)
app.command()(fetch)
app.command()(receive)
app.command()(score)
app.command()(worklist)
app.command()(manifest)
app.command()(evaluate)
app.command()(retrain)
app.command()(promote)
app.command()(bundle)


@app.command()
def phantom(
    out: Annotated[Path, typer.Option(help="Folder to write; must be new or empty.")],
    patients: Annotated[int, typer.Option(min=1, max=10000, help="How many synthetic patients.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same files.")] = 0,
    visits: Annotated[int, typer.Option(min=1, max=12, help="Exams a patient.")] = 3,
) -> None:
    """Writes a synthetic study archive (DICOM), context.csv and truth/."""
    from irae.phantom import write_archive

    if out.exists() and any(out.iterdir()):
        typer.echo(f"irae phantom: --out {out} is not empty", err=True)
        raise typer.Exit(2)
    write_archive(out, patients=patients, seed=seed, visits=visits)
    typer.echo(f"Wrote {patients} synthetic patients to {out}")


@app.command()
def version() -> None:
    """Prints the version."""
    typer.echo(__version__)


def main() -> None:
    """Entry of the command ``irae``."""
    app()
