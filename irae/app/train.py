"""train.py: synthetic patients in; a measured, packaged and registered model out."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from irae.app.start import WRONG_CALL, start
from irae.app.train_config import TASK_SCHEMAS, TrainConfig, check_train
from irae.training.attribution_settings import AttributionSettings
from irae.training.settings import ClassificationSettings, SegmentationSettings


def main(config_dir: Path) -> int:
    """Entry of train.py. Returns the exit code: 0 done, 2 wrong call, 1 anything else."""
    from hydra.core.config_store import ConfigStore

    for name, schema in TASK_SCHEMAS.items():
        ConfigStore.instance().store(group="task_schema", name=name, node=schema)
    return start(run, schema=TrainConfig, config_name="train", config_dir=config_dir)


def run(config: TrainConfig) -> int:
    """Runs one training job."""
    console = Console(stderr=True)
    try:
        check_train(config)
    except ValueError as error:
        console.print(f"train.py: {error}", style="red", markup=False)
        return WRONG_CALL

    from irae.models.runtime import Device, Precision, use_threads
    from irae.training.attribution_jobs import attribution_job
    from irae.training.classification_jobs import classification_job
    from irae.training.jobs import Workplace, segmentation_job
    from irae.training.phantom_source import PhantomSource
    from irae.training.tracking import Tracking

    use_threads(config.threads)
    source = PhantomSource(workers=config.cases.workers)
    columns = (TextColumn("training"), BarColumn(), TextColumn("loss {task.fields[loss]:.3f}"), TimeElapsedColumn(),
               TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("training", total=1.0, loss=float("nan"))
        try:
            tracking = None
            if config.tracking.record:
                tracking = Tracking(uri=config.tracking.uri, experiment=config.tracking.experiment)
            place = Workplace(
                out=Path(config.out), tracking=tracking, prefix=config.tracking.prefix, alias=config.tracking.alias,
                seed=config.seed, device=Device(config.device.value), precision=Precision(config.precision.value),
                say=lambda text: console.print(text, markup=False, highlight=False),
                advance=lambda share, loss: progress.update(bar, completed=share, loss=loss),
            )
            if isinstance(config.task, SegmentationSettings):
                segmentation_job(config.task, source, place)
            elif isinstance(config.task, ClassificationSettings):
                classification_job(config.task, source, place)
            elif isinstance(config.task, AttributionSettings):
                attribution_job(config.task, place, workers=config.cases.workers)
        except ValueError as error:
            console.print(f"train.py: {error}", style="red", markup=False)
            return WRONG_CALL
    return 0
