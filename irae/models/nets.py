"""The closed table of networks: a name and plain arguments to a MONAI network.

A card or a bundle names a row of this table; nothing in a file can name any other class. MONAI takes seconds to
import, so it is imported when the first network is built.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True, slots=True)
class NetworkKind:
    """A row: the MONAI class behind a name and the arguments a file may give it."""

    monai_class: str
    arguments: frozenset[str]


def _kind(monai_class: str, arguments: str) -> NetworkKind:
    return NetworkKind(monai_class, frozenset(arguments.split()))


NETWORKS: dict[str, NetworkKind] = {
    "dynunet": _kind(
        "DynUNet",
        "spatial_dims in_channels out_channels kernel_size strides upsample_kernel_size filters dropout norm_name "
        "act_name deep_supervision deep_supr_num res_block trans_bias",
    ),
    "unet": _kind(
        "UNet", "spatial_dims in_channels out_channels channels strides kernel_size up_kernel_size num_res_units act "
        "norm dropout bias adn_ordering",
    ),
    "basicunet": _kind("BasicUNet", "spatial_dims in_channels out_channels features act norm bias dropout upsample"),
    "segresnet": _kind(
        "SegResNet", "spatial_dims init_filters in_channels out_channels dropout_prob act norm num_groups "
        "use_conv_final blocks_down blocks_up upsample_mode",
    ),
    "segresnetds": _kind(
        "SegResNetDS", "spatial_dims init_filters in_channels out_channels act norm blocks_down blocks_up dsdepth "
        "preprocess upsample_mode resolution",
    ),
    "swinunetr": _kind(
        "SwinUNETR", "in_channels out_channels patch_size depths num_heads window_size qkv_bias mlp_ratio feature_size "
        "norm_name drop_rate attn_drop_rate dropout_path_rate normalize patch_norm use_checkpoint spatial_dims "
        "downsample use_v2",
    ),
    "resnet": _kind(
        "ResNet", "block layers block_inplanes spatial_dims n_input_channels conv1_t_size conv1_t_stride no_max_pool "
        "shortcut_type widen_factor num_classes feed_forward bias_downsample act norm",
    ),
    "densenet": _kind(
        "DenseNet", "spatial_dims in_channels out_channels init_features growth_rate block_config bn_size act norm "
        "dropout_prob",
    ),
}

# A network larger than this is not what these packages are for; it is refused before memory is taken.
MAX_PARAMETERS = 200_000_000


def build_network(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """A network with fresh weights.

    Args:
        name: A row of ``NETWORKS``.
        arguments: The MONAI class's own arguments; numbers, strings, lists and mappings of them.

    Raises:
        ValueError: If the name or an argument is not in the table, or a value is not plain data.
    """
    if name not in NETWORKS:
        raise ValueError(f"network {name!r} is unknown; known are {sorted(NETWORKS)}")
    kind = NETWORKS[name]
    unknown = sorted(set(arguments) - kind.arguments)
    if unknown:
        raise ValueError(f"network {name}: unknown arguments {unknown}; known are {sorted(kind.arguments)}")
    for key, value in arguments.items():
        check_plain(f"network {name}: argument {key}", value)

    from monai.networks import nets

    try:
        network: nn.Module = getattr(nets, kind.monai_class)(**arguments)
    except (TypeError, ValueError, AssertionError, LookupError, NotImplementedError) as error:
        raise ValueError(f"network {name} cannot be built from {dict(arguments)}: {error}") from error
    size = parameter_count(network)
    if size > MAX_PARAMETERS:
        raise ValueError(f"network {name} has {size} parameters; the limit is {MAX_PARAMETERS}")
    return network


def parameter_count(network: nn.Module) -> int:
    """Number of trained parameters."""
    return sum(parameter.numel() for parameter in network.parameters())


def dynunet_arguments(*, in_channels: int, out_channels: int, filters: Sequence[int]) -> dict[str, Any]:
    """Arguments of a residual 3D U-Net that halves the grid once per level after the first.

    Its patch must be a multiple of ``2 ** (len(filters) - 1)`` along every axis.
    """
    levels = len(filters)
    return {
        "spatial_dims": 3, "in_channels": in_channels, "out_channels": out_channels, "kernel_size": [3] * levels,
        "strides": [1, *[2] * (levels - 1)], "upsample_kernel_size": [2] * (levels - 1), "filters": list(filters),
        "norm_name": ["INSTANCE", {"affine": True}], "res_block": True,
    }


def resnet_arguments(*, in_channels: int, filters: Sequence[int], outputs: int = 1) -> dict[str, Any]:
    """Arguments of a small 3D residual classifier whose outputs are logits.

    Batch normalisation keeps absolute intensities, which HU and SUV need; instance normalisation would remove them.
    """
    return {
        "block": "basic", "layers": [1] * len(filters), "block_inplanes": list(filters), "spatial_dims": 3,
        "n_input_channels": in_channels, "conv1_t_size": 3, "conv1_t_stride": 2, "no_max_pool": True,
        "num_classes": outputs, "norm": "batch",
    }


def check_plain(what: str, value: Any) -> None:
    """Refuses what a program that reads MONAI's configurations would run: expressions, references, ``_target_``.

    Raises:
        ValueError: Naming what it is and its value.
    """
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str) or key.startswith("_"):
                raise ValueError(f"{what} has the key {key!r}; only plain names are taken")
            check_plain(what, item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            check_plain(what, item)
    elif isinstance(value, str):
        if value.startswith(("$", "@", "%")):
            raise ValueError(f"{what} is an expression ({value!r}); only plain values are taken")
    elif value is not None and not isinstance(value, (bool, int, float)):
        raise ValueError(f"{what} must be plain data, got {type(value).__name__}")
