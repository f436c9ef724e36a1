"""``irae manifest``: a folder of annotated exams as a table that can be trained on."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

WRONG_CALL = 2


def manifest(
    recipe: Annotated[str, typer.Argument(help="totalsegmentator, amos, autopet_fdg, covid_lungs, or own.")],
    folder: Annotated[Path, typer.Argument(help="The data set's folder.")],
    out: Annotated[Path, typer.Option(help="The table to write (.csv).")],
    licence: Annotated[str, typer.Option(help="Licence of the files, where the recipe's is not right.")] = "",
) -> None:
    """Writes a manifest: one row a file, with hashes, labels, licence and splits. Nothing is copied."""
    from irae.io.manifest import ManifestError, write_manifest
    from irae.io.recipes import manifest_rows

    try:
        rows = manifest_rows(recipe, folder)
        if licence:
            rows = [row.model_copy(update={"licence": licence}) for row in rows]
        write_manifest(out, rows)
    except (ValueError, ManifestError) as error:
        typer.echo(f"irae manifest: {error}", err=True)
        raise typer.Exit(WRONG_CALL) from error
    exams = {(row.exam_key, row.split.value) for row in rows}
    counts = ", ".join(f"{count} {split}" for split, count in sorted(Counter(split for _, split in exams).items()))
    typer.echo(f"{out}: {len(rows)} files of {len(exams)} exams ({counts})")
    typer.echo(f"Train with: python train.py task=organs data=manifest data.manifest={out} data.root={folder}")
