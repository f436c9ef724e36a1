"""What a training run may be told. Values live in configs/task/; ``check`` is called before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from irae.core.anatomy import BY_NAME
from irae.models.card import FOCI_LABEL, FOCI_TASK
from irae.models.closer import CLOSER_LOOKS

# Settings that name a package's folder.
FOLDERS = ("start_from", "organs_package")


class Target(Enum):
    """What a segmentation network finds: organs on CT, the same on a finer grid from what a coarser network found, the
    thyroid, the adrenals or the muscles by a look of their own (``models.closer``), or the pituitary on T1c MR.
    """

    organs = "organs"
    organs_fine = "organs_fine"
    thyroid = "thyroid"
    adrenals = "adrenals"
    muscle = "muscle"
    pituitary = "pituitary"


class IraeName(Enum):
    """The irAEs a classifier can be trained for; names as in ``core.anatomy.Irae``."""

    colitis = "colitis"
    pneumonitis = "pneumonitis"
    thyroiditis = "thyroiditis"
    hepatitis = "hepatitis"
    hypophysitis = "hypophysitis"


@dataclass(kw_only=True)
class TaskSettings:
    """What every task has.

    Attributes:
        train_cases, held_out_cases: Synthetic patients to learn from, and to measure on afterwards.
        train_seed, held_out_seed: First seed of each; the ranges must not overlap.
        steps, cpu_minutes: The budget (see ``loop.Budget``).
        batch, learning_rate: As usual.
        filters: Channels of each level of the network.
    """

    train_cases: int = 200
    held_out_cases: int = 24
    train_seed: int = 0
    held_out_seed: int = 1_000_000
    steps: int = 1000
    cpu_minutes: float = 0.0
    batch: int = 2
    learning_rate: float = 1e-3
    filters: list[int] = field(default_factory=lambda: [16, 32, 64, 128])

    def check(self) -> None:
        """Refuses settings that cannot work.

        Raises:
            ValueError: Naming the setting, its value and what is needed.
        """
        for name in ("train_cases", "held_out_cases", "steps", "batch", "learning_rate"):
            if getattr(self, name) <= 0 and not (name == "steps" and self.untrained()):
                raise ValueError(f"task.{name} must be positive, got {getattr(self, name)}")
        if self.cpu_minutes < 0:
            raise ValueError(f"task.cpu_minutes must be 0 (no limit) or more, got {self.cpu_minutes}")
        if len(self.filters) < 3 or min(self.filters) < 4:
            raise ValueError(f"task.filters needs three levels or more of at least 4 channels, got {self.filters}")
        refuse_overlap(
            ("train", self.train_seed, self.train_cases), ("held_out", self.held_out_seed, self.held_out_cases)
        )


    def untrained(self) -> bool:
        """Whether a package is only finished, not trained: 0 steps are allowed then."""
        return False


@dataclass(kw_only=True)
class NetworkSettings(TaskSettings):
    """What every task that trains a network has beside.

    Attributes:
        validation_cases, validation_seed: Patients on which the network is measured while it learns, a range of its
            own; the weights that do best on them are kept. 0: none, the last weights are kept.
        validate_every: Epochs (a fiftieth of the budget) from one validation to the next.
        patience: Validations without improvement that end the training; 0: it goes on to the end of its budget.
        ema: Decay of an exponential moving average of the weights, which is then kept; 0: none.
        accumulate: Batches whose gradients make one step, where memory does not hold a larger batch.
        resume: Go on from the checkpoint that an interrupted run of the same settings left in out=.
        start_from: Package to go on from, of the same network and labels; for classifiers also a folder of several.
            null: fresh weights.
    """

    validation_cases: int = 0
    validation_seed: int = 3_000_000
    validate_every: int = 5
    patience: int = 0
    ema: float = 0.0
    accumulate: int = 1
    resume: bool = False
    start_from: str | None = None

    def check(self) -> None:
        """Refuses settings that cannot work; see ``TaskSettings.check``."""
        super().check()
        for name in ("validate_every", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"task.{name} must be at least 1, got {getattr(self, name)}")
        for name in ("patience", "validation_cases"):
            if getattr(self, name) < 0:
                raise ValueError(f"task.{name} must be 0 or more, got {getattr(self, name)}")
        if not 0.0 <= self.ema < 1.0:
            raise ValueError(f"task.ema must be 0 (none) to under 1, got {self.ema}")
        if self.patience and not self.validation_cases:
            raise ValueError("task.patience needs task.validation_cases: stopping early is decided on them")
        if self.start_from is not None and not (
            (Path(self.start_from) / "card.json").is_file() or any(Path(self.start_from).glob("*/card.json"))
        ):
            raise ValueError(f"task.start_from={self.start_from}: holds no card.json")
        if self.validation_cases:
            validation = ("validation", self.validation_seed, self.validation_cases)
            refuse_overlap(validation, ("train", self.train_seed, self.train_cases))
            refuse_overlap(validation, ("held_out", self.held_out_seed, self.held_out_cases))


@dataclass(kw_only=True)
class VoxelSettings(NetworkSettings):
    """What every task has whose network gives an answer for each voxel.

    Attributes:
        labels: What to find, in the order of the network's outputs.
        spacing_mm: The network's isotropic grid. patch: Its window, voxels.
        windows: One input channel per (low, high): HU for CT, share of the bright end for MR.
        image_spacing_mm: Grid of the synthetic images.
        start_share: Share of start_from's weights in the mean that is kept. What goes on from a good package keeps more
            of what that one could do on other images (Wortsman, CVPR 2022, "Robust fine-tuning").
        offset_cases, offset_seed: Patients, a range of their own, on which each class's offset is fitted in the end
            (see ``offsets``); 0: none is. With steps=0 it is all that happens to start_from.
    """

    labels: list[str] = field(default_factory=lambda: ["liver"])
    spacing_mm: float = 6.0
    patch: list[int] = field(default_factory=lambda: [48, 48, 48])
    windows: list[list[float]] = field(default_factory=lambda: [[-1000.0, 400.0], [-160.0, 240.0]])
    image_spacing_mm: float = 4.0
    start_share: float = 0.0
    offset_cases: int = 0
    offset_seed: int = 3_500_000

    def check(self) -> None:
        """Refuses settings that cannot work; see ``TaskSettings.check``."""
        super().check()
        if not 0.0 <= self.start_share < 1.0 or (self.start_share and self.start_from is None):
            raise ValueError(f"task.start_share must be 0 to under 1 and needs start_from, got {self.start_share}")
        if self.offset_cases < 0:
            raise ValueError(f"task.offset_cases must be 0 or more, got {self.offset_cases}")
        if self.offset_cases:
            offset = ("offset", self.offset_seed, self.offset_cases)
            refuse_overlap(offset, ("train", self.train_seed, self.train_cases))
            refuse_overlap(offset, ("held_out", self.held_out_seed, self.held_out_cases))
        multiple = 2 ** (len(self.filters) - 1)
        if len(self.patch) != 3 or any(n % multiple or n < 2 * multiple for n in self.patch):
            raise ValueError(
                f"task.patch must be three multiples of {multiple} from {2 * multiple} on, for {len(self.filters)} "
                f"levels; got {self.patch}"
            )
        refuse_windows("windows", self.windows)
        if self.start_from is not None and not (Path(self.start_from) / "card.json").is_file():
            raise ValueError(f"task.start_from={self.start_from}: holds no card.json")
        for name in ("spacing_mm", "image_spacing_mm"):
            if not 0.3 <= getattr(self, name) <= 12:
                raise ValueError(f"task.{name} must be 0.3 to 12 mm, got {getattr(self, name)}")


    def untrained(self) -> bool:
        """Whether offsets are all that happens to a package."""
        return self.steps == 0 and self.start_from is not None and self.offset_cases > 0


@dataclass(kw_only=True)
class SegmentationSettings(VoxelSettings):
    """Training of a network that finds organs.

    Attributes:
        target: See ``Target``.
        organs_package: Package of the task organs: what organs_fine starts from, and what places the box of a closer
            look when its package is measured.
    """

    target: Target = Target.organs
    organs_package: str | None = None

    def check(self) -> None:
        """Refuses settings that cannot work; see ``TaskSettings.check``."""
        super().check()
        unknown = sorted(set(self.labels) - set(BY_NAME))
        if unknown or not self.labels:
            raise ValueError(f"task.labels: unknown organs {unknown}; known are {', '.join(sorted(BY_NAME))}")
        if self.organs_package is not None and not (Path(self.organs_package) / "card.json").is_file():
            raise ValueError(f"task.organs_package={self.organs_package}: holds no card.json")
        looks_closer = self.target.value in CLOSER_LOOKS
        if (looks_closer or self.target is Target.organs_fine) and self.organs_package is None:
            why = "it finds the place to look at" if looks_closer else "what it finds is made finer"
            raise ValueError(f"task.organs_package is needed with task.target={self.target.value}: {why}")


@dataclass(kw_only=True)
class FociSettings(VoxelSettings):
    """Training of a network that finds lesions on PET/CT. suv_windows: its PET channels, (low, high) in g/mL."""

    labels: list[str] = field(default_factory=lambda: [FOCI_LABEL])
    suv_windows: list[list[float]] = field(default_factory=lambda: [[0.0, 5.0], [0.0, 20.0]])

    def check(self) -> None:
        """Refuses settings that cannot work; see ``TaskSettings.check``."""
        super().check()
        refuse_windows("suv_windows", self.suv_windows)
        if self.labels != [FOCI_LABEL]:
            raise ValueError(f"task.labels must be [{FOCI_LABEL}] for the task {FOCI_TASK}, got {self.labels}")


@dataclass(kw_only=True)
class ClassificationSettings(NetworkSettings):
    """Training of one classifier per irAE.

    Attributes:
        iraes: Which; one package each.
        calibration_cases, calibration_seed: Patients for calibration and operating point; a range of its own.
        pet_dropped: Share of training crops whose PET is hidden, so that the network also reads CT alone.
        specificity: The operating point's least specificity on the calibration patients.
        organs_package: Package of the task organs; calibration and measuring then use the organs that it finds, as
            in use, and not the true ones. null: the true ones.
        found_share: Share of the training patients whose organs are found by that package too.
        baseline_share: Share of the training patients whose baseline is made; of the others', all are.
        baseline_dropped: Share of training crops whose baseline is hidden.
        label_smoothing, severity_weight: See ``classification.ClassificationPlan``.
    """

    iraes: list[IraeName] = field(default_factory=lambda: list(IraeName))
    calibration_cases: int = 100
    calibration_seed: int = 2_000_000
    pet_dropped: float = 0.4
    specificity: float = 0.95
    organs_package: str | None = None
    found_share: float = 0.5
    baseline_share: float = 0.7
    baseline_dropped: float = 0.4
    label_smoothing: float = 0.05
    severity_weight: float = 0.3

    def check(self) -> None:
        """Refuses settings that cannot work; see ``TaskSettings.check``."""
        super().check()
        if len(self.filters) != 4:
            raise ValueError(f"task.filters needs four levels for a classifier, got {self.filters}")
        if not self.iraes or len(set(self.iraes)) != len(self.iraes):
            raise ValueError(f"task.iraes must name each irAE once; the choices are {[e.name for e in IraeName]}")
        for name in ("pet_dropped", "baseline_dropped", "label_smoothing"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"task.{name} must be 0 to under 1, got {getattr(self, name)}")
        for name in ("found_share", "baseline_share"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"task.{name} must be 0 to 1, got {getattr(self, name)}")
        if self.severity_weight < 0:
            raise ValueError(f"task.severity_weight must not be negative, got {self.severity_weight}")
        if not 0.5 <= self.specificity < 1.0:
            raise ValueError(f"task.specificity must be 0.5 to under 1, got {self.specificity}")
        if self.organs_package is not None and not (Path(self.organs_package) / "card.json").is_file():
            raise ValueError(f"task.organs_package={self.organs_package}: holds no card.json")
        if self.calibration_cases < 4:
            raise ValueError(f"task.calibration_cases must be at least 4, got {self.calibration_cases}")
        calibration = ("calibration", self.calibration_seed, self.calibration_cases)
        refuse_overlap(calibration, ("train", self.train_seed, self.train_cases))
        refuse_overlap(calibration, ("held_out", self.held_out_seed, self.held_out_cases))


def refuse_windows(name: str, windows: Sequence[Sequence[float]]) -> None:
    """Refuses windows that are no pairs low < high, and none at all."""
    if not windows or any(len(w) != 2 or w[0] >= w[1] for w in windows):
        raise ValueError(f"task.{name} must be pairs low < high, got {windows}")


def refuse_overlap(one: tuple[str, int, int], other: tuple[str, int, int]) -> None:
    """Refuses seed ranges (name, first, count) that share a patient."""
    (name, start, count), (its_name, its_start, its_count) = one, other
    if start < its_start + its_count and its_start < start + count:
        raise ValueError(
            f"task: {name} seeds {start}..{start + count - 1} overlap {its_name} seeds "
            f"{its_start}..{its_start + its_count - 1}; a patient trained on cannot measure the result"
        )
