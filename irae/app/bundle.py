"""``irae bundle``: a package as a MONAI bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

WRONG_CALL = 2


def bundle(
    package: Annotated[Path, typer.Argument(help="Folder of a package that finds organs on CT, e.g. weights/organs.")],
    out: Annotated[Path, typer.Option(help="Folder to write.")],
) -> None:
    """Writes a package in MONAI's bundle format; infer.py reads it with segmenter=monai_bundle."""
    from irae.models.bundle_export import export_bundle
    from irae.models.package import load_package

    try:
        export_bundle(load_package(package), out)
    except ValueError as error:
        typer.echo(f"irae bundle: {error}", err=True)
        raise typer.Exit(WRONG_CALL) from error
    typer.echo(f"{out}: use it with infer.py segmenter=monai_bundle segmenters.bundle={out}")
