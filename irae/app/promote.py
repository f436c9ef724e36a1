"""``irae promote``: a challenger takes the champion's place if it was shown not to be worse, else it is refused."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

WRONG_CALL, REFUSED = 2, 3
DECISIONS = "promotions.jsonl"


def promote(
    retrained: Annotated[Path, typer.Argument(help="Folder that irae retrain wrote.")],
    tracking_uri: Annotated[str, typer.Option(help="MLflow: sqlite:///FILE.db or a server.")] = "sqlite:///mlflow.db",
    into: Annotated[Path | None, typer.Option(help="Copy the packages into this folder; no registry is asked.")] = None,
    prefix: Annotated[str, typer.Option(help="Models are registered as PREFIX-NAME.")] = "irae",
    force: Annotated[bool, typer.Option(help="Promote although not shown to be as good; needs --reason.")] = False,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
) -> None:
    """Moves the alias champion, and records why; refuses with exit code 3, and records that too."""
    from irae.evaluate.promotion import Limits, verdict
    from irae.training.retrain import measures_of, read_record

    try:
        if force and not reason.strip():
            raise ValueError("--force needs --reason TEXT")
        record = read_record(retrained)
        # Decided again from the numbers: a record whose verdict was edited does not count.
        decided = verdict(measures_of(record), Limits(**record["limits"]))
        packages = _checked(retrained, record)
        if into is None:
            _refuse_other_champion(record, tracking_uri, prefix)
    except (ValueError, TypeError, KeyError) as error:
        typer.echo(f"irae promote: {error}", err=True)
        raise typer.Exit(WRONG_CALL) from error
    for line in decided.reasons:
        typer.echo(line)
    accepted = decided.accepted or force
    entry = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"), "promoted": accepted, "forced": force, "reason": reason,
        "challenger": record["challenger"], "champion": record["champion"], "reasons": list(decided.reasons),
    }
    if accepted:
        try:
            for name, folder in packages.items():
                typer.echo(_take(name, folder, into, tracking_uri, prefix, entry))
        except ValueError as error:
            typer.echo(f"irae promote: {error}", err=True)
            raise typer.Exit(WRONG_CALL) from error
    with (retrained / DECISIONS).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")
    if not accepted:
        typer.echo("Refused: the challenger is not shown to be as good. --force --reason TEXT overrules.", err=True)
        raise typer.Exit(REFUSED)


def _checked(folder: Path, record: dict[str, Any]) -> dict[str, Path]:
    """The challenger's packages, if they are those that were measured.

    Raises:
        ValueError: If one is missing, damaged or another.
    """
    from irae.models.package import load_package

    found = {}
    for name, digest in record["challenger"].items():
        path = folder / "trained" / name
        if load_package(path).digest != digest:
            raise ValueError(f"{path}: is not the package that was measured; run irae retrain again")
        found[name] = path
    return found


def _refuse_other_champion(record: dict[str, Any], tracking_uri: str, prefix: str) -> None:
    """Refuses where the registry's champion or challenger is not the one of the comparison.

    Raises:
        ValueError: If so, or if the challenger is not registered.
    """
    from irae.models.package import load_package
    from irae.training.retrain import CHALLENGER
    from irae.training.tracking import fetch_registered, has_alias

    with TemporaryDirectory(prefix="irae-promote-") as aside:
        for name, digest in record["challenger"].items():
            model = f"{prefix}-{name}"
            if load_package(fetch_registered(model, CHALLENGER, tracking_uri, Path(aside))).digest != digest:
                raise ValueError(f"{model}@{CHALLENGER} is not the package that was measured")
            if has_alias(model, "champion", tracking_uri):
                current = load_package(fetch_registered(model, "champion", tracking_uri, Path(aside))).digest
                if current not in {record["champion"].get(name), digest}:
                    raise ValueError(
                        f"{model}@champion is no longer the package that the challenger was compared with; run irae "
                        "retrain --champion registry"
                    )


def _take(name: str, folder: Path, into: Path | None, uri: str, prefix: str, entry: dict[str, Any]) -> str:
    from irae.training.retrain import CHALLENGER
    from irae.training.tracking import move_alias

    if into is not None:
        shutil.copytree(folder, into / name, dirs_exist_ok=True)
        return f"{name}: copied to {into / name}"
    why = {"promoted_at": entry["at"], "promoted_because": "; ".join([entry["reason"], *entry["reasons"]]).strip("; "),
           "forced": str(entry["forced"])}
    version = move_alias(f"{prefix}-{name}", uri, alias="champion", to_that_of=CHALLENGER, reasons=why)
    return f"{name}: {prefix}-{name} version {version} is the champion"
