"""A package says what it is; one that is wrong or was changed is refused before a network is built."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from irae.models import package as package_module
from irae.models.nets import build_network
from irae.models.package import Calibration, Card, Channel, PackageError, find_packages, load_package, save_package
from tests.models.make import classifier_card, organs_card, save


@pytest.mark.parametrize("make_card", [organs_card, classifier_card])
def test_write_then_read_is_the_same(tmp_path, make_card):
    card = make_card()
    folder = save(tmp_path / "p", card)
    read = load_package(folder)
    again = load_package(save_package(tmp_path / "q", read.card, read.state))
    assert {**read.card.to_json(), "weights": None} == {**card.to_json(), "weights": None}
    assert again.digest == read.digest
    assert read.digest.startswith("sha256:")
    assert (folder / "MODEL_CARD.md").read_text().startswith(f"# {card.name}")
    network = read.network(torch.device("cpu"))
    assert not network.training


def test_a_weight_with_two_names_is_kept_once(tmp_path):
    card = organs_card()
    torch.manual_seed(0)
    network = build_network(card.network, card.arguments).eval()
    names = set(network.state_dict())
    folder = save_package(tmp_path, card, network.state_dict())
    assert len(load_file(folder / "model.safetensors")) < len(names), "DynUNet names its blocks twice"
    again = load_package(folder).network(torch.device("cpu"))
    image = torch.rand(1, 2, 16, 16, 16)
    with torch.inference_mode():
        torch.testing.assert_close(again(image), network(image), atol=2e-2, rtol=2e-2)


def test_half_precision_is_kept_small_and_read_as_float32(tmp_path):
    read = load_package(save(tmp_path, organs_card()))
    assert all(value.dtype == torch.float32 for value in read.state.values() if value.is_floating_point())
    assert {v.dtype for v in load_file(tmp_path / "model.safetensors").values()} == {torch.float16}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    saved = save(tmp_path / "p", organs_card())

    def never(*_args, **_kwargs):
        raise AssertionError("a network was built from a refused package")

    monkeypatch.setattr(package_module, "build_network", never)
    return saved


def edit(folder, change):
    path = folder / "card.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize(("change", "says"), [
    (lambda d: d.update(schema="irae.model/9"), "schema"),
    (lambda d: d.update(task="fortune"), "task"),
    (lambda d: d.pop("licence"), "licence"),
    (lambda d: d.update(extra=1), "extra"),
    (lambda d: d.update(labels=["liver", "soul"]), "soul"),
    (lambda d: d["input"].update(spacing_mm=-1), "spacing_mm"),
    (lambda d: d["input"]["channels"][0].update(low=900), "low < high"),
    (lambda d: d["weights"].update(file="model.pt"), "file"),
    (lambda d: d["weights"].update(sha256="0" * 64), "the weights are not those the card describes"),
    (lambda d: d.update(task="hepatitis", labels=["hepatitis"]), "scoring"),
])
def test_a_wrong_card_is_refused_with_a_reason(folder, change, says):
    edit(folder, change)
    with pytest.raises(PackageError, match=says):
        load_package(folder)


def test_changed_weights_are_refused(folder):
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(PackageError, match="not those the card describes"):
        load_package(folder)


def test_weights_that_are_not_finite_are_refused_on_writing_and_on_reading(folder, tmp_path):
    state = load_file(folder / "model.safetensors")
    name = next(iter(state))
    state[name] = torch.full_like(state[name], float("nan"))
    with pytest.raises(PackageError, match="not finite"):
        save_package(tmp_path / "bad", organs_card(), state)
    save_file(state, folder / "model.safetensors")
    import hashlib

    sha = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    edit(folder, lambda d: d["weights"].update(sha256=sha))
    with pytest.raises(PackageError, match="not finite"):
        load_package(folder)


def test_a_pickle_in_place_of_safetensors_is_refused(folder):
    import hashlib

    torch.save({"a": torch.zeros(1)}, folder / "model.safetensors")
    sha = hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    edit(folder, lambda d: d["weights"].update(sha256=sha))
    with pytest.raises(PackageError, match="not safetensors"):
        load_package(folder)


@pytest.mark.parametrize("name", ["card.json", "model.safetensors"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(PackageError, match=f"{name} is missing"):
        load_package(folder)


def test_a_card_that_is_not_json_is_refused(folder):
    (folder / "card.json").write_text("{")
    with pytest.raises(PackageError, match="not JSON"):
        load_package(folder)


def test_weights_of_another_network_are_refused(tmp_path):
    folder = save(tmp_path, organs_card())
    edit(folder, lambda d: d["network"]["arguments"].update(filters=[16, 16, 16]))
    with pytest.raises(PackageError, match="size mismatch"):
        load_package(folder).network(torch.device("cpu"))


def test_packages_are_found_in_a_folder_of_them(tmp_path):
    one, two = save(tmp_path / "organs", organs_card()), save(tmp_path / "hepatitis", classifier_card())
    (tmp_path / "notes").mkdir()
    assert find_packages(tmp_path) == (two, one)
    assert find_packages(one) == (one,)


def test_calibration_is_a_sigmoid_that_does_not_overflow():
    calibration = Calibration(2.0, -1.0)
    assert calibration.probability(0.5) == pytest.approx(0.5)
    assert calibration.probability(1000.0) == pytest.approx(1.0)
    assert calibration.probability(-1000.0) == pytest.approx(0.0)


def test_a_channel_needs_a_range():
    with pytest.raises(ValueError, match="low < high"):
        Channel("ct", 1.0, 1.0)


def test_cards_are_checked_on_construction():
    with pytest.raises(ValueError, match="unknown labels"):
        organs_card(labels=("liver", "soul"))
    with pytest.raises(ValueError, match="scoring"):
        classifier_card(scoring_without_pet=None)
    with pytest.raises(PackageError, match="card"):
        Card.from_json([])
