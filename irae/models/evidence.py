"""Where a classifier looked: a class activation map of one answer."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

# The stage whose activations are read, per row of ``nets.NETWORKS``. The last stage of these small networks has cells
# of a tenth of a metre, too coarse to show a place; Layer-CAM, unlike Grad-CAM, also holds for earlier stages.
STAGES = {"resnet": "layer2"}


def evidence_map(network: nn.Module, image: torch.Tensor, *, stage: str) -> NDArray[np.float32] | None:
    """Layer-CAM of the first output: (I, J, K) in 0..1, its largest value 1; None where nothing spoke for it.

    Source: Jiang 2021, IEEE Trans Image Process 30:5875 (Grad-CAM with a weight for each place).

    Args:
        network: In eval mode.
        image: (1, C, I, J, K).
        stage: The sub-module whose output is read.
    """
    seen: list[torch.Tensor] = []
    handle = network.get_submodule(stage).register_forward_hook(lambda _module, _input, output: seen.append(output))
    try:
        with torch.enable_grad():
            answer = network(image).flatten()[0]
            (gradient,) = torch.autograd.grad(answer, seen[0])
    finally:
        handle.remove()
    relevance = (gradient.relu() * seen[0].detach()).sum(dim=1, keepdim=True).relu()
    fine = functional.interpolate(relevance, size=image.shape[2:], mode="trilinear", align_corners=False)[0, 0]
    peak = float(fine.max())
    if peak <= 0.0:
        return None
    answer_map: NDArray[np.float32] = (fine / peak).cpu().numpy().astype(np.float32)
    return answer_map
