"""The table of networks is closed, and takes plain data only."""

import pytest
import torch

from irae.models.nets import NETWORKS, build_network, dynunet_arguments, parameter_count, resnet_arguments


def test_every_row_names_a_class_that_monai_has():
    from monai.networks import nets

    for kind in NETWORKS.values():
        assert hasattr(nets, kind.monai_class)


def test_dynunet_keeps_the_grid_and_resnet_gives_one_logit():
    segmenter = build_network("dynunet", dynunet_arguments(in_channels=2, out_channels=3, filters=[4, 8, 8]))
    assert segmenter(torch.zeros(1, 2, 16, 16, 16)).shape == (1, 3, 16, 16, 16)
    classifier = build_network("resnet", resnet_arguments(in_channels=3, filters=[4, 4, 8, 8])).eval()
    assert classifier(torch.zeros(2, 3, 24, 24, 24)).shape == (2, 1)
    assert parameter_count(classifier) > 0


@pytest.mark.parametrize(("name", "arguments", "says"), [
    ("os.system", {}, "unknown; known are"),
    ("dynunet", {"spatial_dims": 3, "evil": 1}, "unknown arguments"),
    ("unet", {"spatial_dims": 3, "in_channels": "$__import__('os')"}, "expression"),
    ("unet", {"spatial_dims": 3, "in_channels": object()}, "plain data"),
    ("unet", {"spatial_dims": 3}, "cannot be built"),
    ("resnet", resnet_arguments(in_channels=1, filters=[4, 4]), "cannot be built"),
])
def test_anything_outside_the_table_is_refused(name, arguments, says):
    with pytest.raises(ValueError, match=says):
        build_network(name, arguments)


def test_a_network_far_too_large_is_refused(monkeypatch):
    monkeypatch.setattr("irae.models.nets.MAX_PARAMETERS", 1000)
    with pytest.raises(ValueError, match="the limit is 1000"):
        build_network("resnet", resnet_arguments(in_channels=1, filters=[4, 4, 8, 8]))
