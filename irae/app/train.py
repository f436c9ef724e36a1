"""train.py: synthetic patients in; a measured, packaged and registered model out."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from irae.app.start import WRONG_CALL, start
from irae.app.train_config import DATA_SCHEMAS, TASK_SCHEMAS, TrainConfig, check_train
from irae.training.attribution_settings import AttributionSettings
from irae.training.fusion_settings import FusionSettings
from irae.training.settings import ClassificationSettings, FociSettings, SegmentationSettings


def main(config_dir: Path) -> int:
    """Entry of train.py. Returns the exit code: 0 done, 2 wrong call, 1 anything else."""
    from hydra.core.config_store import ConfigStore

    for name, schema in TASK_SCHEMAS.items():
        ConfigStore.instance().store(group="task_schema", name=name, node=schema)
    for name, data_schema in DATA_SCHEMAS.items():
        ConfigStore.instance().store(group="data_schema", name=name, node=data_schema)
    return start(run, schema=TrainConfig, config_name="train", config_dir=config_dir)


def run(config: TrainConfig) -> int:
    """Runs one training job."""
    console = Console(stderr=True)
    try:
        check_train(config)
    except ValueError as error:
        console.print(f"train.py: {error}", style="red", markup=False)
        return WRONG_CALL

    from irae.app.train_data import cases_folder, source_and_task
    from irae.models.runtime import Device, Precision, torch_device, use_threads
    from irae.training.attribution_jobs import attribution_job
    from irae.training.classification_jobs import classification_job
    from irae.training.distributed import leads, process_group
    from irae.training.foci_jobs import foci_job
    from irae.training.fusion import fusion_job
    from irae.training.jobs import Workplace, segmentation_job
    from irae.training.tracking import Tracking

    use_threads(config.threads)
    columns = (TextColumn("training"), BarColumn(), TextColumn("loss {task.fields[loss]:.3f}"), TimeElapsedColumn(),
               TimeRemainingColumn())
    try:
        device = Device(config.device.value)
        with process_group(on_gpu=torch_device(device).type == "cuda"), Progress(
            *columns, console=console, transient=True, disable=not leads()
        ) as progress:
            bar = progress.add_task("training", total=1.0, loss=float("nan"))
            tracking = None
            if config.tracking.record:
                tracking = Tracking(uri=config.tracking.uri, experiment=config.tracking.experiment)

            def say(text: str) -> None:
                if leads():
                    console.print(text, markup=False, highlight=False)

            place = Workplace(
                out=Path(config.out), tracking=tracking, prefix=config.tracking.prefix, alias=config.tracking.alias,
                seed=config.seed, device=device, precision=Precision(config.precision.value), say=say,
                advance=lambda share, loss: progress.update(bar, completed=share, loss=loss),
                cases=cases_folder(config),
            )
            source, task = source_and_task(config)
            if isinstance(task, SegmentationSettings):
                segmentation_job(task, source, place)
            elif isinstance(task, FociSettings):
                foci_job(task, source, place)
            elif isinstance(task, ClassificationSettings):
                classification_job(task, source, place)
            elif isinstance(task, AttributionSettings):
                attribution_job(task, place, workers=config.cases.workers)
            elif isinstance(task, FusionSettings):
                fusion_job(task, place, workers=config.cases.workers)
    except ValueError as error:
        console.print(f"train.py: {error}", style="red", markup=False)
        return WRONG_CALL
    return 0
