"""Pictures of a training for its record: what a network made of a case, beside the truth."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from irae.models.sliding import class_probabilities
from irae.training.segmentation import SegmentationCase, SegmentationPlan


def case_picture(
    network: nn.Module, case: SegmentationCase, plan: SegmentationPlan, *, dtype: torch.dtype | None
) -> bytes:
    """PNG: the coronal slice with most organs, as it is, with the truth, and with what the network finds."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    channels = case.channels(plan.channels)
    found = class_probabilities(network, channels, plan.patch, dtype=dtype).argmax(dim=0).numpy()
    row = int((case.labels > 0).sum(axis=(0, 2)).argmax())
    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, labels, title in zip(
        figure.subplots(1, 3), (None, case.labels, found), ("image", "truth", "found"), strict=True
    ):
        axes.imshow(_upright(channels[-1].numpy(), row), cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        if labels is not None:
            shown = np.ma.masked_equal(_upright(labels, row), 0)
            axes.imshow(shown, cmap="turbo", vmin=1, vmax=max(plan.classes - 1, 2), alpha=0.55, interpolation="nearest")
        axes.set_title(title)
        axes.set_axis_off()
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    return buffer.getvalue()


def _upright(volume: NDArray[np.generic], row: int) -> NDArray[np.generic]:
    """A coronal slice of a RAS volume as radiologists look at it: head up, the patient's right on the left."""
    return volume[::-1, row, :].T[::-1]
