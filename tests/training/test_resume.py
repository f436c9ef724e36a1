"""A whole job that was interrupted goes on as if it had not been; cases on disk are the cases in memory."""

from dataclasses import replace

import pytest
import torch

from irae.models.package import load_package
from irae.models.runtime import Device, Precision
from irae.training.jobs import Workplace, segmentation_job
from irae.training.settings import SegmentationSettings
from tests.training.stand_in import StandIn

SETTINGS = SegmentationSettings(
    labels=["lung_left", "liver"], spacing_mm=12.0, patch=[16, 16, 16], image_spacing_mm=12.0, filters=[4, 8, 8],
    steps=4, batch=1, train_cases=3, held_out_cases=1, validation_cases=1, validate_every=1, ema=0.5,
)


class Interrupted(Exception):
    """As if the process had been killed."""


def place(out, **more) -> Workplace:
    torch.set_num_threads(1)
    return Workplace(out=out, tracking=None, device=Device.CPU, precision=Precision.FP32, say=lambda text: None, **more)


def test_four_steps_are_two_and_two_more_in_memory_or_on_disk(tmp_path):
    straight = load_package(segmentation_job(SETTINGS, StandIn(), place(tmp_path / "straight"))).card
    calls = []

    def stop_after_two(share, loss):
        calls.append(share)
        if len(calls) == 3:
            raise Interrupted

    with pytest.raises(Interrupted):
        segmentation_job(SETTINGS, StandIn(), place(tmp_path / "parts", advance=stop_after_two))
    assert [file.name for file in (tmp_path / "parts").iterdir()] == [".organs.checkpoint.pt"]
    resumed = load_package(segmentation_job(replace(SETTINGS, resume=True), StandIn(), place(tmp_path / "parts"))).card
    assert resumed.weights_sha256 == straight.weights_sha256
    assert [file.name for file in (tmp_path / "parts").iterdir()] == ["organs"]
    on_disk = segmentation_job(SETTINGS, StandIn(), place(tmp_path / "disk", cases=tmp_path / "cases"))
    assert load_package(on_disk).card.weights_sha256 == straight.weights_sha256
    assert len(list((tmp_path / "cases").iterdir())) == 4


def test_settings_that_cannot_be_kept_are_refused():
    for wrong, says in (({"patience": 2, "validation_cases": 0}, "needs task.validation_cases"), ({"ema": 1.0}, "ema"),
                        ({"validation_seed": 0}, "overlap"), ({"accumulate": 0}, "accumulate")):
        with pytest.raises(ValueError, match=says):
            replace(SETTINGS, **wrong).check()
