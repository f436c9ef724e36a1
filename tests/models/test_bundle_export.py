"""A package written as a MONAI bundle is the same network on the same channels."""

import json
import os
from dataclasses import replace

import pytest
import torch

from irae.models.bundle_export import export_bundle
from irae.models.nets import build_network
from irae.models.package import PackageError, load_package, save_package
from irae.models.runtime import Device, Precision
from irae.models.segmenters import MonaiBundleSegmenter
from irae.models.segmenters.monai_bundle import read_bundle
from irae.models.tensors import scaled
from tests.models.make import classifier_card, organs_card, volume


def test_a_package_comes_back_as_a_bundle(tmp_path):
    torch.manual_seed(0)
    card = organs_card()
    package = load_package(save_package(
        tmp_path / "package", card, build_network(card.network, card.arguments).state_dict()
    ))
    folder = export_bundle(package, tmp_path / "bundle")
    plan = read_bundle(folder)
    assert (plan.name, plan.spacing_mm, plan.patch) == ("organs", (8.0, 8.0, 8.0), (16, 16, 16))
    assert plan.classes == {1: "liver", 2: "spleen"}
    image = torch.linspace(-1200.0, 600.0, 16**3).reshape(16, 16, 16)
    assert len(plan.channels) == 2
    for steps, channel in zip(plan.channels, card.channels, strict=True):
        found = image
        for step in steps:
            found = step(found)
        torch.testing.assert_close(found, scaled(image, channel))
    segmenter = MonaiBundleSegmenter(folder, device=Device.CPU, precision=Precision.FP32)
    network = package.network(torch.device("cpu"))
    batch = torch.rand(1, 2, 16, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(segmenter._network(batch), network(batch))
    ct = volume((24, 24, 24), (6.0, 6.0, 6.0))
    assert segmenter.segment_ct(ct).geometry.same_grid(ct.geometry)
    assert json.loads((folder / "configs/metadata.json").read_text())["changelog"]["0.1.0"].endswith(package.digest)


def test_what_a_bundle_cannot_say_is_refused(tmp_path):
    card = classifier_card()
    package = load_package(save_package(
        tmp_path / "package", card, build_network(card.network, card.arguments).state_dict()
    ))
    with pytest.raises(PackageError, match="only networks that find organs on CT"):
        export_bundle(package, tmp_path / "bundle")


@pytest.mark.parametrize(("change", "text"), [
    ({"arguments": {"act_name": ["prelu", {"_target_": "os.system", "command": "true"}]}}, "the key '_target_'"),
    ({"arguments": {"dropout": "$__import__('os').getcwd()"}}, "is an expression"),
    ({"intended_use": "$__import__('os').getcwd()"}, "is an expression"),
    ({"labels": ("spleen", "liver"), "limitations": "@network_def"}, "is an expression"),
])
def test_nothing_that_another_program_would_run_is_written(tmp_path, change, text):
    card = organs_card()
    package = load_package(save_package(
        tmp_path / "package", card, build_network(card.network, card.arguments).state_dict()
    ))
    changed = change | {"arguments": {**card.arguments, **change.get("arguments", {})}}
    hostile = replace(package, card=replace(package.card, **changed))
    with pytest.raises(PackageError, match=text):
        export_bundle(hostile, tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_monai_itself_builds_the_network_and_evaluates_no_expression(tmp_path):
    from monai.bundle import ConfigParser

    card = organs_card()
    package = load_package(save_package(
        tmp_path / "package", card, build_network(card.network, card.arguments).state_dict()
    ))
    folder = export_bundle(package, tmp_path / "bundle")
    text = (folder / "configs/inference.json").read_text()
    assert "$" not in text
    parser = ConfigParser(json.loads(text))
    network = parser.get_parsed_content("network")
    assert type(network).__name__ == "DynUNet"
    assert parser.get_parsed_content("network_def") is network


@pytest.mark.parametrize("change", [
    {"spacing_mm": "$__import__('os').getcwd()"}, {"patch": (16, 16, "@network_def")},
])
def test_nor_is_it_in_a_card_that_no_file_held(tmp_path, change):
    package = load_package(save_package(
        tmp_path / "package", organs_card(), build_network("dynunet", organs_card().arguments).state_dict()
    ))
    hostile = replace(package.card)
    for name, value in change.items():
        object.__setattr__(hostile, name, value)  # as a caller in code could, past the schema
    with pytest.raises(PackageError, match="is an expression"):
        export_bundle(replace(package, card=hostile), tmp_path / "bundle")
    assert not (tmp_path / "bundle").exists()


def test_a_link_planted_where_a_file_is_written_aside_leads_nowhere(tmp_path):
    card = organs_card()
    package = load_package(save_package(
        tmp_path / "package", card, build_network(card.network, card.arguments).state_dict()
    ))
    target = tmp_path / "precious"
    target.write_text("kept")
    for part, names in (("configs", ("inference.json", "metadata.json")), ("models", ("model.safetensors",))):
        (tmp_path / "bundle" / part).mkdir(parents=True)
        for name in names:
            (tmp_path / "bundle" / part / name).symlink_to(target)
            (tmp_path / "bundle" / part / f".aside-{os.getpid()}-{name}").symlink_to(target)
    export_bundle(package, tmp_path / "bundle")
    assert target.read_text() == "kept"
    assert not (tmp_path / "bundle" / "models" / "model.safetensors").is_symlink()


@pytest.mark.parametrize("part", ["configs", "models"])
def test_nothing_is_written_through_a_link(tmp_path, part):
    card = organs_card()
    package = load_package(save_package(
        tmp_path / "package", card, build_network(card.network, card.arguments).state_dict()
    ))
    (tmp_path / "bundle").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "bundle" / part).symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    with pytest.raises(PackageError, match="is a link"):
        export_bundle(package, tmp_path / "bundle")
    assert not list((tmp_path / "elsewhere").iterdir())
    assert [path.name for path in (tmp_path / "bundle").iterdir()] == [part]
