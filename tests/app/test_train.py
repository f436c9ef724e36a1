"""train.py refuses a wrong call at the start, lists the choices, and leaves nothing behind."""

import os
import subprocess
import sys

import pytest


def call(project, tmp_path, *arguments):
    return subprocess.run(
        [sys.executable, str(project / "train.py"), *arguments], cwd=tmp_path, capture_output=True, text=True,
        check=False, timeout=120, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


@pytest.mark.parametrize(("arguments", "says"), [
    (["task=bogus"], "classifiers"),
    (["task.foo=1"], "Key 'foo' not in"),
    (["foo=1"], "Known settings"),
    (["task.steps=abc"], "could not be converted to Integer"),
    (["task.steps=-1"], "task.steps must be positive"),
    (["data=elsewhere"], "manifest phantom"),
    (["data=manifest"], "data.manifest=..."),
    (["data=manifest", "data.manifest=absent.csv"], "there is no such file"),
    (["task=classifiers", "task.iraes=[colitis,gout]"], "expected one of [colitis, pneumonitis"),
    (["task.labels=[liver,soul]"], "unknown organs ['soul']"),
    (["task.held_out_seed=10"], "overlap"),
    (["task=classifiers", "task.organs_package=nowhere"], "no card.json"),
    (["tracking.uri=./mlruns", "task.train_cases=1"], "sqlite:///FILE.db"),
])
def test_a_wrong_call_is_refused_with_2_and_a_reason(project, tmp_path, arguments, says):
    done = call(project, tmp_path, *arguments)
    assert done.returncode == 2, done.stderr
    assert says in " ".join((done.stdout + done.stderr).split())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("task", ["organs", "pituitary", "classifiers", "fusion"])
def test_all_settings_can_be_printed(project, tmp_path, task):
    done = call(project, tmp_path, f"task={task}", "--cfg", "job")
    assert done.returncode == 0, done.stderr
    assert "steps:" in done.stdout
    assert not list(tmp_path.iterdir())
