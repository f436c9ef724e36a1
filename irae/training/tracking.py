"""MLflow: the only file that knows it. Runs, metrics, data digests, packages; and packages back from the registry."""

from __future__ import annotations

import logging
import os
import re
import shutil
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlparse

# A hospital's tool does not phone home. Set before MLflow is imported.
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")
os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")

if TYPE_CHECKING:
    from mlflow import MlflowClient

DEFAULT_URI = "sqlite:///mlflow.db"
PACKAGE_PATH = "package"
# MLflow refuses longer parameter values.
LONGEST_PARAMETER = 6000
LONGEST_TAG = 5000


class RegistryError(ValueError):
    """A registered package that cannot be had, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracking:
    """Where runs are recorded: an SQLite file (``sqlite:///mlflow.db``) or a server (``http://...``)."""

    uri: str = DEFAULT_URI
    experiment: str = "irae"

    def __post_init__(self) -> None:
        if urlparse(self.uri).scheme not in {"sqlite", "http", "https", "postgresql", "mysql"}:
            raise ValueError(
                f"tracking uri {self.uri!r}: use sqlite:///FILE.db or a server's http(s):// address "
                "(MLflow no longer takes a folder)"
            )


@dataclass(frozen=True, slots=True)
class Run:
    """One recorded run."""

    id: str
    _client: MlflowClient

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Numbers at a step, in one call."""
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        self._client.log_batch(self.id, metrics=[Metric(_key(k), float(v), now, step) for k, v in values.items()])

    def dataset(self, name: str, digest: str, *, seeds: str) -> None:
        """The data of the run: its name, the digest of what made it, and its seeds or its manifest."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        entity = Dataset(name=name, digest=digest[:36], source_type=name, source=seeds)
        self._client.log_inputs(
            self.id, [DatasetInput(entity, [InputTag("mlflow.data.context", "training")])]
        )

    def picture(self, name: str, png: bytes) -> None:
        """A PNG as the artifact ``pictures/<name>.png``."""
        with TemporaryDirectory(prefix="irae-picture-") as aside:
            path = Path(aside) / f"{name}.png"
            path.write_bytes(png)
            self._client.log_artifact(self.id, str(path), "pictures")

    def package(self, folder: Path, *, registered_name: str, alias: str) -> str:
        """Logs a package, registers it as the next version and points the alias at it. Returns the version."""
        from mlflow.exceptions import MlflowException

        for file in sorted(folder.iterdir()):
            if file.is_file() and not file.name.startswith("."):
                self._client.log_artifact(self.id, str(file), PACKAGE_PATH)
        try:
            self._client.create_registered_model(registered_name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise
        source = f"{self._client.get_run(self.id).info.artifact_uri}/{PACKAGE_PATH}"
        version = self._client.create_model_version(registered_name, source=source, run_id=self.id)
        self._client.set_registered_model_alias(registered_name, alias, version.version)
        return str(version.version)


@contextmanager
def recorded_run(tracking: Tracking, *, name: str, parameters: Mapping[str, Any]) -> Iterator[Run]:
    """A run that is marked finished when the block ends well, and failed when it raises.

    Args:
        tracking: Where.
        name: The run's name. parameters: The settings; nested keys are joined by dots.
    """
    from mlflow.entities import Param

    client = _client(tracking.uri)
    experiment = client.get_experiment_by_name(tracking.experiment)
    experiment_id = (
        experiment.experiment_id if experiment is not None
        else client.create_experiment(tracking.experiment, artifact_location=_artifact_location(tracking.uri))
    )
    run = client.create_run(experiment_id, run_name=name)
    flat = {key: value[:LONGEST_PARAMETER] for key, value in _flat(parameters).items()}
    client.log_batch(run.info.run_id, params=[Param(_key(key), value) for key, value in flat.items()])
    status = "FAILED"
    try:
        yield Run(run.info.run_id, client)
        status = "FINISHED"
    finally:
        client.set_terminated(run.info.run_id, status=status)


def fetch_registered(name: str, alias: str, tracking_uri: str, destination: Path) -> Path:
    """Copies a registered package from MLflow.

    Args:
        name: Registered model, e.g. ``irae-organs``. alias: e.g. ``champion``.
        tracking_uri: SQLite file or server.
        destination: Folder to copy into; the package lies in ``destination/<name>``.

    Returns:
        The package's folder; ``models.package.load_package`` checks it.

    Raises:
        RegistryError: If there is no such model, alias or file.
    """
    import mlflow
    from mlflow.exceptions import MlflowException

    where = f"registry {tracking_uri}: {name}@{alias}"
    _refuse_absent_database(tracking_uri, where)
    try:
        client = _client(tracking_uri)
        version = client.get_model_version_by_alias(name, alias)
        destination.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=destination, prefix=".fetching-") as aside:
            local = mlflow.artifacts.download_artifacts(
                artifact_uri=client.get_model_version_download_uri(name, version.version),
                dst_path=aside, tracking_uri=tracking_uri,
            )
            target = destination / name
            shutil.rmtree(target, ignore_errors=True)
            shutil.move(local, target)
    except (MlflowException, OSError) as error:
        raise RegistryError(f"{where} cannot be had: {str(error).splitlines()[0]}") from error
    return target


def registered_names(prefix: str, alias: str, tracking_uri: str) -> tuple[str, ...]:
    """The registered models ``<prefix>-...`` that have this alias.

    Raises:
        RegistryError: If the registry cannot be reached.
    """
    from mlflow.exceptions import MlflowException

    _refuse_absent_database(tracking_uri, f"registry {tracking_uri}")
    try:
        found = _client(tracking_uri).search_registered_models(max_results=1000)
    except MlflowException as error:
        raise RegistryError(f"registry {tracking_uri} cannot be read: {str(error).splitlines()[0]}") from error
    return tuple(sorted(m.name for m in found if m.name.startswith(f"{prefix}-") and alias in m.aliases))


def has_alias(name: str, alias: str, tracking_uri: str) -> bool:
    """Whether a registered model has this alias; False also where there is no such model or database."""
    from mlflow.exceptions import MlflowException

    try:
        _refuse_absent_database(tracking_uri, name)
        _client(tracking_uri).get_model_version_by_alias(name, alias)
    except (MlflowException, RegistryError):
        return False
    return True


def move_alias(
    name: str, tracking_uri: str, *, alias: str, to_that_of: str, reasons: Mapping[str, str]
) -> str:
    """Points an alias at the version that another alias names, and writes why on that version. Returns the version.

    Raises:
        RegistryError: If there is no such model or alias.
    """
    from mlflow.exceptions import MlflowException

    where = f"registry {tracking_uri}: {name}@{to_that_of}"
    _refuse_absent_database(tracking_uri, where)
    client = _client(tracking_uri)
    try:
        version = client.get_model_version_by_alias(name, to_that_of)
        for key, text in reasons.items():
            client.set_model_version_tag(name, version.version, key, text[:LONGEST_TAG])
        client.set_registered_model_alias(name, alias, version.version)
    except MlflowException as error:
        raise RegistryError(f"{where} cannot be promoted: {str(error).splitlines()[0]}") from error
    return str(version.version)


def fetch_all(prefix: str, alias: str, tracking_uri: str, destination: Path) -> Path:
    """Copies every registered package ``<prefix>-...`` with this alias; returns the folder that holds them.

    Raises:
        RegistryError: If there is none.
    """
    names: Sequence[str] = registered_names(prefix, alias, tracking_uri)
    if not names:
        raise RegistryError(f"registry {tracking_uri}: no model named {prefix}-... has the alias {alias}")
    for name in names:
        fetch_registered(name, alias, tracking_uri, destination)
    return destination


def _client(uri: str) -> MlflowClient:
    for talkative in ("alembic", "mlflow"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # MLflow's own use of SQLAlchemy; nothing that a user of ours could change.
        warnings.simplefilter("ignore", DeprecationWarning)
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=uri, registry_uri=uri)


def _artifact_location(uri: str) -> str | None:
    """Beside the SQLite file, so that a database and its artifacts move together; a server decides for itself."""
    if not uri.startswith("sqlite:"):
        return None
    return (_database(uri).resolve().parent / "mlartifacts").as_uri()


def _database(uri: str) -> Path:
    return Path(unquote(uri.removeprefix("sqlite:///")))


def _refuse_absent_database(uri: str, where: str) -> None:
    # Asking an SQLite file that is not there would create an empty one.
    if uri.startswith("sqlite:") and not _database(uri).is_file():
        raise RegistryError(f"{where} cannot be had: there is no file {_database(uri)}")


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value)
    return flat


def _key(name: str) -> str:
    return re.sub(r"[^\w\-. /]", "_", name)
