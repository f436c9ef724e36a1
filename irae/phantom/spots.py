"""The focal things of a visit - metastases, reactive and sarcoid-like nodes, adenomas, brown fat - as one list."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from irae.core.anatomy import Irae
from irae.core.focus import Nature
from irae.phantom.patient import Patient
from irae.phantom.scene import uptake_factor
from irae.phantom.shapes import Ellipsoid
from irae.phantom.tissue import Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """One focal thing at one visit.

    Attributes:
        track: Identity over visits.
        kind: What it is, in words.
        nature: metastasis, inflammation or physiologic.
        organ: Where it lies.
        shape: Its body, canonical.
        suv: True SUV.
        hu: CT number today, None where it does not show on CT.
    """

    track: str
    kind: str
    nature: Nature
    organ: str
    shape: Ellipsoid
    suv: float
    hu: float | None


def _node(patient: Patient, at: Sequence[float], short_mm: float, ratio: float) -> Ellipsoid:
    long_mm = short_mm / ratio
    return Ellipsoid(
        centre=patient.anatomy.point(*at), semi=(short_mm / 2, short_mm / 2, long_mm / 2), turn_deg=(0, 18, 0)
    )


def spots(patient: Patient, visit: int) -> tuple[Spot, ...]:
    """Everything focal at a visit; empty bodies are left out."""
    today = patient.visits[visit]
    native = today.phase is Phase.NATIVE
    tumour = uptake_factor(today, "tumour")
    out: list[Spot] = []
    for lesion in patient.lesions:
        diameter = lesion.diameter_mm[visit]
        if diameter > 0:
            a, b, c = (diameter / 2 * r for r in lesion.ratio)
            out.append(
                Spot(
                    track=lesion.track,
                    kind=f"metastasis ({lesion.course})",
                    nature=lesion.nature,
                    organ=lesion.organ,
                    shape=Ellipsoid(centre=lesion.centre_mm, semi=(a, b, c), turn_deg=lesion.turn_deg),
                    suv=lesion.suv[visit] * tumour,
                    hu=lesion.hu + (0.0 if native else lesion.hu_gain),
                )
            )
    hu = 38.0 if native else 80.0
    calm = 0.6 if patient.confounder("steroid", visit) is not None else 1.0
    if (found := patient.confounder("sarcoid_nodes", visit)) is not None:
        drawn = found.drawn
        sites = ((42, -6, 442), (-43, -6, 446), (26, -2, 418), (-20, 4, 424), (6, -22, 452))
        for n, at in enumerate(sites):
            size = (14 if n < 2 else 11) * float(np.clip(drawn["size"], 0.8, 1.3))
            out.append(
                Spot(
                    track=f"S{n + 1:02d}",
                    kind="sarcoid-like node",
                    nature=Nature.INFLAMMATION,
                    organ="lymph_node",
                    shape=_node(patient, at, size, 0.62),
                    suv=(8.5 if n < 2 else 6.5) * drawn["suv"] * calm,
                    hu=hu,
                )
            )
    if (found := patient.confounder("vaccine_nodes", visit)) is not None:
        drawn = found.drawn
        side = drawn["side"]
        for n, node in enumerate(((side * 128, -4, 374), (side * 120, -16, 388), (side * 134, -20, 392))):
            out.append(
                Spot(
                    track=f"V{n + 1:02d}",
                    kind="reactive node after vaccination",
                    nature=Nature.INFLAMMATION,
                    organ="lymph_node",
                    shape=_node(patient, node, (10.0, 8.0, 7.0)[n], 0.55),
                    suv=(6.5, 5.0, 4.0)[n] * drawn["suv"],
                    hu=hu - 10,
                )
            )
    if (found := patient.confounder("thyroid_adenoma", visit)) is not None:
        drawn = found.drawn
        x, y, z = patient.anatomy.point(drawn["side"] * 22, 8, 303)
        dx, dy, dz = patient.anatomy.shift_mm.get("thyroid_gland", (0.0, 0.0, 0.0))
        radius = float(np.clip(6.5 * drawn["size"], 5, 10))
        out.append(
            Spot(
                track="A01",
                kind="thyroid adenoma",
                nature=Nature.PHYSIOLOGIC,
                organ="thyroid_gland",
                shape=Ellipsoid(centre=(x + dx, y + dy, z + dz), semi=(radius, radius, radius * 1.1)),
                suv=8.0 * drawn["suv"],
                hu=48.0 if native else 110.0,
            )
        )
    if (found := patient.confounder("brown_fat", visit)) is not None:
        drawn = found.drawn
        heat = 9.0 * drawn["suv"]
        places = [(s * x, y, d) for s in (1, -1) for x, y, d in ((62, -4, 306), (80, -18, 318), (46, -22, 296))]
        places += [(s * 26, -62 + 4 * (n % 2), 335 + 36 * n) for s in (1, -1) for n in range(5)]
        for n, at in enumerate(places):
            semi = (11.0, 9.0, 13.0) if n < 6 else (5.5, 5.5, 6.5)
            out.append(
                Spot(
                    track=f"F{n + 1:02d}",
                    kind="brown fat",
                    nature=Nature.PHYSIOLOGIC,
                    organ="soft_tissue",
                    shape=Ellipsoid(centre=patient.anatomy.point(*at), semi=semi),
                    suv=heat * (1.0 if n < 6 else 0.75),
                    hu=-85.0,
                )
            )
    return (*out, *_single_spots(patient, visit, native=native))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Single:
    """A focal thing at fixed places of the standard body; ``hu`` native, None where CT shows nothing."""

    kind: str
    track: str
    places: tuple[tuple[float, float, float], ...]
    semi: tuple[float, float, float]
    suv: float
    hu: float | None
    nature: Nature = Nature.INFLAMMATION


_JOINTS = tuple((s * x, y, d) for x, y, d in ((152, -26, 345), (152, 18, 350), (124, 0, 866)) for s in (1, -1))
_SINGLES = (
    _Single(kind="oesophagitis", track="E", places=((-4, -26, 545),), semi=(6.5, 6.5, 42), suv=4.5, hu=38),
    _Single(kind="dental_focus", track="Z", places=((-30, 58, 122),), semi=(5, 5, 6), suv=6.0, hu=None),
    _Single(kind="arthritis", track="J", places=_JOINTS, semi=(13, 7, 17), suv=2.4, hu=None),
    _Single(kind="thymus", track="Y", places=((-2, 52, 400),), semi=(20, 9, 28), suv=2.6, hu=22,
        nature=Nature.PHYSIOLOGIC),
)  # fmt: skip


def _single_spots(patient: Patient, visit: int, *, native: bool) -> tuple[Spot, ...]:
    out = []
    for single in _SINGLES:
        found = patient.confounder(single.kind, visit)
        if found is None:
            continue
        grade = found.drawn["grade"] if single.kind == "arthritis" else 1.5
        for n, at in enumerate(single.places):
            out.append(
                Spot(
                    track=f"{single.track}{n + 1:02d}",
                    kind=single.kind.replace("_", " "),
                    nature=single.nature,
                    organ="soft_tissue",
                    shape=Ellipsoid(centre=patient.anatomy.point(*at), semi=single.semi),
                    suv=single.suv * found.drawn["suv"] * (0.7 + 0.2 * grade),
                    hu=None if single.hu is None else single.hu + (0.0 if native else 30.0),
                )
            )
    if (found := patient.confounder("colon_polyp", visit)) is not None:
        line, calibre = patient.anatomy.colon, patient.anatomy.colon_calibre_mm
        at_point = int(found.drawn["start"] * (len(line) - 6)) + 3
        x, y, z = line[at_point]
        radius = 4.0 + 2.5 * found.drawn["size"]
        shift = found.drawn["side"] * max(calibre[at_point] - 0.5 * radius, 0.0)
        out.append(
            Spot(
                track="K01",
                kind="colon polyp",
                nature=Nature.PHYSIOLOGIC,
                organ="colon",
                shape=Ellipsoid(centre=(float(x + shift), float(y), float(z)), semi=(radius, radius, radius)),
                suv=9.0 * found.drawn["suv"],
                hu=40.0 if native else 95.0,
            )
        )
    hepatitis = patient.episode(Irae.HEPATITIS)
    if hepatitis is not None and hepatitis.visible and hepatitis.severity[visit] == 3:
        for n, at in enumerate(((30, 22, 636), (18, 30, 628))):  # beside the portal vein
            out.append(
                Spot(
                    track=f"N{n + 1:02d}",
                    kind="periportal node with hepatitis",
                    nature=Nature.INFLAMMATION,
                    organ="lymph_node",
                    shape=_node(patient, at, 11.0, 0.6),
                    suv=2.6 * hepatitis.drawn["suv"],
                    hu=38.0 if native else 80.0,
                )
            )
    return tuple(out)
