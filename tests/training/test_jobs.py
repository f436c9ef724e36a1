"""Training end to end on stand-in bodies: it learns, packages, records, registers, and comes back from the registry."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from irae.core.anatomy import Irae
from irae.models.classifiers import PackagedClassifier
from irae.models.closer import CLOSER_LOOKS
from irae.models.package import Channel, PackageError, find_packages, load_package, save_package
from irae.models.runtime import Device, Precision
from irae.models.segmenters import PackagedSegmenter
from irae.training.classification_jobs import classification_job
from irae.training.data import segmentation_case
from irae.training.jobs import Workplace, segmentation_job
from irae.training.loop import Budget, Optimiser
from irae.training.metrics import dice
from irae.training.phantom_source import PhantomSource
from irae.training.settings import ClassificationSettings, IraeName, SegmentationSettings, Target
from irae.training.tracking import RegistryError, Tracking, fetch_all, fetch_registered, recorded_run
from tests.training.stand_in import StandIn, baseline, body, head

ORGANS = SegmentationSettings(
    target=Target.organs, labels=["lung_left", "lung_right", "liver"], spacing_mm=12.0, patch=[24, 24, 24],
    image_spacing_mm=8.0, filters=[8, 16, 32], steps=150, batch=2, learning_rate=5e-3, train_cases=10,
    held_out_cases=3,
)


@pytest.fixture(scope="session")
def tracking(tmp_path_factory) -> Tracking:
    return Tracking(uri=f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db", experiment="test")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, tracking):
    """One short training of organs, recorded: (folder, losses, CPU seconds)."""
    torch.set_num_threads(1)
    losses: list[float] = []
    place = Workplace(
        out=tmp_path_factory.mktemp("weights"), tracking=tracking, device=Device.CPU, say=lambda text: None,
        advance=lambda share, loss: losses.append(loss),
    )
    started = time.process_time()
    folder = segmentation_job(ORGANS, StandIn(), place)
    return folder, losses, time.process_time() - started


def test_the_loss_falls_and_dice_beats_a_constant(trained):
    folder, losses, _ = trained
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:5])
    card = load_package(folder).card
    exam, truth = body(77)
    inside = exam.ct.array > -500
    constant = dice(inside, truth.mask("liver"))
    assert card.metrics["dice/liver"].value > max(0.6, constant + 0.2)


def test_the_package_segments_a_body_it_never_saw(trained):
    exam, truth = body(1_234_567, spacing_mm=6.0)
    found = PackagedSegmenter.from_folder(trained[0]).segment_ct(exam.ct)
    assert found.geometry.same_grid(exam.ct.geometry)
    assert dice(found.mask("liver"), truth.mask("liver")) > 0.6


def test_the_card_records_how_it_was_made(trained):
    document = json.loads((trained[0] / "card.json").read_text())
    assert document["training"]["steps"] == 150
    assert document["training"]["labels"] == ["lung_left", "lung_right", "liver"]
    assert document["data"]["source"] == "stand_in"
    assert document["data"]["train_seeds"] == [0, 9]
    assert document["data"]["held_out_seeds"] == [1_000_000, 1_000_002]
    assert "not clinical accuracy" in document["limitations"]
    assert document["metrics"]["dice/liver"]["n"] == 3


def test_the_run_is_on_record_and_the_champion_comes_back(trained, tracking, tmp_path):
    from mlflow import MlflowClient

    client = MlflowClient(tracking.uri)
    run = client.search_runs([client.get_experiment_by_name("test").experiment_id], "attributes.run_name = 'organs'")[0]
    assert run.info.status == "FINISHED"
    assert run.data.params["steps"] == "150"
    assert run.data.metrics["dice/liver"] == pytest.approx(load_package(trained[0]).card.metrics["dice/liver"].value)
    assert [entry.dataset.name for entry in run.inputs.dataset_inputs] == ["stand_in"]
    assert len(client.get_metric_history(run.info.run_id, "loss")) > 10
    assert [file.path for file in client.list_artifacts(run.info.run_id, "pictures")] == ["pictures/organs.png"]
    fetched = fetch_registered("irae-organs", "champion", tracking.uri, tmp_path)
    assert load_package(fetched).digest == load_package(trained[0]).digest
    assert find_packages(fetch_all("irae", "champion", tracking.uri, tmp_path / "all"))


def test_a_registry_without_the_model_says_so(tracking, tmp_path):
    with pytest.raises(RegistryError, match="irae-nothing@champion cannot be had"):
        fetch_registered("irae-nothing", "champion", tracking.uri, tmp_path)
    with pytest.raises(RegistryError, match="no model named other-"):
        fetch_all("other", "champion", tracking.uri, tmp_path)
    absent = tmp_path / "absent.db"
    with pytest.raises(RegistryError, match="there is no file"):
        fetch_registered("irae-organs", "champion", f"sqlite:///{absent}", tmp_path)
    assert not absent.exists()


def test_a_run_that_fails_is_recorded_as_failed(tracking):
    from mlflow import MlflowClient

    with pytest.raises(RuntimeError), recorded_run(tracking, name="broken", parameters={"a": {"b": 1}}):
        raise RuntimeError
    client = MlflowClient(tracking.uri)
    run = client.search_runs([client.get_experiment_by_name("test").experiment_id], "attributes.run_name = 'broken'")[0]
    assert run.info.status == "FAILED"
    assert run.data.params == {"a.b": "1"}


def test_tracking_takes_a_database_or_a_server():
    Tracking(uri="http://localhost:5000")
    with pytest.raises(ValueError, match="sqlite"):
        Tracking(uri="./mlruns")


def quick(tmp_path, **changes):
    return Workplace(out=tmp_path, tracking=None, device=Device.CPU, precision=Precision.FP32, say=lambda text: None,
                     **changes)


def test_the_same_seed_gives_the_same_weights(tmp_path):
    settings = SegmentationSettings(**{**vars(ORGANS), "steps": 3, "train_cases": 4, "held_out_cases": 1})
    shas = [
        load_package(segmentation_job(settings, StandIn(), quick(tmp_path / str(n), seed=seed))).card.weights_sha256
        for n, seed in enumerate((5, 5, 6))
    ]
    assert shas[0] == shas[1] != shas[2]


def test_a_pituitary_network_is_trained_on_mr(tmp_path):
    settings = SegmentationSettings(
        target=Target.pituitary, labels=["pituitary"], spacing_mm=4.0, patch=[16, 16, 16], windows=[[0.0, 1.2]],
        image_spacing_mm=2.0, filters=[4, 8, 8], steps=3, batch=2, train_cases=2, held_out_cases=1,
    )
    card = load_package(segmentation_job(settings, StandIn(), quick(tmp_path))).card
    assert [channel.source for channel in card.channels] == ["mr"]
    assert card.labels == ("pituitary",)
    sample = head(99)
    found = PackagedSegmenter.from_folder(tmp_path).segment_mr(sample.image)
    assert found.geometry.same_grid(sample.image.geometry)
    assert set(found.labels) == {"pituitary"}


def test_a_classifier_learns_is_calibrated_and_scores_with_and_without_pet(tmp_path):
    settings = ClassificationSettings(
        iraes=[IraeName.hepatitis], train_cases=12, calibration_cases=12, held_out_cases=8, steps=70, batch=4,
        filters=[4, 8, 16, 16], learning_rate=3e-3,
    )
    (folder,) = classification_job(settings, StandIn(), quick(tmp_path))
    card = load_package(folder).card
    assert card.metrics["auroc"].value > 0.9
    assert {"auroc", "sensitivity", "specificity", "ece", "auroc/ct_alone", "auroc/with_baseline"} <= set(card.metrics)
    assert card.metrics["severity_error"].value <= 1.0
    assert card.data["train"] == {"cases": 12, "positive": 6, "without_sign": 0, "with_baseline": 12}
    classifier = PackagedClassifier.from_folder(tmp_path)
    (hot, organs), (cold, cold_organs) = body(101, hot=True), body(102)
    one, other = classifier.score(hot, organs, None), classifier.score(cold, cold_organs, None)
    assert one[Irae.HEPATITIS].probability > other[Irae.HEPATITIS].probability
    assert one[Irae.HEPATITIS].model == classifier.digests["hepatitis"]
    assert one[Irae.HEPATITIS].threshold == card.scoring.operating_point.threshold
    assert classifier.score(hot, None, None) == {}
    # The evidence map of the hot liver peaks in it, and not in the spleen or the lungs.
    shown = one[Irae.HEPATITIS].evidence_map
    assert shown is not None
    peak = shown.geometry.to_world(np.unravel_index(shown.array.argmax(), shown.array.shape))
    places = organs.geometry.to_world(np.argwhere(organs.mask("liver")))
    assert np.linalg.norm(places - peak, axis=1).min() < 30.0
    compared = classifier.score(hot, organs, None, baseline(101))[Irae.HEPATITIS]
    assert compared.compared
    assert compared.threshold == card.scoring_with_baseline.operating_point.threshold


def test_two_packages_for_one_irae_or_a_segmenter_are_refused(trained):
    package = load_package(trained[0])
    with pytest.raises(PackageError, match="no classifier"):
        PackagedClassifier([package])


def test_wrong_settings_and_data_are_refused(tmp_path):
    with pytest.raises(ValueError, match="multiples of 4"):
        segmentation_job(SegmentationSettings(**{**vars(ORGANS), "patch": [24, 24, 22]}), StandIn(), quick(tmp_path))
    colon = SegmentationSettings(**{**vars(ORGANS), "labels": ["liver", "colon"], "train_cases": 2})
    with pytest.raises(ValueError, match=r"classes \[2\] occur in none"):
        segmentation_job(colon, StandIn(), quick(tmp_path))
    with pytest.raises(ValueError, match="steps >= 1"):
        Budget(steps=0)


def test_what_goes_on_from_a_package_can_keep_a_share_of_its_weights(trained, tmp_path):
    further = replace(ORGANS, start_from=str(trained[0]), steps=2, train_cases=2, held_out_cases=1)
    states = []
    for share in (0.0, 0.75):
        folder = segmentation_job(replace(further, start_share=share), StandIn(), quick(tmp_path / str(share)))
        states.append(load_package(folder))
    start = load_package(trained[0]).state
    for name, value in states[0].state.items():
        expected = 0.75 * start[name] + 0.25 * value
        torch.testing.assert_close(states[1].state[name], expected, atol=2e-3, rtol=2e-3)  # half precision
    assert any(not torch.equal(states[0].state[name], start[name]) for name in start)
    assert states[1].card.training["start_share"] == 0.75
    with pytest.raises(ValueError, match=r"task\.start_share must be 0 to under 1 and needs start_from"):
        replace(ORGANS, start_share=0.5).check()


def test_a_diverging_loss_stops_the_training():
    network = torch.nn.Linear(1, 1)
    optimiser = Optimiser()
    with pytest.raises(FloatingPointError, match="nan"):
        optimiser.backward(network(torch.tensor([[float("nan")]])).sum())


def test_the_rate_warms_up_and_ends_at_zero():
    optimiser = Optimiser(learning_rate=1.0, warm_up=0.1)
    assert optimiser.rate(0.0) < 0.02
    assert optimiser.rate(0.1) > 0.9
    assert optimiser.rate(1.0) == pytest.approx(0.0, abs=1e-9)


def test_a_budget_of_minutes_ends_before_its_steps():
    clock = Budget(steps=10**9, cpu_minutes=1e-9).clock()
    assert clock.share(1) == 1.0


def test_training_prepares_an_image_as_the_segmenter_does():
    exam, truth = body(3, spacing_mm=6.0)
    case = segmentation_case(next(StandIn().segmentation(Target.organs, [3], spacing_mm=6.0)), ["liver"],
                             spacing_mm=12.0)
    assert case.image.shape == tuple(round(n / 2) for n in exam.ct.geometry.shape)
    inside = case.image[case.labels == 1]
    assert abs(float(inside.mean()) - float(exam.ct.array[truth.mask("liver")].mean())) < 30


def test_a_finer_network_starts_from_what_the_coarser_one_found(trained, tmp_path):
    """The second stage of a cascade finds the organs after 150 steps, not as well as the first, whose 12 mm gain more
    from the image's edges than its 8 mm."""
    torch.set_num_threads(1)
    coarse_folder = trained[0]
    settings = replace(
        ORGANS, target=Target.organs_fine, spacing_mm=8.0, steps=150, organs_package=str(coarse_folder),
    )
    place = Workplace(out=tmp_path, tracking=None, device=Device.CPU, say=lambda text: None, cases=tmp_path / "cases")
    package = load_package(segmentation_job(settings, StandIn(), place))
    assert [channel.found for channel in package.card.channels] == [None, None, "lung_left", "lung_right", "liver"]
    exam, truth = body(77)
    coarse = PackagedSegmenter({"organs": load_package(coarse_folder)}, device=Device.CPU)
    both = PackagedSegmenter(
        {"organs": load_package(coarse_folder), "organs_fine": package}, device=Device.CPU
    )
    assert sorted(both.digests) == ["organs", "organs_fine"]
    before, after = (
        np.mean([dice(its.segment_ct(exam.ct).mask(o), truth.mask(o)) for o in ORGANS.labels]) for its in (coarse, both)
    )
    assert after > max(0.8, before - 0.12)


def test_offsets_alone_finish_a_package(trained, tmp_path):
    """No step is trained: small organs lose what the loss gave them too much of, and the card says on whom."""
    torch.set_num_threads(1)
    settings = replace(ORGANS, start_from=str(trained[0]), steps=0, offset_cases=4)
    place = Workplace(out=tmp_path, tracking=None, device=Device.CPU, say=lambda text: None)
    package, before = load_package(segmentation_job(settings, StandIn(), place)), load_package(trained[0])
    assert set(package.card.training["offsets"]) == set(ORGANS.labels)
    assert package.card.training["started_from"]["digest"] == before.digest
    assert package.card.data["offset_seeds"] == [3_500_000, 3_500_003]
    assert "train_seeds" not in package.card.data
    changed = [name for name, value in package.state.items() if not torch.equal(value, before.state[name])]
    assert len(changed) == 1, "one bias"
    overlap = np.zeros(2)
    for exam, truth in map(body, range(77, 83)):  # people that neither was shown
        for which, its in enumerate((before, package)):
            found = PackagedSegmenter({"organs": its}, device=Device.CPU).segment_ct(exam.ct)
            for organ in ORGANS.labels:
                here, there = found.mask(organ), truth.mask(organ)
                overlap[which] += 2.0 * np.count_nonzero(here & there) / (here.sum() + there.sum())
    before_dice, dice = overlap / 6 / len(ORGANS.labels)
    assert dice > before_dice - 0.005, "Dice, by which they are chosen; of a network that gave too much it is better"
    with pytest.raises(ValueError, match=r"task\.steps must be positive"):
        replace(settings, offset_cases=0).check()
    with pytest.raises(ValueError, match=r"offset seeds .* overlap held_out"):
        replace(settings, offset_seed=settings.held_out_seed).check()


def test_a_finer_network_without_its_coarser_one_is_refused(trained, tmp_path):
    with pytest.raises(ValueError, match=r"task\.organs_package is needed with task\.target=organs_fine"):
        replace(ORGANS, target=Target.organs_fine).check()
    card = load_package(trained[0]).card
    alone = replace(card, task="organs_fine", name="organs_fine")
    with pytest.raises(ValueError, match="only the task organs_fine is shown"):
        replace(card, channels=(*card.channels, Channel("found:liver", 0.0, 1.0)))
    with pytest.raises(ValueError, match="only a classifier's channels are gated"):
        replace(card, channels=(Channel("ct", 0.0, 1.0, gated=True),))
    save_package(tmp_path / "organs_fine", alone, load_package(trained[0]).state)
    fine = load_package(tmp_path / "organs_fine")
    with pytest.raises(PackageError, match="needs a package of task organs beside it"):
        PackagedSegmenter({"organs_fine": fine}, device=Device.CPU)
    save_package(tmp_path / "other", replace(alone, channels=(*card.channels, Channel("found:spleen", 0.0, 1.0))),
                 load_package(trained[0]).state)
    with pytest.raises(PackageError, match=r"works with the organs .*'spleen'.*, and organs finds"):
        PackagedSegmenter({"organs": load_package(trained[0]), "organs_fine": load_package(tmp_path / "other")},
                          device=Device.CPU)


@pytest.mark.parametrize(("target", "kept"), [
    (Target.thyroid, "lung_left"), (Target.adrenals, "liver"), (Target.muscle, "liver"),
])
def test_a_closer_look_is_trained_in_its_box(target, kept, tmp_path):
    torch.set_num_threads(1)
    weights, look = Path(__file__).parents[2] / "weights", CLOSER_LOOKS[target.value]
    settings = SegmentationSettings(
        target=target, labels=list(look.organs), spacing_mm=6.0, patch=[16, 16, 16], filters=[4, 8, 8], steps=2,
        image_spacing_mm=5.0, train_cases=2, held_out_cases=1, organs_package=str(weights / "organs"),
    )
    place = Workplace(out=tmp_path, tracking=None, device=Device.CPU, say=lambda text: None)
    card = load_package(segmentation_job(settings, PhantomSource(), place)).card
    assert (card.task, card.labels) == (target.value, look.organs)
    assert card.training["organs_package"] == "organs"
    # Used together: the finer network's organs stand in for coarse ones or are added, the other organs stay.
    sample = next(PhantomSource().segmentation(target, [1_000_000], spacing_mm=5.0))
    both = {p.card.task: p for p in map(load_package, (weights / "organs", tmp_path / target.value))}
    before = PackagedSegmenter({"organs": both["organs"]}, device=Device.CPU).segment_ct(sample.image)
    after = PackagedSegmenter(both, device=Device.CPU).segment_ct(sample.image)
    assert np.array_equal(before.mask(kept), after.mask(kept))
    assert set(after.labels) == set(before.labels) | set(look.organs)
    assert any(
        organ not in before.labels or not np.array_equal(before.mask(organ), after.mask(organ)) for organ in look.organs
    )


@pytest.mark.parametrize("target", [Target.thyroid, Target.adrenals, Target.muscle])
def test_a_closer_look_needs_an_organs_package(target):
    with pytest.raises(ValueError, match=r"task\.organs_package is needed .*: it finds the place to look at"):
        SegmentationSettings(target=target, labels=list(CLOSER_LOOKS[target.value].organs)).check()


def test_every_closer_look_is_a_target_of_the_training():
    assert set(CLOSER_LOOKS) <= {target.value for target in Target}
