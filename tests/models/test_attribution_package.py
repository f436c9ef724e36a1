import json

import numpy as np
import pytest

from irae.attribution.learned import LearnedModel, Linear, Seen, Trees
from irae.models.attribution_package import ATTRIBUTION_CARD, AttributionCard, load_attribution, save_attribution
from irae.models.package import WEIGHTS_FILE, Metric, PackageError


def trees():
    return Trees(
        start=np.zeros(3), roots=np.array([0], np.int32), outputs=np.array([1], np.int32),
        feature=np.array([1, -1, -1], np.int32), threshold=np.array([5.0, 0.0, 0.0]),
        missing_left=np.array([1, 0, 0], np.uint8), left=np.array([1, 0, 0], np.int32),
        right=np.array([2, 0, 0], np.int32), value=np.array([0.5, -1.0, 2.0]),
    )


def linear():
    return Linear(start=np.zeros(3), centre=np.ones(2), scale=np.ones(2), weight=np.ones((2, 3)),
                  missing=np.zeros((2, 3)))


SEEN = Seen(centre=np.zeros(4), scale=np.ones(4), typical=np.array([[8.0, 12.0, 0.0, 0.0]], np.float32), limit=2.0)


def model(margins, seen=SEEN):
    return LearnedModel(features=("suv_max", "longest_mm"), margins=margins, temperature=1.3, least=(0.1, 0.02, 0.3),
                        seen=seen)


CARD = AttributionCard(created_on="2026-11-21", intended_use="A test.", limitations="None is meant.",
                       metrics={"learned/macro_auroc": Metric(0.9, 0.8, 1.0, 4)},
                       suv_max_alone=LearnedModel(
                           features=("suv_max",), temperature=1.0, least=(0.1, 0.1, 0.1),
                           margins=Linear(start=np.zeros(3), centre=np.ones(1), scale=np.ones(1),
                                          weight=np.ones((1, 3)), missing=np.zeros((1, 3)))))


@pytest.mark.parametrize("margins", [trees(), linear()], ids=["trees", "linear"])
def test_what_is_written_is_what_is_read(tmp_path, margins):
    folder = save_attribution(tmp_path / "attribution", model(margins), CARD)
    read, card = load_attribution(folder)
    for row in ({"suv_max": 8.0, "longest_mm": 12.0}, {"longest_mm": 3.0}, {}):
        assert read.told(row).probabilities == pytest.approx(model(margins).told(row).probabilities)
        assert read.told(row).unlike is model(margins).told(row).unlike
    assert read.told({"suv_max": 8.0, "longest_mm": 12.0}).unlike is None
    assert read.told({}).unlike is not None
    assert read.digest.startswith("sha256:")
    assert card.metrics == CARD.metrics
    assert card.suv_max_alone.told({"suv_max": 3.0}).probabilities
    assert "| learned/macro_auroc | 0.900 |" in (folder / "MODEL_CARD.md").read_text()


def test_an_older_package_says_nothing_of_its_training_cases(tmp_path):
    read, _ = load_attribution(save_attribution(tmp_path, model(trees(), seen=None), CARD))
    assert read.seen is None


def test_a_changed_weights_file_is_refused(tmp_path):
    folder = save_attribution(tmp_path, model(trees()), CARD)
    content = bytearray((folder / WEIGHTS_FILE).read_bytes())
    content[-1] ^= 1
    (folder / WEIGHTS_FILE).write_bytes(bytes(content))
    with pytest.raises(PackageError, match="not the one that the card describes"):
        load_attribution(folder)


@pytest.mark.parametrize(("key", "value", "why"), [
    ("temperature", 9.0, "changed after it was written"),
    ("least", [0.0, 0.0, 0.0], "changed after it was written"),
    ("kind", "pickle", "kind"),
    ("schema", "irae.model/1", "schema"),
])
def test_a_changed_card_is_refused(tmp_path, key, value, why):
    folder = save_attribution(tmp_path, model(trees()), CARD)
    card = json.loads((folder / ATTRIBUTION_CARD).read_text())
    (folder / ATTRIBUTION_CARD).write_text(json.dumps(card | {key: value}))
    with pytest.raises(PackageError, match=why):
        load_attribution(folder)


def test_a_missing_file_is_said(tmp_path):
    with pytest.raises(PackageError, match="is missing"):
        load_attribution(tmp_path)
