"""train.py as people start it: a sweep of two values, and torchrun with two processes."""

import json
import os
import subprocess
import sys

import pytest
import torch

from irae.models.package import load_package
from tests.training.sets import bodies

SMALL = ["task=organs", "data=manifest", "task.labels=[lung_left,liver]", "task.steps=2", "task.filters=[4,8,8]",
         "task.patch=[16,16,16]", "task.spacing_mm=12", "task.batch=1", "device=cpu", "precision=fp32",
         "tracking.record=false"]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    return bodies(tmp_path_factory.mktemp("set"), train=2, validation=1, test=1, spacing_mm=12.0)


def call(project, tmp_path, *command):
    done = subprocess.run(
        [sys.executable, *command], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.slow
def test_a_sweep_trains_one_package_a_value(project, tmp_path, manifest):
    call(project, tmp_path, str(project / "train.py"), "-m", *SMALL, f"data.manifest={manifest}",
         "task.learning_rate=1e-3,3e-3", "out=runs/${hydra:job.num}")
    rates = [json.loads((tmp_path / f"runs/{n}/organs/card.json").read_text())["training"]["learning_rate"]
             for n in (0, 1)]
    assert rates == [1e-3, 3e-3]


@pytest.mark.slow
def test_torchrun_trains_one_network_with_two_processes(project, tmp_path, manifest):
    call(project, tmp_path, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2",
         str(project / "train.py"), *SMALL, f"data.manifest={manifest}", "out=runs")
    package = load_package(tmp_path / "runs/organs")
    assert package.card.training["steps"] == 2
    assert all(bool(torch.isfinite(value).all()) for value in package.state.values())
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["organs"]
