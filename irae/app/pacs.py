"""``irae fetch`` and ``irae receive``: archives from a PACS, asked for or sent."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Annotated

import typer

from irae.app.config import PacsSettings, RetrieveName


def fetch(
    source: Annotated[str, typer.Argument(help="dicomweb+https://HOST/ROOT or dimse://AET@HOST:PORT")],
    patients: Annotated[list[str] | None, typer.Option("--patient", help="Patient ID; may be repeated.")] = None,
    studied_from: Annotated[str | None, typer.Option("--from", metavar="DATE", help="First study date.")] = None,
    studied_until: Annotated[str | None, typer.Option("--until", metavar="DATE", help="Last study date.")] = None,
    modalities: Annotated[list[str] | None, typer.Option("--modality", help="May be repeated.")] = None,
    retrieve: Annotated[RetrieveName, typer.Option(help="DIMSE: C-GET, or C-MOVE to our own port.")] = RetrieveName.get,
    aet: Annotated[str, typer.Option(help="Our AE title.")] = "IRAE",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Our port, for C-MOVE.")] = 11112,
    bind: Annotated[str, typer.Option(help="Our address, for C-MOVE.")] = "127.0.0.1",
    cache: Annotated[Path | None, typer.Option(help="Where images are kept; else ~/.cache/irae/pacs.")] = None,
    credentials: Annotated[Path | None, typer.Option(help="JSON file, mode 600; else IRAE_PACS_USER ...")] = None,
) -> None:
    """Fetches studies from a PACS and prints the folder, to plan, convert or infer; exits 3 where some did not come.

    Credentials are read from IRAE_PACS_USER and IRAE_PACS_PASSWORD, IRAE_PACS_TOKEN, or a file; never from here.
    """
    from irae.app.source import fetch_source
    from irae.io.pacs import SourceError

    settings = PacsSettings(
        cache=str(cache) if cache else None, patients=patients or [], studied_from=studied_from,
        studied_until=studied_until, retrieve=retrieve, aet=aet, port=port, bind=bind,
        credentials=str(credentials) if credentials else None,
    )
    if modalities:
        settings.modalities = modalities
    try:
        report = fetch_source(source, settings)
    except ValueError as error:
        typer.echo(f"irae fetch: {error}", err=True)
        raise typer.Exit(2) from error
    except SourceError as error:
        typer.echo(f"irae fetch: {error}", err=True)
        raise typer.Exit(1) from error
    for series in report.series:
        if series.problem:
            typer.echo(f"series {series.series_uid}: {series.problem}", err=True)
    typer.echo(str(report), err=True)
    typer.echo(str(report.folder))
    if not report.complete:
        raise typer.Exit(3)


def receive(
    out: Annotated[Path, typer.Option(help="The archive folder to fill.")],
    senders: Annotated[list[str], typer.Option("--from", metavar="AET", help="Who may send; may be repeated.")],
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 11112,
    aet: Annotated[str, typer.Option(help="Our AE title.")] = "IRAE",
    bind: Annotated[str, typer.Option(help="Address to listen on; 0.0.0.0 for all, behind a firewall.")] = "127.0.0.1",
    reserve_gb: Annotated[float, typer.Option(min=0, help="Disk space that stays free.")] = 1.0,
) -> None:
    """Receives images by C-STORE into an archive folder until it is interrupted.

    The same image sent twice is kept once; another image under the same UID is refused.
    """
    from irae.io.pacs import SourceError, Store, receiving
    from irae.io.pacs.store import alone

    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    try:
        with alone(out):
            store = Store(out, disk_reserve_bytes=int(reserve_gb * 2**30))
            with receiving(
                store, aet=aet, bind=bind, port=port, senders=senders,
                refused=lambda error: typer.echo(f"refused ({error.code}): {error}", err=True),
            ) as received:
                typer.echo(f"{aet} listens on {bind}:{received.port}; stop it with Ctrl-C", err=True)
                stop.wait()
            counted = ", ".join(f"{n} {what}" for what, n in sorted(received.counts.items()))
            typer.echo(counted or "nothing came", err=True)
    except ValueError as error:
        typer.echo(f"irae receive: {error}", err=True)
        raise typer.Exit(2) from error
    except (SourceError, OSError) as error:
        typer.echo(f"irae receive: {error}", err=True)
        raise typer.Exit(1) from error
