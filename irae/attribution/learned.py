"""A learned attribution model as plain arrays: boosted trees or a linear model, evaluated and explained here.

Fitting lives in ``training``, reading and writing in ``models``. Nothing here can run code that a file brings along.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from irae.attribution.features import SUBJECT, Subject
from irae.core.focus import Nature

# The classes, in the order of every array.
CLASSES: tuple[Nature, ...] = (Nature.INFLAMMATION, Nature.METASTASIS, Nature.PHYSIOLOGIC)

Array = NDArray[np.float64]


class Margins(Protocol):
    """A function from features to one margin (log-odds up to a common constant) per class."""

    def explained(self, row: Array) -> tuple[Array, Array]:
        """The start (3,) and each feature's contribution (features, 3) to the margins of one row (features,)."""
        ...

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """All that defines it, for a file."""
        ...


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Trees:
    """Gradient-boosted trees.

    Attributes:
        start: (3,) margins before the first tree.
        roots, outputs: (trees,) first node of each tree, and the class it adds to.
        feature: (nodes,) index of the feature asked, -1 at a leaf.
        threshold: (nodes,) left where value <= threshold. missing_left: where an unknown value goes.
        left, right: (nodes,) following nodes, always after their parent.
        value: (nodes,) at a leaf what it adds; inside, the mean over the training cases below it.
    """

    start: Array
    roots: NDArray[np.int32]
    outputs: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: Array
    missing_left: NDArray[np.uint8]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    value: Array

    def __post_init__(self) -> None:
        nodes = len(self.feature)
        each = (self.threshold, self.missing_left, self.left, self.right, self.value)
        inner = self.feature >= 0
        here = np.arange(nodes)
        if self.start.shape != (len(CLASSES),) or any(a.shape != (nodes,) for a in each):
            raise ValueError(f"trees: arrays do not fit {nodes} nodes and {len(CLASSES)} classes")
        if self.roots.shape != self.outputs.shape or not (_within(self.roots, nodes) and _within(self.outputs, 3)):
            raise ValueError("trees: roots or outputs point nowhere")
        # Children after their parents: every walk ends.
        for child in (self.left, self.right):
            if not _within(child[inner], nodes) or (child[inner] <= here[inner]).any():
                raise ValueError("trees: a node's children must follow it")
        if not all(np.isfinite(a).all() for a in (self.start, self.threshold, self.value)):
            raise ValueError("trees: values that are not finite")

    def explained(self, row: Array) -> tuple[Array, Array]:
        """Path attribution (Saabas 2014): each step of a path credits its feature with the change of the mean."""
        start = self.start.copy()
        np.add.at(start, self.outputs, self.value[self.roots])
        given = np.zeros((len(row), len(CLASSES)))
        node = self.roots.copy()
        while (inner := self.feature[node] >= 0).any():
            at, outputs = node[inner], self.outputs[inner]
            asked = self.feature[at]
            seen = row[asked]
            goes_left = np.where(np.isnan(seen), self.missing_left[at] > 0, seen <= self.threshold[at])
            following = np.where(goes_left, self.left[at], self.right[at])
            np.add.at(given, (asked, outputs), self.value[following] - self.value[at])
            node[inner] = following
        return start, given

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Arrays by name."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Linear:
    """Multinomial logistic regression on standardised features, an unknown one being average and flagged.

    Attributes:
        start: (3,). centre, scale: (features,). weight, missing: (features, 3), per standard deviation and for unknown.
    """

    start: Array
    centre: Array
    scale: Array
    weight: Array
    missing: Array

    def __post_init__(self) -> None:
        n = len(self.centre)
        fits = self.weight.shape == self.missing.shape == (n, len(CLASSES)) and self.scale.shape == (n,)
        if not fits or self.start.shape != (len(CLASSES),) or not (self.scale > 0).all():
            raise ValueError("linear model: arrays do not fit each other")
        if not all(np.isfinite(a).all() for a in (self.start, self.centre, self.scale, self.weight, self.missing)):
            raise ValueError("linear model: values that are not finite")

    def explained(self, row: Array) -> tuple[Array, Array]:
        """Start and each feature's term."""
        unknown = np.isnan(row)
        z = np.where(unknown, 0.0, (np.where(unknown, 0.0, row) - self.centre) / self.scale)
        return self.start, z[:, None] * self.weight + unknown[:, None] * self.missing

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Arrays by name."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


KINDS: Mapping[str, type[Trees] | type[Linear]] = {"trees": Trees, "linear": Linear}


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Seen:
    """What a model was trained on, so that it is not asked about anything else.

    A row counts as its values (an unknown one being average) and then its unknowns (1, else 0), both less ``centre``
    over ``scale``.

    Attributes:
        centre, scale: (2 x features,).
        typical: (n, 2 x features) rows that stand for the training cases (k-means centres).
        limit: A row farther than this from every typical one is unlike all that was learnt; positive.
    """

    centre: Array
    scale: Array
    typical: NDArray[np.float32]
    limit: float

    def __post_init__(self) -> None:
        wide = (len(self.centre),)
        if self.scale.shape != wide or self.typical.shape[1:] != wide or not len(self.typical):
            raise ValueError("what was seen: arrays do not fit each other")
        if not (self.limit > 0 and (self.scale > 0).all()):
            raise ValueError(f"what was seen: limit {self.limit} and scales must be positive")
        if not all(np.isfinite(a).all() for a in (self.centre, self.scale, self.typical)):
            raise ValueError("what was seen: values that are not finite")

    def apart(self, row: Array) -> Array:
        """(features,) how far each feature lies from the nearest typical row, squared; the sum is the distance's."""
        unknown = np.isnan(row)
        here = (np.concatenate([np.where(unknown, self.centre[: len(row)], row), unknown]) - self.centre) / self.scale
        squares = (self.typical - here) ** 2
        nearest: Array = squares[squares.sum(axis=1).argmin()].reshape(2, -1).sum(axis=0)
        return nearest


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Told:
    """What a model says of one focus.

    Attributes:
        probabilities: Calibrated, per class; they sum to 1.
        possible: The likeliest nature and all that cannot be ruled out at the calibrated error rates (a conformal set).
        subjects: Each subject's contribution to every class's margin, against the mean of the classes.
        unlike: Where the focus is unlike all that the model was trained on: the subject that differs most.
    """

    probabilities: Mapping[Nature, float]
    possible: frozenset[Nature]
    subjects: Mapping[Subject, Mapping[Nature, float]]
    unlike: Subject | None

    def without(self, nature: Nature) -> Told:
        """The same where one of several possible natures cannot be: the others share its probability."""
        whole = sum(p for n, p in self.probabilities.items() if n is not nature)
        if whole <= 0.0:
            return self
        shared = {n: 0.0 if n is nature else p / whole for n, p in self.probabilities.items()}
        return replace(self, probabilities=shared, possible=self.possible - {nature})


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class LearnedModel:
    """Features to calibrated probabilities, with abstention.

    Attributes:
        features: Names of ``features.FEATURE_TABLE``, in the order of the margins' rows.
        margins: The fitted function.
        temperature: Divides the margins (Guo, ICML 2017); positive.
        least: Per class, the least probability at which it cannot be ruled out (split-conformal, class by class).
        seen: What it was trained on; None where that was not kept: ``attribute`` does not ask such a model.
        digest: ``sha256:...`` of the package it came from.
    """

    features: tuple[str, ...]
    margins: Margins
    temperature: float
    least: tuple[float, float, float]
    seen: Seen | None = None
    digest: str = ""

    def __post_init__(self) -> None:
        unknown = sorted(set(self.features) - set(SUBJECT))
        if unknown or len(set(self.features)) != len(self.features):
            raise ValueError(f"learned model: unknown or repeated features {unknown}")
        if not (self.temperature > 0 and all(0 <= q <= 1 for q in self.least)):
            raise ValueError(f"learned model: temperature {self.temperature} or limits {self.least} out of range")
        if self.seen is not None and len(self.seen.centre) != 2 * len(self.features):
            raise ValueError(f"learned model: {len(self.features)} features, but what was seen has others")

    def told(self, row: Mapping[str, float]) -> Told:
        """Probabilities, what is possible, and why, of one focus.

        Args:
            row: Known features by name; a missing one is unknown.
        """
        values = np.array([row.get(name, np.nan) for name in self.features])
        start, given = self.margins.explained(values)
        given = (given - given.mean(axis=1, keepdims=True)) / self.temperature
        p = softmax((start - start.mean()) / self.temperature + given.sum(axis=0))
        subjects: dict[Subject, Array] = {}
        for name, part in zip(self.features, given, strict=True):
            subjects[SUBJECT[name]] = subjects.get(SUBJECT[name], np.zeros(len(CLASSES))) + part
        return Told(
            probabilities={nature: float(x) for nature, x in zip(CLASSES, p, strict=True)},
            possible=frozenset(
                n for n, x, q in zip(CLASSES, p, self.least, strict=True) if x >= q or x == p.max()
            ),
            subjects={
                subject: {n: float(x) for n, x in zip(CLASSES, part, strict=True)} for subject, part in subjects.items()
            },
            unlike=self._unlike(values),
        )

    def _unlike(self, values: Array) -> Subject | None:
        if self.seen is None:
            return None
        apart = self.seen.apart(values)
        if float(apart.sum()) <= self.seen.limit**2:
            return None
        subjects: dict[Subject, float] = {}
        for name, square in zip(self.features, apart, strict=True):
            subjects[SUBJECT[name]] = subjects.get(SUBJECT[name], 0.0) + float(square)
        return max(subjects, key=lambda subject: subjects[subject])


def softmax(margins: Array) -> Array:
    """Probabilities of margins along the last axis."""
    shifted = np.exp(margins - margins.max(axis=-1, keepdims=True))
    p: Array = shifted / shifted.sum(axis=-1, keepdims=True)
    return p


def _within(indices: NDArray[np.int32], count: int) -> bool:
    return bool(((indices >= 0) & (indices < count)).all())
