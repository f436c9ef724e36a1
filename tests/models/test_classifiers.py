"""The learned arm: what it takes, what it leaves out, and that packages without the newer channels still run."""

import numpy as np
import pytest
import torch

from irae.core.anatomy import Irae
from irae.core.baseline import BaselineImages
from irae.core.volume import Quantity
from irae.models.card import SCORINGS, SEVERITIES, Channel, scoring_name
from irae.models.classifiers import PackagedClassifier, severity_of
from irae.models.crops import has_baseline, organ_crops, stacked
from irae.models.evidence import evidence_map
from irae.models.nets import build_network, resnet_arguments
from irae.models.package import load_package
from irae.models.runtime import Device
from tests.models.make import classifier_card, comparing_card, save
from tests.training.stand_in import baseline, body

BOX = {"irae": Irae.HEPATITIS, "patch": (24, 24, 24), "spacing_mm": 10.0}


@pytest.fixture(scope="module")
def patient():
    return body(5, spacing_mm=10.0, hot=True)


def test_the_baseline_lies_around_the_same_organ(patient):
    exam, organs = patient
    seen = organ_crops(exam, organs, None, baseline=baseline(5), **BOX)
    assert set(seen.crops) == {"ct", "pet", "organ", "baseline_ct", "baseline_pet"}
    assert seen.grid.shape == (24, 24, 24)
    middle = (slice(9, 15),) * 3
    assert seen.crops["pet"][middle].mean() > 1.5 * seen.crops["baseline_pet"][middle].mean() > 2.0
    assert abs(float((seen.crops["ct"] - seen.crops["baseline_ct"])[middle].mean())) < 40


@pytest.mark.parametrize("changed", [
    {"suspected": frozenset({Irae.HEPATITIS})}, {"organs": None}, {"ct": None, "pet": None, "organs": None},
])
def test_a_baseline_that_does_not_show_the_patients_normal_is_left_out(patient, changed):
    exam, organs = patient
    first = baseline(5)
    fields = {"ct": first.ct, "pet": first.pet, "organs": first.organs} | changed
    assert not has_baseline(organ_crops(exam, organs, None, baseline=BaselineImages(**fields), **BOX).crops)


def test_a_baseline_needs_its_images():
    first = baseline(5)
    with pytest.raises(ValueError, match="need the CT"):
        BaselineImages(organs=first.organs)
    with pytest.raises(ValueError, match="needs its MR"):
        BaselineImages(pituitary=first.organs)


def test_what_is_missing_is_zero_and_said():
    channels = [Channel(s, 0.0, 1.0) for s in ("pet", "pet_present", "baseline_pet", "baseline_present", "organ")]
    crops = {"organ": torch.ones(2, 2, 2), "pet": torch.ones(2, 2, 2)}
    assert [float(layer.max()) for layer in stacked(crops, channels)] == [1, 1, 0, 0, 1]
    assert [float(layer.max()) for layer in stacked(crops | {"baseline_pet": torch.ones(2, 2, 2)}, channels)] == [1] * 5
    with pytest.raises(KeyError):
        stacked({"organ": torch.ones(2, 2, 2)}, [Channel("ct", 0.0, 1.0)])


def test_a_gated_channel_is_shown_at_the_organ_only():
    organ = torch.tensor([1.0, 0.2, 0.1, 0.0]).reshape(4, 1, 1)
    channels = [Channel("pet", 0.0, 4.0, gated=True), Channel("pet", 0.0, 4.0), Channel("organ", 0.0, 1.0)]
    hot, whole, region = stacked({"pet": torch.full((4, 1, 1), 2.0), "organ": organ}, channels)
    assert hot.flatten().tolist() == pytest.approx([0.5, 0.5, 0.25, 0.0])
    assert (whole == 0.5).all()
    assert torch.equal(region, organ)


def test_an_older_package_runs_and_gives_what_it_has(tmp_path, patient):
    save(tmp_path, classifier_card())
    exam, organs = patient
    classifier = PackagedClassifier.from_folder(tmp_path, device=Device.CPU)
    alone, compared = (classifier.score(exam, organs, None, b)[Irae.HEPATITIS] for b in (None, baseline(5)))
    assert (alone.severity, alone.compared, compared.compared) == (None, False, False)
    assert alone.probability == compared.probability


def test_a_package_with_a_baseline_uses_it_and_its_own_calibration(tmp_path, patient):
    card = comparing_card()
    save(tmp_path, card)
    exam, organs = patient
    classifier = PackagedClassifier.from_folder(tmp_path, device=Device.CPU)
    alone, compared = (classifier.score(exam, organs, None, b)[Irae.HEPATITIS] for b in (None, baseline(5)))
    assert (alone.compared, compared.compared) == (False, True)
    assert alone.threshold == card.scoring.operating_point.threshold
    assert compared.threshold == card.scoring_with_baseline.operating_point.threshold
    assert alone.probability != compared.probability
    assert compared.severity in range(4)


@pytest.mark.parametrize(("threshold", "given"), [(0.01, True), (0.99, False)])
def test_the_evidence_map_is_given_where_the_irae_is_suspected(tmp_path, patient, threshold, given):
    save(tmp_path, comparing_card(threshold=threshold))
    exam, organs = patient
    score = PackagedClassifier.from_folder(tmp_path, device=Device.CPU).score(exam, organs, None)[Irae.HEPATITIS]
    assert (score.evidence_map is not None) == given
    if given:
        shown = score.evidence_map
        assert shown.quantity is Quantity.RELEVANCE
        assert (shown.array.min(), shown.array.max()) == (pytest.approx(0.0, abs=0.2), 1.0)
        # The grid is that of the crop: its middle lies in the middle of the liver.
        middle = shown.geometry.to_world((np.array(shown.geometry.shape) - 1) / 2)
        places = organs.geometry.to_world(np.argwhere(organs.mask("liver")))
        assert np.abs(middle - (places.min(axis=0) + places.max(axis=0)) / 2).max() < 1e-6


def test_the_map_finds_what_moves_the_answer():
    """A network made by hand whose answer is the brightness of its first channel: the map is that brightness."""
    network = torch.nn.Sequential()
    network.add_module("stage", torch.nn.Conv3d(1, 1, 1, bias=False))
    network.add_module("pool", torch.nn.AdaptiveAvgPool3d(1))
    torch.nn.init.ones_(network.stage.weight)
    image = torch.zeros(1, 1, 8, 8, 8)
    image[0, 0, 1:3, 5:7, 2:4] = 1.0
    shown = evidence_map(network, image, stage="stage")
    np.testing.assert_array_equal(shown > 0.5, image[0, 0].numpy() > 0.5)
    assert evidence_map(network, torch.zeros_like(image), stage="stage") is None


@pytest.mark.parametrize(("logits", "severity"), [
    ([], 0), ([-1.0, 2.0, 2.0], 0), ([0.1, -0.1, 3.0], 1), ([1.0, 1.0, -0.1], 2), ([1.0, 1.0, 0.0], 3),
])
def test_severity_is_how_many_steps_in_a_row_are_likely(logits, severity):
    assert severity_of(logits) == severity


def test_a_card_must_have_a_scoring_for_everything_it_reads(tmp_path):
    with pytest.raises(ValueError, match="scoring_with_baseline"):
        comparing_card(scoring_with_baseline_without_pet=None)
    with pytest.raises(ValueError, match="got"):
        classifier_card(labels=("hepatitis", "severity_1"))
    assert {scoring_name(pet=p, baseline=b) for p in (True, False) for b in (True, False)} == set(SCORINGS)
    read = load_package(save(tmp_path, comparing_card())).card
    assert read.to_json() == {**comparing_card().to_json(), "weights": read.to_json()["weights"]}
    assert read.gives_severity
    assert read.labels[1:] == SEVERITIES


def test_the_shipped_stage_exists_in_the_network():
    network = build_network("resnet", resnet_arguments(in_channels=2, filters=[4, 4, 8, 8], outputs=4)).eval()
    shown = evidence_map(network, torch.rand(1, 2, 24, 20, 16), stage="layer2")
    assert shown is None or shown.shape == (24, 20, 16)
