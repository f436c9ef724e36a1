"""A network that finds lesions on PET/CT: its cases, a training, and what its package gives."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
import torch

from irae.core.exam import Exam, Role
from irae.core.focus import Nature
from irae.core.geometry import Geometry
from irae.core.volume import Quantity, Volume
from irae.io.manifest import FileRole, ManifestError, Split, read_manifest
from irae.io.nifti import write_labels
from irae.models.card import FOCI_LABEL
from irae.models.foci import PackagedFociNetwork, on_network_grid
from irae.models.package import Channel, PackageError, load_package
from irae.models.runtime import Device
from irae.phantom.sample import training_sample
from irae.report.evaluation_page import write_evaluation_page
from irae.training.annotated import AnnotatedExam, foci_in
from irae.training.augment import SuvChange, changed_suv
from irae.training.cases_on_disk import CasesOnDisk
from irae.training.data import FociSample, foci_case
from irae.training.evaluation import candidates, evaluate
from irae.training.evaluation_summary import summary
from irae.training.foci_jobs import foci_job, measured
from irae.training.jobs import Workplace
from irae.training.manifest_checks import check_manifest
from irae.training.manifest_source import FIRST, ManifestSource
from irae.training.memory import case_bytes
from irae.training.segmentation import SegmentationCase
from irae.training.settings import FociSettings, SegmentationSettings
from tests.training.sets import SetOnDisk
from tests.training.stand_in import StandIn, lesions

FOCI = FociSettings(
    spacing_mm=8.0, patch=[16, 16, 16], image_spacing_mm=8.0, filters=[6, 12, 24], steps=100, batch=2,
    learning_rate=6e-3, train_cases=6, held_out_cases=3,
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    torch.set_num_threads(1)
    place = Workplace(out=tmp_path_factory.mktemp("foci"), tracking=None, device=Device.CPU, say=lambda text: None)
    return foci_job(FOCI, StandIn(), place)


def test_a_short_training_finds_lesions_and_leaves_a_hot_liver_alone(trained):
    card = load_package(trained).card
    assert card.labels == (FOCI_LABEL,)
    assert [channel.source for channel in card.channels] == ["ct", "ct", "pet", "pet"]
    assert card.metrics["sensitivity_at_1_false"].value >= 0.8
    assert card.metrics["dice/lesion"].value > 0.2
    network = PackagedFociNetwork.from_folder(trained.parent, device=Device.CPU)
    assert list(network.digests) == ["foci"]
    sample = lesions(4321)
    found = network.probability(sample.ct, sample.pet)
    assert found.quantity is Quantity.PROBABILITY
    assert found.array[sample.marked].mean() > 0.5
    liver = (sample.pet.array > 3.5) & ~sample.marked
    assert found.array[liver].mean() < found.array[sample.marked].mean() - 0.3


def test_an_evaluation_reads_it_beside_the_thresholds(trained, tmp_path):
    sample = lesions(77)
    exam = Exam(patient="S77", acquired_on=date(2026, 1, 1), volumes={Role.CT: sample.ct, Role.PET: sample.pet})
    known = AnnotatedExam(exam=exam, foci=foci_in(sample.marked, sample.ct.geometry))

    class NoOrgans:
        name, digests = "none", {}

        def for_exam(self, patient, acquired_on):
            return self

        def segment_ct(self, ct):
            return None

    network = PackagedFociNetwork.from_folder(trained, device=Device.CPU)
    document = summary(evaluate([known], segmenter=NoOrgans(), classifier=None, lesions=network))
    assert list(document["foci"]) == ["thresholds", "network"]
    assert document["foci"]["network"]["sensitivity_at_1_false"]["value"] == 1.0
    data = {"name": "one body", "what": "a stand-in", "limits": "Not real."}
    page = document | {"data": data, "models": network.digests, "limits": {"surface_mm": 4.0, "focus_mm": 8.0}}
    write_evaluation_page(tmp_path / "page.html", page)
    assert "Foci found by the network" in (tmp_path / "page.html").read_text()


def test_what_touches_at_even_odds_is_one_candidate():
    probability = np.zeros((20, 4, 4), np.float32)
    probability[1:4, 1:3, 1:3], probability[4:7, 1:3, 1:3], probability[7:9, 1:3, 1:3] = 0.9, 0.3, 0.8
    probability[14:16, 1:3, 1:3] = 0.4
    grid = Geometry.axis_aligned(probability.shape, (4.0, 4.0, 4.0))
    found = candidates(Volume(array=probability, geometry=grid, quantity=Quantity.PROBABILITY))
    assert [round(score, 1) for score, _ in found] == [0.9, 0.8, 0.4]


def test_its_answer_does_not_depend_on_the_order_of_a_scan_s_axes(trained):
    network, sample = PackagedFociNetwork.from_folder(trained, device=Device.CPU), lesions(99)
    straight, _ = measured(network, sample, key="0")

    def turned(volume: Volume) -> Volume:
        grid = volume.geometry
        affine = grid.affine @ np.array([[-1, 0, 0, grid.shape[0] - 1], [0, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
        shape = (grid.shape[0], grid.shape[2], grid.shape[1])
        array = volume.array[::-1].transpose(0, 2, 1)
        return Volume(array=array, geometry=Geometry(shape=shape, affine=affine), quantity=volume.quantity)

    other = FociSample(turned(sample.ct), turned(sample.pet), sample.marked[::-1].transpose(0, 2, 1))
    again, _ = measured(network, other, key="0")
    assert again.true == straight.true == 2
    np.testing.assert_allclose(again.found, straight.found, atol=1e-4)


def test_other_packages_and_other_quantities_are_refused(trained, tmp_path):
    assert PackagedFociNetwork.from_folder(tmp_path) is None
    package = load_package(trained)
    with pytest.raises(PackageError, match="of the task organs, not foci"):
        PackagedFociNetwork(replace(package, card=replace(package.card, task="organs", labels=("liver",))))
    with pytest.raises(ValueError, match="unknown labels \\['liver'\\]; known are \\['lesion'\\]"):
        replace(package.card, labels=("liver",))
    sample = lesions(5)
    with pytest.raises(ValueError, match="needs HU and SUVbw, got SUVbw and HU"):
        on_network_grid(sample.pet, sample.ct, 8.0)


def test_the_phantom_s_lesions_are_marked_where_the_pet_shows_them():
    made = training_sample(2, spacing_mm=5.0, realistic=True, with_foci=True)
    marked, suv = made.foci, made.exam.pet.array
    assert suv[marked].mean() > 10 * suv[~marked].mean()
    inside = [focus for focus in made.truth.lesions if focus.nature is Nature.METASTASIS and focus.diameters_mm[2] > 8]
    assert inside
    places = made.exam.pet.geometry.to_world(np.argwhere(marked))
    for focus in inside:
        nearest = np.linalg.norm(places - focus.centre_ras_mm, axis=1).min()
        assert nearest < 5.0 + abs(made.truth.pet_offset_mm)


def test_a_case_holds_ct_and_pet_on_one_grid_and_survives_the_disk(tmp_path):
    case = foci_case(lesions(3), spacing_mm=16.0)
    assert case.image.shape == case.pet.shape == case.labels.shape
    assert case.pet[case.labels > 0].mean() > 3 * case.pet.mean()
    kept = CasesOnDisk([3], lambda number: case, tmp_path, key="test")[0]
    np.testing.assert_array_equal(kept.pet, case.pet)
    channels = case.channels((Channel("pet", 0.0, 9.0), Channel("ct", -1000.0, 400.0)))
    np.testing.assert_allclose(channels[0].numpy(), np.clip(case.pet / 9.0, 0, 1), atol=1e-6)
    without = SegmentationCase(case.image, case.labels, Quantity.HU)
    with pytest.raises(ValueError, match="a channel is of a PET, and the case has none"):
        without.channels((Channel("pet", 0.0, 9.0),))
    with pytest.raises(ValueError, match=r"image .* and pet .* differ in shape"):
        SegmentationCase(case.image, case.labels, Quantity.HU, case.pet[1:])
    grid = lesions(3).ct.geometry
    assert case_bytes(grid, FOCI, 8.0) > case_bytes(grid, SegmentationSettings(), 8.0) + 3.9 * np.prod(grid.shape)


def test_changed_uptake_is_never_negative_and_keeps_its_contrast():
    pet = torch.full((1, 12, 12, 12), 1.0)
    pet[:, 4:8, 4:8, 4:8] = 8.0
    gains = []
    for seed in range(20):
        out = changed_suv(np.random.default_rng(seed), pet, SuvChange())
        assert float(out.min()) >= 0.0
        assert float(out[0, 5:7, 5:7, 5:7].mean()) > 3 * float(out[0, :2].mean())
        gains.append(float(out[0, :2].mean()))
    assert max(gains) / min(gains) > 1.3


@pytest.mark.parametrize(("change", "text"), [
    ({"labels": ["liver"]}, "task.labels must be \\[lesion\\]"),
    ({"suv_windows": [[5.0, 0.0]]}, "task.suv_windows must be pairs low < high"),
    ({"patch": [10, 16, 16]}, "task.patch must be three multiples of 4"),
])
def test_settings_that_cannot_work_are_refused(change, text):
    with pytest.raises(ValueError, match=text):
        replace(FOCI, **change).check()


def test_a_manifest_with_drawn_foci_becomes_cases_and_one_without_is_refused(tmp_path):
    made = SetOnDisk(tmp_path)
    for number, split in enumerate((Split.TRAIN, Split.VALIDATION, Split.TEST)):
        made.body(number, split)
    with pytest.raises(ManifestError, match="no exam has a ct, a pet and foci"):
        check_manifest(read_manifest(made.write("without.csv")), FOCI)
    for number, split in enumerate((Split.TRAIN, Split.VALIDATION, Split.TEST)):
        sample = lesions(number, 16.0)
        file = f"S{number}/2026-01-01/foci.nii.gz"
        write_labels(tmp_path / file, sample.marked.astype(np.uint8), sample.ct.geometry)
        made.add(f"S{number}", made.rows[0].exam, FileRole.FOCI, file, split)
    manifest = read_manifest(made.write())
    check_manifest(manifest, FOCI)
    source = ManifestSource(manifest)
    assert source.fitted(FOCI).held_out_seed == FIRST[Split.TEST]
    (drawn,) = source.foci([FIRST[Split.TEST]], spacing_mm=4.0)
    np.testing.assert_array_equal(drawn.marked, lesions(2, 16.0).marked)
