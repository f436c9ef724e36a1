"""Prepared cases kept on disk by MONAI's PersistentDataset: made once, read when a crop is drawn from them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

import torch

from irae.core.volume import Quantity
from irae.training.segmentation import SegmentationCase

# Makes the case of a number; None where the organ's place is not in the picture.
Make = Callable[[int], SegmentationCase | None]


class CasesOnDisk(Sequence[SegmentationCase]):
    """Cases by number; only the one asked for is in memory.

    Args:
        numbers: Of the cases.
        make: Makes one.
        folder: Where they are kept. A case is found again if number and ``key`` are the same.
        key: Everything that a case depends on: the source's digest, labels, spacing ...
    """

    def __init__(self, numbers: Sequence[int], make: Make, folder: Path, *, key: str) -> None:
        from monai.data import PersistentDataset
        from monai.transforms import Transform

        class Prepared(Transform):
            """From a number to the tensors of its case, or to none."""

            def __call__(self, item: dict[str, Any]) -> dict[str, Any]:
                case = make(item["number"])
                if case is None:
                    return {}
                beside = {"pet": case.pet, "found": case.found}
                return {
                    "image": torch.from_numpy(case.image), "labels": torch.from_numpy(case.labels),
                    "quantity": case.quantity.name,
                    **{name: torch.from_numpy(array) for name, array in beside.items() if array is not None},
                }

        self._dataset = PersistentDataset(
            [{"number": number, "key": key} for number in numbers], Prepared(), cache_dir=folder, hash_func=_hashed
        )
        self._kept = [place for place in range(len(numbers)) if self._dataset[place]]

    def __len__(self) -> int:
        return len(self._kept)

    @overload
    def __getitem__(self, index: int) -> SegmentationCase: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[SegmentationCase]: ...
    def __getitem__(self, index: int | slice) -> SegmentationCase | Sequence[SegmentationCase]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        kept = self._dataset[self._kept[index]]
        return SegmentationCase(
            image=kept["image"].numpy(), labels=kept["labels"].numpy(), quantity=Quantity[kept["quantity"]],
            **{name: kept[name].numpy() for name in ("pet", "found") if name in kept},
        )

    def __iter__(self) -> Iterator[SegmentationCase]:
        return (self[place] for place in range(len(self)))


def _hashed(item: Any) -> bytes:
    return hashlib.sha256(json.dumps(item, sort_keys=True).encode()).hexdigest().encode()
