"""A synthetic patient: all drawn parameters, frozen. Nothing here is painted; ``scene`` does that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from irae.core.anatomy import Irae
from irae.core.context import PatientContext
from irae.core.focus import Nature
from irae.phantom.canvas import Pose
from irae.phantom.tissue import Phase, TissueDraw


def frozen_array(values: object) -> NDArray[np.float64]:
    """A read-only float array."""
    array = np.array(values, dtype=np.float64)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Anatomy:
    """The body, the same at every visit.

    Attributes:
        sex: M or F.
        height_cm, weight_kg: Build; the weight is that of the first visit.
        length: Factor on all heights against a person of 176 cm.
        frame: Factor on all widths and depths of the lean body.
        fat_mm: Thickness of the subcutaneous fat at the waist.
        visceral: 0 (lean) .. 1 (much fat inside the abdomen).
        arms_up: Arms beside the head (usual in PET/CT) or along the body.
        size: Organ name to a linear factor on its size.
        shift_mm: Organ name to an offset.
        turn_deg: Organ name to a turn about x, y, z.
        colon, small_bowel: (n, 3) centrelines, canonical mm.
        colon_calibre_mm: (n,) lumen radius of the colon at the first visit, before haustra.
        colon_wall_mm: Thickness of a healthy distended wall.
        lung_vessels: Centrelines with radii, in the lungs.
        tissue: Personal tissue values.
        noise_seed: For the smooth noise that roughens surfaces and tissues.
        pituitary_height_mm, stalk_mm: Healthy gland.
        sella: Shape of the region: factors ``width``, ``depth``, ``cistern``, ``sinus`` (0: not pneumatised) and
            ``cavernous``, ``tilt_deg`` of the gland, ``flat`` (0 convex .. 1 flat or concave top).
        metal: Of ``hip_left``, ``hip_right``, ``dental``.
        limbs: False leaves arms and thighs out (training only).
        crude: Painted as ellipsoids of even tissue by ``scene_crude`` (training only).
    """

    sex: str
    height_cm: float
    weight_kg: float
    length: float
    frame: float
    fat_mm: float
    visceral: float
    arms_up: bool
    size: Mapping[str, float]
    shift_mm: Mapping[str, tuple[float, float, float]]
    turn_deg: Mapping[str, tuple[float, float, float]]
    colon: NDArray[np.float64]
    small_bowel: NDArray[np.float64]
    colon_calibre_mm: NDArray[np.float64]
    colon_wall_mm: float
    lung_vessels: tuple[tuple[NDArray[np.float64], NDArray[np.float64]], ...]
    tissue: TissueDraw
    noise_seed: int
    pituitary_height_mm: float
    stalk_mm: float
    sella: Mapping[str, float]
    metal: tuple[str, ...] = ()
    limbs: bool = True
    crude: bool = False

    def __post_init__(self) -> None:
        if self.sex not in {"M", "F"}:
            raise ValueError(f"phantom sex must be M or F, got {self.sex!r}")
        if len(self.colon) != len(self.colon_calibre_mm):
            raise ValueError(f"colon has {len(self.colon)} points but {len(self.colon_calibre_mm)} radii")
        for name in ("size", "shift_mm", "turn_deg", "sella"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))
        for name in ("colon", "small_bowel", "colon_calibre_mm"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))

    def point(self, x: float, y: float, down: float) -> tuple[float, float, float]:
        """A place of the standard body (right, anterior, mm below the vertex) in this body, canonical mm."""
        return x * self.frame, y * self.frame, -down * self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """One irAE of a patient over all visits.

    Attributes:
        irae: Which.
        pattern: Spatial pattern (``segmental``, ``diffuse``, ``op``, ``nsip``, ``hp``, ``aip``, ``diffuse_gland`` ...).
        visible: False for a true irAE that leaves no sign on any image.
        severity: 0..3 at every visit (radiological; 0 = not there).
        phase: A word at every visit where the disease has phases (thyroid: ``inflamed``, ``atrophic``), else empty.
        drawn: Further drawn numbers by name.
    """

    irae: Irae
    pattern: str
    visible: bool
    severity: tuple[int, ...]
    phase: tuple[str, ...]
    drawn: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if any(not 0 <= s <= 3 for s in self.severity) or len(self.phase) != len(self.severity):
            raise ValueError(f"{self.irae.value}: severities must be 0..3 with one phase each, got {self.severity}")
        object.__setattr__(self, "drawn", MappingProxyType(dict(self.drawn)))


@dataclass(frozen=True, slots=True, kw_only=True)
class LesionCourse:
    """One round lesion over all visits.

    Attributes:
        track: Its identity, e.g. ``M01`` (metastasis), ``B01`` (benign).
        nature: metastasis, inflammation or physiologic.
        organ: Where it lies: an organ's name, ``lymph_node``, ``bone`` or ``soft_tissue``.
        course: ``response``, ``stable``, ``progression``, ``pseudoprogression``, ``new`` ... in words.
        centre_mm: Canonical place.
        ratio: Semi-axes relative to the longest one.
        turn_deg: Its turn.
        diameter_mm: Longest diameter at every visit; 0 where absent.
        suv: True SUV at every visit.
        hu: CT number, native; with contrast ``hu_gain`` is added.
    """

    track: str
    nature: Nature
    organ: str
    course: str
    centre_mm: tuple[float, float, float]
    ratio: tuple[float, float, float]
    turn_deg: tuple[float, float, float]
    diameter_mm: tuple[float, ...]
    suv: tuple[float, ...]
    hu: float
    hu_gain: float

    def __post_init__(self) -> None:
        if len(self.diameter_mm) != len(self.suv) or min(self.diameter_mm) < 0:
            raise ValueError(f"lesion {self.track}: needs one diameter >= 0 and one SUV per visit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Confounder:
    """Something that looks like an irAE or a metastasis and is neither.

    Attributes:
        kind: A name of ``disease.CONFOUNDERS``.
        active: Whether it shows, at every visit.
        drawn: Drawn numbers by name.
    """

    kind: str
    active: tuple[bool, ...]
    drawn: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "drawn", MappingProxyType(dict(self.drawn)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scanner:
    """The machines and protocols of one visit.

    Attributes:
        ct_offset_hu: Systematic offset of this CT.
        ct_noise_hu: SD of the noise in the liver on 2 x 2 x 4 mm voxels.
        ct_noise_fwhm_mm: Its texture.
        ct_fwhm_mm: Blur of the CT's kernel.
        ct_slice_mm: Thickness that a CT slice averages over.
        pet_fwhm_mm: Effective resolution of the reconstructed PET.
        pet_noise: Coefficient of variation in the liver.
        uptake_minutes: Injection to scan.
        injected_mbq: Injected activity.
        mr_snr: White matter signal over noise SD.
        mr_bias: Depth of the receive bias field.
        mr_plane: ``axial``, ``coronal`` or ``sagittal`` slices.
        mr_slice_mm: Thickness that a slice averages over; more than the slice distance blurs.
        noise_seed: Of this acquisition.
    """

    ct_offset_hu: float
    ct_noise_hu: float
    ct_noise_fwhm_mm: float
    ct_fwhm_mm: float
    pet_fwhm_mm: float
    pet_noise: float
    uptake_minutes: float
    injected_mbq: float
    mr_snr: float
    mr_bias: float
    mr_plane: str
    mr_slice_mm: float
    noise_seed: int
    ct_slice_mm: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Breath:
    """How the diaphragm moves, mm towards the feet against its place on the CT.

    Attributes:
        pet_offset_mm: Mean place during the PET; negative where the CT was taken deeper in inspiration.
        pet_amplitude_mm: From end to end during the PET.
        ct_step_mm: Steps of a CT that was taken while breathing; 0 for a still one.
        phase: Of the steps.
    """

    pet_offset_mm: float = 0.0
    pet_amplitude_mm: float = 0.0
    ct_step_mm: float = 0.0
    phase: float = 0.0


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Visit:
    """One exam: date, modalities, position, what varies from day to day, scanner.

    Attributes:
        acquired_on: Date of the CT and PET.
        mr_on: Date of the head MR, if one was made; may be another day.
        has_pet: Whether a PET was made.
        pose: Position in the scanner.
        phase: Contrast phase of the CT.
        enhancement: Strength of the contrast.
        suv_factor: Tissue to a factor of this day.
        colon_gas: (n,) share of gas in the colon's lumen along the centreline.
        colon_distension: (n,) factor on the colon's calibre.
        colon_uptake: (n,) factor on the healthy wall's SUV along the centreline.
        small_bowel_uptake: (n,) the same for the small bowel.
        bladder: Linear factor on the bladder.
        myocardium_suv: True SUV of the left ventricle today.
        oral_contrast_hu: CT number of positive oral contrast in the bowel, 0 for none.
        scanner: The machines.
        breath: The diaphragm's motion.
        traps: What spoils a comparison with the other visits: ``other_scanner``, ``other_phase``, ``late_pet``,
            ``high_glucose``.
    """

    acquired_on: date
    mr_on: date | None
    has_pet: bool
    pose: Pose
    phase: Phase
    enhancement: float
    suv_factor: Mapping[str, float]
    colon_gas: NDArray[np.float64]
    colon_distension: NDArray[np.float64]
    colon_uptake: NDArray[np.float64]
    small_bowel_uptake: NDArray[np.float64]
    bladder: float
    myocardium_suv: float
    oral_contrast_hu: float
    scanner: Scanner
    breath: Breath = Breath()
    traps: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "suv_factor", MappingProxyType(dict(self.suv_factor)))
        for name in ("colon_gas", "colon_distension", "colon_uptake", "small_bowel_uptake"):
            object.__setattr__(self, name, frozen_array(getattr(self, name)))


@dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Patient:
    """Everything drawn about one synthetic patient. It proves plumbing and physics, never diagnostic accuracy.

    Attributes:
        key: PatientID, e.g. ``PHANTOM-0001``.
        anatomy: The body.
        visits: Oldest first; visit 0 is the baseline before therapy.
        episodes: The true irAEs.
        lesions: Metastases and focal benign lesions.
        confounders: The rest.
        context: What a context.csv says about the patient.
        therapy: Drugs, as in the context.
        seed: From which everything followed, for the record.
    """

    key: str
    anatomy: Anatomy
    visits: tuple[Visit, ...]
    episodes: tuple[Episode, ...]
    lesions: tuple[LesionCourse, ...]
    confounders: tuple[Confounder, ...]
    context: PatientContext
    therapy: str
    seed: int

    def __post_init__(self) -> None:
        n = len(self.visits)
        if n < 1:
            raise ValueError(f"patient {self.key}: needs at least one visit")
        lengths = {len(e.severity) for e in self.episodes} | {len(x.diameter_mm) for x in self.lesions}
        if not (lengths | {len(c.active) for c in self.confounders}) <= {n}:
            raise ValueError(f"patient {self.key}: every course needs {n} visits")

    def episode(self, irae: Irae) -> Episode | None:
        """The patient's episode of one irAE, if any."""
        return next((e for e in self.episodes if e.irae is irae), None)

    def confounder(self, kind: str, visit: int) -> Confounder | None:
        """A confounder that shows at a visit, if any."""
        return next((c for c in self.confounders if c.kind == kind and c.active[visit]), None)
