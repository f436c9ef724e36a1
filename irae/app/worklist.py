"""``irae worklist``: serves the triage page of one output folder on loopback."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def worklist(
    out: Annotated[Path, typer.Option(help="The folder that infer.py wrote.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port on this machine.")] = 8321,
) -> None:
    """Serves the reading worklist of an output folder to this machine only; prints a link that holds its key."""
    if not out.is_dir():
        typer.echo(f"irae worklist: --out {out} is not a folder", err=True)
        raise typer.Exit(2)
    from irae.worklist import serve

    serve(out, port=port)
