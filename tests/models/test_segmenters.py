"""Each segmenter's own promises; what all of them promise is in tests/contracts/test_segmenter.py."""

import json
import stat
import sys
from datetime import date

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from irae.core.anatomy import BY_NAME
from irae.core.errors import StudyError
from irae.core.geometry import Geometry
from irae.core.volume import Coverage, Quantity, Volume
from irae.io.nifti import write_labels
from irae.models.closer import CLOSER_LOOKS
from irae.models.nets import build_network
from irae.models.package import PackageError, load_package
from irae.models.segmenters import (
    MaskSegmenter,
    MonaiBundleSegmenter,
    PackagedSegmenter,
    TotalSegmentatorSegmenter,
)
from irae.models.segmenters.masks import class_names
from irae.models.segmenters.monai_bundle import read_bundle
from irae.models.segmenters.names import organ_of, organ_values, translated
from irae.training.metrics import dice
from tests.models.make import organs_card, save, volume
from tests.models.test_air import chest

UNET = {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "channels": [4, 8], "strides": [2], "num_res_units": 1}


def bundle(folder, *, inference=None, metadata=None, weights="safetensors"):
    """A bundle as MONAI writes it, with references and steps that only prepare the image."""
    (folder / "configs").mkdir(parents=True)
    (folder / "models").mkdir()
    (folder / "configs" / "metadata.json").write_text(json.dumps({
        "name": "mini", "version": "0.1",
        "network_data_format": {
            "inputs": {"image": {"modality": "CT"}},
            "outputs": {"pred": {"channel_def": {"0": "background", "1": "liver", "2": "spleen"}}},
        },
    } | (metadata or {})))
    (folder / "configs" / "inference.json").write_text(json.dumps({
        "imports": ["$import glob"], "bundle_root": ".", "patch": [16, 16, 16],
        "device": "$torch.device('cuda:0' if torch.cuda.is_available() else 'cpu')",
        "network_def": {"_target_": "UNet", **UNET}, "network": "$@network_def.to(@device)",
        "preprocessing": {"_target_": "Compose", "transforms": [
            {"_target_": "LoadImaged", "keys": "image"},
            {"_target_": "EnsureChannelFirstd", "keys": "image"},
            {"_target_": "Orientationd", "keys": "image", "axcodes": "RAS"},
            {"_target_": "Spacingd", "keys": "image", "pixdim": [4.0, 4.0, 6.0], "mode": "bilinear"},
            {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": -100, "a_max": 200, "b_min": 0, "b_max": 1,
             "clip": True},
        ]},
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": "@patch", "sw_batch_size": 4},
    } | (inference or {})))
    torch.manual_seed(0)
    state = build_network("unet", UNET).state_dict()
    if weights == "safetensors":
        save_file({k: v.contiguous() for k, v in state.items()}, folder / "models" / "model.safetensors")
    else:
        torch.save(state, folder / "models" / "model.pt")
    return folder


# --- packaged


def test_packaged_answers_the_same_however_the_axes_are_stored(tmp_path):
    segmenter = PackagedSegmenter.from_folder(save(tmp_path, organs_card(), seed=1))  # finds something in noise
    ct = volume((32, 30, 28), (4.0, 4.0, 4.0))
    flipped = Volume(
        array=np.ascontiguousarray(ct.array[::-1, ::-1].transpose(2, 0, 1)),
        geometry=Geometry(shape=(28, 32, 30), affine=np.array([
            [0, -4.0, 0, 31 * 4.0], [0, 0, -4.0, 29 * 4.0], [4.0, 0, 0, 0], [0, 0, 0, 1]])),
        quantity=Quantity.HU,
    )
    (raw, _), (other, _) = (segmenter._organs(image) for image in (ct, flipped))
    assert raw.any()
    np.testing.assert_array_equal(other, raw[::-1, ::-1].transpose(2, 0, 1))


def test_packaged_needs_a_package(tmp_path):
    with pytest.raises(PackageError, match="no package of task organs"):
        PackagedSegmenter.from_folder(tmp_path)


def test_packaged_without_a_pituitary_package_says_not_seen(tmp_path):
    segmenter = PackagedSegmenter.from_folder(save(tmp_path, organs_card()))
    found = segmenter.segment_mr(volume(quantity=Quantity.MR_SIGNAL))
    assert found.coverage["pituitary"] is Coverage.NONE
    with pytest.raises(ValueError, match="needs HU"):
        segmenter.segment_ct(volume(quantity=Quantity.MR_SIGNAL))


def test_a_closer_look_whose_place_is_not_in_the_picture_finds_nothing(tmp_path):
    glands = CLOSER_LOOKS["adrenals"].organs
    save(tmp_path / "organs", organs_card(), seed=1)
    alone = PackagedSegmenter.from_folder(tmp_path).segment_ct(volume())
    save(tmp_path / "adrenals", organs_card(glands, name="adrenals", task="adrenals"))
    both = PackagedSegmenter.from_folder(tmp_path)
    assert sorted(both.digests) == ["adrenals", "organs"]
    found = both.segment_ct(volume())
    assert {found.coverage[gland] for gland in glands} == {Coverage.NONE}
    assert not set(glands) & set(alone.labels), "without the package they are not looked for"
    np.testing.assert_array_equal(found.array, alone.array)


def test_muscle_is_what_is_no_other_organ(tmp_path):
    ct = volume((40, 40, 40), (5.0, 5.0, 5.0), value=50)
    save(tmp_path / "organs", organs_card(), seed=1)
    alone = PackagedSegmenter.from_folder(tmp_path)
    save(tmp_path / "muscle", organs_card(("skeletal_muscle",), name="muscle", task="muscle"), seed=3)
    both = PackagedSegmenter.from_folder(tmp_path)
    assert sorted(both.digests) == ["muscle", "organs"]
    before, after = alone.segment_ct(ct), both.segment_ct(ct)
    assert "skeletal_muscle" in after.coverage
    assert "skeletal_muscle" not in before.coverage
    np.testing.assert_array_equal(after.without("skeletal_muscle").array, before.array)


def test_padding_of_the_table_is_no_muscle(tmp_path):
    save(tmp_path / "organs", organs_card())
    save(tmp_path / "muscle", organs_card(("skeletal_muscle",), name="muscle", task="muscle"))
    found = torch.zeros((2, 20, 20, 20))
    found[1, 2:12, 2:12, 2:12] = 0.9  # the body's
    found[1, 15:18, 15:18, 15:18] = 0.8  # a pad
    found[0] = 1.0 - found[1]
    kept = PackagedSegmenter.from_folder(tmp_path)._main_parts(CLOSER_LOOKS["muscle"], found)
    torch.testing.assert_close(kept[:, :12], found[:, :12])
    assert not kept[1, 12:].any()
    assert kept[0, 12:].min() == 1.0


def test_lungs_that_the_network_does_not_find_are_looked_for_as_air(tmp_path):
    labels = ("lung_left", "lung_right", "liver")
    hu, left, right, _ = chest()
    ct = Volume(array=hu, geometry=Geometry.axis_aligned(hu.shape, (5.0,) * 3), quantity=Quantity.HU)
    found = PackagedSegmenter.from_folder(save(tmp_path, organs_card(labels))).segment_ct(ct)
    for lung, truth in (("lung_left", left), ("lung_right", right)):
        assert found.coverage[lung] is Coverage.WHOLE, found.rejected
        assert dice(found.mask(lung), truth) > 0.9


def test_air_alone_holds_no_organs(tmp_path):
    found = PackagedSegmenter.from_folder(save(tmp_path, organs_card())).segment_ct(volume(value=-1000))
    assert {found.coverage[organ] for organ in found.labels} == {Coverage.NONE}


# --- monai_bundle


@pytest.mark.parametrize("weights", ["safetensors", "pt"])
def test_a_bundle_is_read_as_data_and_runs(tmp_path, weights):
    folder = bundle(tmp_path / "b", weights=weights)
    segmenter = MonaiBundleSegmenter(folder)
    assert list(segmenter.digests) == ["mini"]
    found = segmenter.segment_ct(volume((20, 20, 20), (4.0, 4.0, 6.0)))
    assert set(found.labels) == {"liver", "spleen"}
    plan = read_bundle(folder)
    assert (plan.network, plan.spacing_mm, plan.patch) == ("unet", (4.0, 4.0, 6.0), (16, 16, 16))
    torch.testing.assert_close(plan.channels[0][0](torch.tensor([-500.0, 50.0])), torch.tensor([0.0, 0.5]))


@pytest.mark.parametrize(("inference", "says"), [
    ({"network_def": {"_target_": "os.system", "command": "touch /tmp/owned"}}, "not in the table"),
    ({"network_def": "$__import__('os').system('true')"}, "expression"),
    ({"network_def": {"_target_": "UNet", **UNET, "in_channels": "$open('x','w')"}}, "expression"),
    ({"network_def": {"_target_": "UNet", **UNET, "hook": 1}}, "unknown arguments"),
    ({"network_def": "@nothing"}, "refers to nothing"),
    ({"network_def": "@a", "a": "@b", "b": "@a"}, "circle"),
    ({"inferer": {"roi_size": "$[96] * 3"}}, "expression"),
    ({"inferer": {"roi_size": [96, 96]}}, "roi_size"),
    ({"preprocessing": {"transforms": [{"_target_": "Lambdad", "func": "x"}]}}, "not supported"),
    ({"preprocessing": {"transforms": []}}, "no Spacingd"),
    ({"preprocessing": {"transforms": [{"_target_": "Orientationd", "axcodes": "LPS"}]}}, "only RAS"),
])
def test_a_bundle_outside_the_tables_is_refused(tmp_path, inference, says):
    with pytest.raises(PackageError, match=says):
        MonaiBundleSegmenter(bundle(tmp_path / "b", inference=inference))


def test_a_bundle_whose_weights_are_a_program_is_refused(tmp_path):
    folder = bundle(tmp_path / "b")
    (folder / "models" / "model.safetensors").unlink()
    marker = tmp_path / "executed"

    class Evil:
        def __reduce__(self):
            return (open, (str(marker), "w"))

    torch.save({"w": Evil()}, folder / "models" / "model.pt")
    with pytest.raises(PackageError, match="refused"):
        MonaiBundleSegmenter(folder)
    assert not marker.exists()


def test_a_bundle_of_other_organs_is_refused(tmp_path):
    other = {"network_data_format": {"outputs": {"pred": {"channel_def": {"0": "background", "1": "tooth"}}}}}
    with pytest.raises(PackageError, match="none of its classes"):
        MonaiBundleSegmenter(bundle(tmp_path / "b", metadata=other))
    with pytest.raises(PackageError, match="cannot be read"):
        MonaiBundleSegmenter(tmp_path / "absent")


# --- masks


def labels_file(path, image, names=None):
    array = np.zeros(image.geometry.shape, np.uint8)
    array[6:18, 5:15, 4:12] = 1
    array[2, 2, 2] = 7
    write_labels(path, array, image.geometry, names)
    return array


def test_masks_are_taken_as_drawn_with_the_names_of_the_file(tmp_path):
    ct = volume((24, 20, 16), (10.0, 10.0, 10.0), value=80)
    array = labels_file(tmp_path / "P1" / "2026-01-01" / "organs.nii.gz", ct, {1: "liver", 7: "rib_left_4"})
    found = MaskSegmenter(tmp_path).segment_ct(ct)
    assert found.coverage == {"liver": Coverage.WHOLE}
    np.testing.assert_array_equal(found.mask("liver"), array == 1)


def test_masks_of_another_grid_are_not_used(tmp_path):
    ct = volume((24, 20, 16), (10.0, 10.0, 10.0), value=80)
    labels_file(tmp_path / "a.nii.gz", ct, {1: "liver"})
    elsewhere = Volume(array=ct.array, geometry=Geometry.axis_aligned(ct.geometry.shape, (10.0,) * 3, (1.0, 0, 0)),
                       quantity=Quantity.HU)
    assert MaskSegmenter(tmp_path).segment_ct(elsewhere).coverage["liver"] is Coverage.NONE


def test_two_masks_on_one_grid_are_not_guessed_between(tmp_path):
    ct = volume((24, 20, 16), (10.0, 10.0, 10.0), value=80)
    for day in ("2026-01-01", "2026-03-01"):
        labels_file(tmp_path / "P1" / day / "organs.nii.gz", ct, {1: "liver"})
    segmenter = MaskSegmenter(tmp_path)
    assert "which is meant" in segmenter.segment_ct(ct).rejected["liver"]
    own = segmenter.for_exam("P1", date(2026, 3, 1))
    assert own.segment_ct(ct).coverage["liver"] is Coverage.WHOLE
    assert segmenter.for_exam("P2", date(2026, 3, 1)) is segmenter


def test_names_come_from_a_table_or_the_header_or_the_file_is_refused(tmp_path):
    ct = volume((24, 20, 16), (10.0, 10.0, 10.0), value=80)
    path = tmp_path / "m.nii.gz"
    labels_file(path, ct)
    with pytest.raises(StudyError, match="does not say what its labels mean"):
        MaskSegmenter(tmp_path).segment_ct(ct)
    (tmp_path / "m.json").write_text('{"spleen": 1}')
    assert class_names(path) == {1: "spleen"}
    (tmp_path / "m.json").write_text("[]")
    with pytest.raises(ValueError, match="must map"):
        class_names(path)


def test_masks_need_a_folder_with_masks(tmp_path):
    with pytest.raises(ValueError, match=r"no \.nii"):
        MaskSegmenter(tmp_path)
    with pytest.raises(ValueError, match="not a folder"):
        MaskSegmenter(tmp_path / "absent")


@pytest.mark.real_data
def test_totalsegmentator_names_are_read_from_its_own_file(shared_data):
    names = class_names(shared_data / "totalseg" / "example_ct_seg.nii.gz")
    organs = {organ_of(name) for name in names.values()} - {None}
    assert {"lung_left", "colon", "liver", "vertebrae", "thyroid_gland", "urinary_bladder", "heart"} <= organs


# --- names


def test_foreign_names():
    assert organ_of("lung_middle_lobe_right") == "lung_right"
    assert organ_of("Kidney Left") == "kidney_left"
    assert organ_of("duodenum") == "small_bowel"
    assert organ_of("sacrum") is None
    assert organ_values({1: "liver", 2: "tooth"}) == {1: BY_NAME["liver"].label}
    with pytest.raises(ValueError, match="none of the classes"):
        translated(np.zeros((2, 2, 2), np.uint8), {1: "tooth"})


# --- totalsegmentator

PROGRAM = """#!{python}
import sys, nibabel as nib, numpy as np
arguments = sys.argv[1:]
assert "--ml" in arguments and arguments[arguments.index("--device") + 1] in ("cpu", "gpu"), arguments
ct = nib.load(arguments[arguments.index("-i") + 1])
mode = "{mode}"
if mode == "fail":
    print("RuntimeError: out of memory", file=sys.stderr); sys.exit(1)
values = np.asarray(ct.dataobj)
labels = np.where(values > 50, 5, 0).astype(np.uint8)
if mode == "grid":
    labels = labels[1:]
image = nib.Nifti1Image(labels, ct.affine)
names = '<LabelTable><Label Key="5" Red="0"><![CDATA[liver]]></Label></LabelTable>'
if mode != "nameless":
    image.header.extensions.append(nib.nifti1.Nifti1Extension("ignore", names.encode()))
nib.save(image, arguments[arguments.index("-o") + 1])
"""


def program(tmp_path, mode="good"):
    path = tmp_path / f"TotalSegmentator-{mode}"
    path.write_text(PROGRAM.format(python=sys.executable, mode=mode))
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_totalsegmentator_runs_out_of_process_and_its_names_are_mapped(tmp_path):
    ct = volume((24, 20, 16), (10.0, 10.0, 10.0), value=0)
    array = ct.array.copy()
    array[6:18, 5:15, 4:12] = 80
    ct = Volume(array=array, geometry=ct.geometry, quantity=Quantity.HU)
    found = TotalSegmentatorSegmenter(program(tmp_path)).segment_ct(ct)
    assert found.coverage["liver"] is Coverage.WHOLE
    np.testing.assert_array_equal(found.mask("liver"), array > 50)


@pytest.mark.parametrize(("mode", "says"), [
    ("fail", "code 1: RuntimeError: out of memory"), ("grid", "grid of"), ("nameless", "cannot be read"),
])
def test_totalsegmentator_that_fails_is_one_unusable_study(tmp_path, mode, says):
    with pytest.raises(StudyError, match=says):
        TotalSegmentatorSegmenter(program(tmp_path, mode)).segment_ct(volume())


def test_totalsegmentator_that_is_not_installed_is_said_at_start():
    with pytest.raises(ValueError, match="no program 'NoSuchProgram'"):
        TotalSegmentatorSegmenter("NoSuchProgram")


# --- weights of the project


def test_the_weights_of_this_project_load_and_are_small(project):
    folders = sorted(card.parent for card in (project / "weights").glob("*/card.json"))
    packages = [load_package(folder) for folder in folders]
    assert {p.card.task for p in packages} >= {"organs"}
    assert sum(f.stat().st_size for folder in folders for f in folder.iterdir()) < 60e6
    for package in packages:
        assert package.card.licence == "Apache-2.0"
        assert package.card.data["source"] == "phantom"
        assert package.card.metrics
        package.network(torch.device("cpu"))
