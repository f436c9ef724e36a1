"""Renders a patient's visit into an Exam on any grids, with the true organs and the truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from irae.core.anatomy import ORGANS
from irae.core.exam import Exam, Role, SeriesOrigin
from irae.core.geometry import Geometry
from irae.core.volume import Coverage, LabelMap, Quantity, Volume
from irae.phantom import scene_head, scene_trunk
from irae.phantom.canvas import Canvas
from irae.phantom.motion import breathe_ct, breathe_pet
from irae.phantom.patient import Patient
from irae.phantom.scanner import HU_RANGE, add_pet_noise, blur_pet, scan_ct, scan_mr
from irae.phantom.scene import LABEL, Stage, paint_patient, visit_materials
from irae.phantom.truth import PhantomExam, visit_truth
from irae.quant.lbm import lean_body_mass_kg

AIR = {"hu": -1000.0, "suv": 0.0, "t1c": 0.03}
# Boxes in the patient's space (standard body, mm): right/left, anterior/posterior, down from the vertex.
FIELDS: dict[str, tuple[float, float]] = {  # first and last mm below the vertex
    "whole": (-15.0, 945.0),
    "chest_abdomen": (290.0, 930.0),
    "chest": (300.0, 640.0),
    "abdomen": (500.0, 930.0),
    "neck_chest": (150.0, 600.0),
    "head_neck": (-15.0, 380.0),
    "pelvis": (690.0, 945.0),
}


def body_geometry(
    patient: Patient,
    visit: int,
    spacing_mm: tuple[float, float, float],
    *,
    field: str = "whole",
    width_mm: float = 416.0,
    depth_mm: float = 416.0,
) -> Geometry:
    """An axis-aligned grid over a part of the body, centred on the patient.

    Raises:
        ValueError: If the field is not one of FIELDS.
    """
    if field not in FIELDS:
        raise ValueError(f"field must be one of {', '.join(FIELDS)}, got {field!r}")
    first, last = FIELDS[field]
    s = patient.anatomy.length
    x, y, z = patient.visits[visit].pose.to_world((0.0, -5.0, -last * s))
    shape = (
        round(width_mm / spacing_mm[0]),
        round(depth_mm / spacing_mm[1]),
        round((last - first) * s / spacing_mm[2]),
    )
    origin = (x - (shape[0] - 1) / 2 * spacing_mm[0], y - (shape[1] - 1) / 2 * spacing_mm[1], z)
    return Geometry.axis_aligned(shape, spacing_mm, tuple(round(float(o), 3) for o in origin))  # type: ignore[arg-type]


def head_geometry(
    patient: Patient, visit: int, spacing_mm: float = 1.0, *, box_mm: tuple[float, float, float] = (170, 210, 170)
) -> Geometry:
    """The grid of the head MR in the plane of the visit's protocol; its slice axis is the last one."""
    today = patient.visits[visit]
    centre = today.pose.to_world(patient.anatomy.point(0.0, 8.0, 88.0))
    right, front, up = np.eye(3)
    axes = {"axial": (right, front, up), "sagittal": (front, up, right), "coronal": (right, up, front)}[
        today.scanner.mr_plane
    ]
    sizes = [float(np.abs(axis) @ np.array(box_mm)) for axis in axes]
    slab = spacing_mm * 1.2
    steps = (spacing_mm, spacing_mm, slab)
    shape = tuple(round(size / step) for size, step in zip(sizes, steps, strict=True))
    affine = np.eye(4)
    for n, (axis, step) in enumerate(zip(axes, steps, strict=True)):
        affine[:3, n] = axis * step
    affine[:3, 3] = centre - affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    affine[:3, 3] = np.round(affine[:3, 3], 3)
    return Geometry(shape=(shape[0], shape[1], shape[2]), affine=affine)


def label_map(labels: NDArray[np.uint8], geometry: Geometry, *, only: tuple[str, ...] | None = None) -> LabelMap:
    """Organ labels with their coverage: partial where an organ touches the edge of the grid."""
    counts = np.bincount(labels.ravel(), minlength=256)
    edges = np.zeros(256, dtype=bool)
    for axis in range(3):
        for end in (0, -1):
            edges[np.unique(np.take(labels, end, axis=axis))] = True
    names, coverage = {}, {}
    for organ in ORGANS:
        if only is not None and organ.name not in only:
            continue
        names[organ.name] = organ.label
        present = counts[organ.label] > 0
        coverage[organ.name] = (
            (Coverage.PARTIAL if edges[organ.label] else Coverage.WHOLE) if present else Coverage.NONE
        )
    return LabelMap(array=labels, geometry=geometry, labels=names, coverage=coverage)


def render_exam(
    patient: Patient,
    visit: int,
    *,
    ct_geometry: Geometry | None = None,
    pet_geometry: Geometry | None = None,
    mr_geometry: Geometry | None = None,
    with_ct: bool = True,
    with_pet: bool | None = None,
    with_mr: bool | None = None,
    pet_samples: int = 1,
    noise: bool = True,
    with_table: bool = True,
) -> PhantomExam:
    """One visit as the scanners see it.

    Args:
        patient: The patient.
        visit: Which visit, from 0.
        ct_geometry: Grid of the CT; 2 x 2 x 4 mm over the body by default.
        pet_geometry: Grid of the PET; 4 mm over the body by default.
        mr_geometry: Grid of the head MR; 1 x 1 x 1.2 mm by default.
        with_ct, with_pet, with_mr: What to render; by default CT, and what the visit has.
        pet_samples: Sub-samples per PET voxel and axis before the blur.
        with_table: Whether the scanner's table is on the CT.
        noise: False renders the noise-free, blurred truth (for tests of the physics).

    Raises:
        ValueError: If the visit does not exist or nothing is to be rendered.
    """
    if not 0 <= visit < len(patient.visits):
        raise ValueError(f"patient {patient.key} has visits 0 to {len(patient.visits) - 1}, got {visit}")
    today = patient.visits[visit]
    scanner = today.scanner
    with_pet = today.has_pet if with_pet is None else with_pet
    with_mr = today.mr_on is not None if with_mr is None else with_mr
    volumes: dict[Role, Volume] = {}
    organs: LabelMap | None = None
    pituitary: LabelMap | None = None
    if with_ct:
        ct_geometry = ct_geometry or body_geometry(patient, visit, (2.0, 2.0, 4.0))
        shared = with_pet and pet_samples == 1 and pet_geometry is not None and pet_geometry.same_grid(ct_geometry)
        canvas = Canvas(
            ct_geometry,
            today.pose,
            {k: AIR[k] for k in (("hu", "suv") if shared else ("hu",))},
            noise_seed=patient.anatomy.noise_seed,
            texture_mm=patient.anatomy.tissue.texture_mm,
        )
        paint_patient(canvas, patient, visit, with_table=with_table)
        hu, labels = breathe_ct(
            canvas.channels["hu"], canvas.labels, ct_geometry, today.pose, patient.anatomy, today.breath
        )
        organs = label_map(labels, ct_geometry)
        image = scan_ct(hu, ct_geometry, scanner, edge_mm=canvas.edge_mm) if noise else np.minimum(hu, HU_RANGE[1])
        volumes[Role.CT] = Volume(array=image, geometry=ct_geometry, quantity=Quantity.HU)
        if shared:
            volumes[Role.PET] = _pet(canvas, ct_geometry, patient, visit, noise=noise)
    if with_pet and Role.PET not in volumes:
        pet_geometry = pet_geometry or body_geometry(patient, visit, (4.0, 4.0, 4.0))
        i_mm, j_mm, k_mm = (s / pet_samples for s in pet_geometry.spacing_mm)
        fine = pet_geometry if pet_samples == 1 else pet_geometry.with_spacing((i_mm, j_mm, k_mm))
        canvas = Canvas(
            fine,
            today.pose,
            {"suv": 0.0},
            noise_seed=patient.anatomy.noise_seed,
            texture_mm=patient.anatomy.tissue.texture_mm,
        )
        paint_patient(canvas, patient, visit, with_table=False)
        volumes[Role.PET] = _pet(canvas, pet_geometry, patient, visit, noise=noise)
        organs = organs or label_map(
            canvas.labels if pet_samples == 1 else canvas.labels[::pet_samples, ::pet_samples, ::pet_samples],
            pet_geometry,
        )
    if with_mr:
        mr_geometry = mr_geometry or head_geometry(patient, visit)
        volume, pituitary = render_mr(patient, visit, mr_geometry, noise=noise)
        volumes[Role.MR] = volume
    if not volumes:
        raise ValueError(f"patient {patient.key} visit {visit}: nothing to render")
    origins = {}
    if Role.PET in volumes:
        anatomy = patient.anatomy
        lean = lean_body_mass_kg(anatomy.sex, anatomy.weight_kg, anatomy.height_cm)
        origins[Role.PET] = SeriesOrigin(
            role=Role.PET,
            series_uid="phantom",
            suv_factor=1.0,
            suv_to_sul=lean / anatomy.weight_kg,
            uptake_minutes=scanner.uptake_minutes,
            decisions=("synthetic: drawn in SUVbw",),
        )
    exam = Exam(
        patient=patient.key, acquired_on=today.acquired_on, volumes=volumes, context=patient.context, origins=origins
    )
    return PhantomExam(exam=exam, organs=organs, pituitary=pituitary, truth=visit_truth(patient, visit))


def _pet(canvas: Canvas, geometry: Geometry, patient: Patient, visit: int, *, noise: bool) -> Volume:
    """Blur on the painted grid, then average to the voxels of the reconstruction, then noise."""
    scanner = patient.visits[visit].scanner
    fine = canvas.geometry
    today = patient.visits[visit]
    true_suv = breathe_pet(canvas.channels["suv"], fine, today.pose, patient.anatomy, today.breath)
    image = blur_pet(true_suv, fine, scanner, edge_mm=canvas.edge_mm)
    if not fine.same_grid(geometry):
        i, j, k = geometry.shape
        a, b, c = (n // m for n, m in zip(fine.shape, geometry.shape, strict=True))
        image = image.reshape(i, a, j, b, k, c).mean(axis=(1, 3, 5))
    if noise:
        image = add_pet_noise(image, geometry, scanner)
    return Volume(array=image, geometry=geometry, quantity=Quantity.SUV_BW)


def render_mr(patient: Patient, visit: int, geometry: Geometry, *, noise: bool = True) -> tuple[Volume, LabelMap]:
    """The contrast-enhanced T1 head MR and the gland on its grid."""
    today = patient.visits[visit]
    canvas = Canvas(geometry, today.pose, {"t1c": AIR["t1c"]}, noise_seed=patient.anatomy.noise_seed)
    stage = Stage(canvas, patient, visit, visit_materials(patient, visit))
    scene_trunk.paint_trunk(stage)
    scene_trunk.paint_skeleton(stage)
    scene_head.paint_head(stage)
    gland = np.where(canvas.labels == LABEL["pituitary"], canvas.labels, 0).astype(np.uint8)
    image = scan_mr(canvas.channels["t1c"], geometry, today.scanner) if noise else canvas.channels["t1c"]
    return (
        Volume(array=image, geometry=geometry, quantity=Quantity.MR_SIGNAL),
        label_map(gland, geometry, only=("pituitary",)),
    )
