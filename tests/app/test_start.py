"""What may be set is said by the dataclass; anything else is refused with the choices listed."""

import subprocess
import sys

import pytest

from irae.app.config import InferConfig, check_infer, settings_digest
from irae.app.start import refuse_unknown_keys


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("archiv=x", "did you mean archive"),
        ("segmenter=nnunet", "the choices are packaged, monai_bundle, totalsegmentator, masks"),
        ("models=mine", "the choices are packaged, registry, rules"),
        ("+evil=1", "unknown setting 'evil'"),
        ("registry.alia=x", "did you mean registry.alias"),
    ],
)
def test_an_unknown_key_or_choice_is_refused_with_the_choices(argument, says, project):
    assert says in refuse_unknown_keys(["archive=a", argument], InferConfig, project / "configs")


def test_known_keys_pass(project):
    known = ["archive=a", "out=b", "device=cpu", "run.readers=0", "hydra.verbose=true", "--cfg", "job"]
    assert refuse_unknown_keys(known, InferConfig, project / "configs") == ""


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"archive": "/no/such/folder"}, "no such folder"),
        ({"segmenter": "masks"}, "segmenters.masks"),
        ({"context": "/no/such/table.csv"}, "context="),
    ],
)
def test_settings_that_cannot_work_are_refused(change, says, tmp_path):
    from irae.app.config import SegmenterName

    (tmp_path / "archive").mkdir()
    config = InferConfig(archive=str(tmp_path / "archive"), out=str(tmp_path / "out"))
    for key, value in change.items():
        setattr(config, key, SegmenterName[value] if key == "segmenter" else value)
    with pytest.raises(ValueError, match=says):
        check_infer(config)


def test_the_output_may_not_lie_inside_the_archive(tmp_path):
    with pytest.raises(ValueError, match="must not lie inside"):
        check_infer(InferConfig(archive=str(tmp_path), out=str(tmp_path / "out")))


def test_only_settings_that_can_change_an_answer_make_work_new():
    base = InferConfig(archive="a", out="b")
    elsewhere = InferConfig(archive="c", out="d")
    elsewhere.run.readers = 5
    other = InferConfig(archive="a", out="b", criteria=["irecist"])
    assert settings_digest(base) == settings_digest(elsewhere)
    assert settings_digest(base) != settings_digest(other)


def infer(project, *arguments):
    return subprocess.run(
        [sys.executable, str(project / "infer.py"), *arguments],
        capture_output=True,
        text=True,
        cwd=project,
        check=False,
    )


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("archive=x", "out=y", "device=tpu"), "the choices are auto, cpu, cuda"),
        (("archive=x", "out=y", "run.readers=many"), "run.readers"),
        (("archive=x",), "needs out=..."),
        (("archive=/no/such", "out=y"), "no such folder"),
    ],
)
def test_a_wrong_call_ends_with_2_and_one_clear_message(project, arguments, says):
    done = infer(project, *arguments)
    assert done.returncode == 2, done.stderr
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_cfg_job_prints_all_settings(project):
    done = infer(project, "archive=a", "out=b", "--cfg", "job")
    assert done.returncode == 0, done.stderr
    assert "segmenter: packaged" in done.stdout
    assert "read_timeout_s: 900.0" in done.stdout
