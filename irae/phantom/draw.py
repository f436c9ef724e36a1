"""Draws whole patients: body, disease, therapy, visits, scanners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from irae.core.anatomy import Irae
from irae.core.context import ContextEntry, ContextKind, PatientContext
from irae.phantom.body import draw_anatomy
from irae.phantom.canvas import Pose
from irae.phantom.disease import DiseasePlan, draw_confounders, draw_episode, draw_severities
from irae.phantom.metastases import draw_metastases
from irae.phantom.patient import Anatomy, Breath, Confounder, Patient, Scanner, Visit
from irae.phantom.tissue import Phase

THERAPIES = (("ipilimumab + nivolumab", 0.4), ("pembrolizumab", 0.3), ("nivolumab", 0.2), ("ipilimumab", 0.1))
TUMOURS = (("melanoma", 0.55), ("non-small cell lung cancer", 0.3), ("renal cell carcinoma", 0.15))
TRAPS = ("other_scanner", "other_phase", "late_pet", "high_glucose")
EPOCH = date(2024, 1, 8)  # synthetic calendars begin here; nothing reads the clock


@dataclass(frozen=True, slots=True, kw_only=True)
class VisitPlan:
    """What must hold for the exams of a patient; None is drawn.

    Attributes:
        phase: CT contrast phase of every visit.
        has_pet: Whether every visit has a PET.
        mr: Whether there are head MRs.
        weeks: Weeks between visits.
        wide: Spread of body, tissue and scanner values; 1 is the usual, more is domain randomisation.
        traps: Chance of each protocol trap (other scanner, other phase, PET at 90 minutes, high glucose) at each
            later visit.
    """

    phase: Phase | None = None
    has_pet: bool | None = None
    mr: bool | None = None
    weeks: tuple[int, ...] | None = None
    wide: float = 1.0
    traps: float = 0.0


def _smooth(rng: np.random.Generator, n: int, every: float) -> np.ndarray:
    """n values of a smooth random curve with unit variance, one free value every ``every`` points."""
    knots = max(2, round(n / every) + 1)
    return np.interp(np.linspace(0, knots - 1, n), np.arange(knots), rng.standard_normal(knots))


def draw_scanner(rng: np.random.Generator, *, weight_kg: float, wide: float = 1.0) -> Scanner:
    """Machines and protocol at random."""
    return Scanner(
        ct_offset_hu=float(np.clip(rng.normal(0, 4) * wide, -12, 12)),
        ct_noise_hu=float(rng.uniform(9, 22 if wide <= 1 else 32)),
        ct_noise_fwhm_mm=float(rng.uniform(2, 4.5)),
        ct_fwhm_mm=float(rng.uniform(1.0, 2.5 if wide <= 1 else 6.0)),
        ct_slice_mm=float(rng.choice([1.0, 2.0, 3.0, 5.0])),
        pet_fwhm_mm=float(rng.uniform(4.5, 8.0)),
        pet_noise=float(np.clip(rng.normal(0.09, 0.02) * wide, 0.04, 0.25)),
        uptake_minutes=float(np.clip(rng.normal(62, 4), 53, 75)),
        injected_mbq=float(round(weight_kg * rng.uniform(2.8, 4.2), 1)),
        mr_snr=float(rng.uniform(20, 40)),
        mr_bias=float(rng.uniform(0.05, 0.2)),
        mr_plane=str(rng.choice(["axial", "sagittal", "coronal"])),
        mr_slice_mm=float(rng.uniform(1.0, 1.6 if wide <= 1 else 3.5)),
        noise_seed=int(rng.integers(2**31)),
    )


def draw_pose(rng: np.random.Generator, base: Pose | None = None, *, wide: float = 1.0) -> Pose:
    """A position in the scanner; ``base`` keeps the person's own bends and moves the rest a little."""
    if base is None:
        return Pose(
            shift_mm=(float(rng.normal(0, 5)), float(rng.normal(0, 6)), float(rng.normal(0, 12))),
            tilt_deg=tuple(float(v) for v in rng.normal(0, 1.0 * wide, 3)),  # type: ignore[arg-type]
            bend_mm=tuple(float(v) for v in rng.uniform(0.5, 3.2, 6) * min(wide, 2.0)),
            wavelength_mm=tuple(float(v) for v in rng.uniform(260, 520, 6)),
            phase=tuple(float(v) for v in rng.uniform(0, 2 * np.pi, 6)),
        )
    return Pose(
        shift_mm=tuple(float(v + rng.normal(0, 5)) for v in base.shift_mm),  # type: ignore[arg-type]
        tilt_deg=tuple(float(v + rng.normal(0, 0.5)) for v in base.tilt_deg),  # type: ignore[arg-type]
        bend_mm=base.bend_mm,
        wavelength_mm=base.wavelength_mm,
        phase=tuple(p + float(rng.normal(0, 0.06)) for p in base.phase),
    )


def _draw_visit(
    rng: np.random.Generator,
    anatomy: Anatomy,
    *,
    on: date,
    mr_on: date | None,
    pose: Pose,
    scanner: Scanner,
    phase: Phase,
    has_pet: bool,
    hot_bowel: np.ndarray,
    wide: float,
    traps: tuple[str, ...] = (),
) -> Visit:
    n, m = len(anatomy.colon), len(anatomy.small_bowel)
    spread = 0.10 * min(wide, 2.5)
    names = (
        "blood",
        "liver",
        "spleen",
        "marrow",
        "muscle",
        "lung",
        "thyroid",
        "bowel_wall",
        "small_bowel_wall",
        "stomach_wall",
        "kidney_cortex",
        "urine",
        "grey_matter",
        "pituitary",
        "pancreas",
        "tonsil",
    )
    fasting = rng.random() < 0.5
    return Visit(
        acquired_on=on,
        mr_on=mr_on,
        has_pet=has_pet,
        pose=pose,
        phase=phase,
        enhancement=float(np.clip(rng.normal(1.0, 0.10 * min(wide, 2)), 0.5, 1.5)),
        suv_factor={k: float(np.exp(spread * np.clip(rng.standard_normal(), -2, 2))) for k in names},
        colon_gas=np.clip(0.30 + 0.28 * _smooth(rng, n, 7.0), 0.0, 0.95),
        colon_distension=np.exp(np.clip(0.20 * _smooth(rng, n, 8.0), -0.5, 0.4)),
        colon_uptake=np.exp(np.clip(0.6 * hot_bowel + 0.14 * _smooth(rng, n, 6.0), -0.7, 0.8)),
        small_bowel_uptake=np.exp(np.clip(0.25 * _smooth(rng, m, 12.0), -0.6, 0.7)),
        bladder=float(rng.uniform(0.65, 1.25)),
        myocardium_suv=float(
            np.clip(rng.normal(1.5, 0.4), 0.8, 3) if fasting else np.clip(5 * 1.6 ** rng.standard_normal(), 2, 14)
        ),
        oral_contrast_hu=float(rng.uniform(120, 350)) if rng.random() < 0.12 else 0.0,
        scanner=scanner,
        breath=draw_breath(rng, wide=wide),
        traps=traps,
    )


def draw_breath(rng: np.random.Generator, *, wide: float = 1.0) -> Breath:
    """A free-breathing PET beside a CT that was held, or taken during shallow breathing in a quarter."""
    return Breath(
        pet_offset_mm=float(np.clip(rng.normal(-2.0, 4.5) * wide, -16, 12)),
        pet_amplitude_mm=float(rng.uniform(4, 13)),
        ct_step_mm=float(rng.uniform(1.5, 4.5)) if rng.random() < 0.25 else 0.0,
        phase=float(rng.uniform(0, 2 * np.pi)),
    )


def _choice(rng: np.random.Generator, table: Sequence[tuple[str, float]]) -> str:
    names, shares = zip(*table, strict=True)
    return str(rng.choice(names, p=np.array(shares) / sum(shares)))


def _context(
    anatomy: Anatomy,
    *,
    birth_year: int,
    tumour: str,
    therapy: str,
    start: date,
    days: Sequence[date],
    confounders: Sequence[Confounder],
) -> PatientContext:
    entries = [
        ContextEntry(kind=ContextKind.SEX, value=anatomy.sex),
        ContextEntry(kind=ContextKind.BIRTH_YEAR, value=str(birth_year)),
        ContextEntry(kind=ContextKind.HEIGHT_CM, value=f"{anatomy.height_cm:g}"),
        ContextEntry(kind=ContextKind.TUMOUR, value=tumour),
        ContextEntry(kind=ContextKind.THERAPY, value=therapy, start=start),
    ]
    for c in confounders:
        on = [d for d, a in zip(days, c.active, strict=True) if a]
        if c.kind == "metformin":
            entries.append(ContextEntry(kind=ContextKind.METFORMIN, value="yes", start=days[0] - timedelta(days=400)))
            continue
        for day in on[:1] if c.kind == "radiation" else on:
            kind, value, before, length = {
                "gcsf": (ContextKind.GCSF, "filgrastim", 7, 5),
                "steroid": (ContextKind.STEROID, "prednisone", 10, 40),
                "vaccine_nodes": (ContextKind.VACCINATION, "arm", 14, 0),
                "pneumonia": (ContextKind.INFECTION, "pneumonia", 4, 14),
                "radiation": (ContextKind.RADIOTHERAPY, "lung", 100, 40),
            }.get(c.kind, (None, "", 0, 0))
            if kind is not None:
                first = day - timedelta(days=before)
                entries.append(
                    ContextEntry(
                        kind=kind, value=value, start=first, end=first + timedelta(days=length) if length else None
                    )
                )
    return PatientContext.of(entries)


def draw_patient(
    rng: np.random.Generator,
    *,
    visits: int = 3,
    key: str = "PHANTOM-0001",
    seed: int = 0,
    disease: DiseasePlan | None = None,
    plan: VisitPlan | None = None,
) -> Patient:
    """A synthetic patient with all parameters drawn.

    Args:
        rng: The source of all randomness.
        visits: Number of exams; the first is the baseline before therapy.
        key: PatientID.
        seed: Recorded with the patient.
        disease: What must and may happen; the usual chances where absent.
        plan: What must hold for the exams.

    Raises:
        ValueError: If visits is less than 1.
    """
    if visits < 1:
        raise ValueError(f"a patient needs at least one visit, got {visits}")
    disease, plan = disease or DiseasePlan(), plan or VisitPlan()
    anatomy = draw_anatomy(rng, wide=plan.wide)
    episodes = []
    for irae in Irae:
        drawn, chance = draw_severities(rng, visits), rng.random()
        if irae in disease.force:
            episodes.append(draw_episode(rng, irae, disease.force[irae], invisible=0.0))
        elif chance < disease.irae.get(irae, 0.0):
            episodes.append(draw_episode(rng, irae, drawn, invisible=disease.invisible))
    lesions, _ = draw_metastases(rng, anatomy, visits, disease)
    confounders = draw_confounders(rng, visits, disease)
    onsets = [next(v for v, s in enumerate(e.severity) if s) for e in episodes if any(e.severity)]
    if onsets and rng.random() < disease.confounder.get("steroid", 0.0):  # given once the irAE was seen
        active = tuple(visits == 1 or v > min(onsets) for v in range(visits))
        if any(active):
            confounders = (*confounders, Confounder(kind="steroid", active=active))

    first = EPOCH + timedelta(days=int(rng.integers(0, 330)))
    weeks = plan.weeks or tuple(int(rng.choice([8, 9, 12])) for _ in range(visits - 1))
    days = [first]
    for gap in [weeks[min(n, len(weeks) - 1)] for n in range(visits - 1)]:
        days.append(days[-1] + timedelta(days=7 * gap + int(rng.integers(-3, 4))))
    start = first + timedelta(days=int(rng.integers(4, 12)))
    has_pet = plan.has_pet if plan.has_pet is not None else bool(rng.random() < 0.9)
    hypophysitis = any(e.irae is Irae.HYPOPHYSITIS for e in episodes)
    mr = plan.mr if plan.mr is not None else bool(hypophysitis or rng.random() < 0.4)
    own = draw_pose(rng, wide=plan.wide)
    scanner = draw_scanner(rng, weight_kg=anatomy.weight_kg, wide=plan.wide)
    usual = plan.phase or Phase(
        str(rng.choice(["portal", "native", "delayed", "arterial"], p=[0.62, 0.28, 0.06, 0.04]))
    )
    hot_bowel = _smooth(rng, len(anatomy.colon), 12.0) * 0.35
    out: list[Visit] = []
    for day in days:
        machine = draw_scanner(rng, weight_kg=anatomy.weight_kg, wide=plan.wide)
        met = rng.random(len(TRAPS)) < (plan.traps if out else 0.0)
        traps = tuple(
            name
            for name, so in zip(TRAPS, met, strict=True)
            if so and (has_pet or name in {"other_scanner", "other_phase"})
        )
        if "other_scanner" not in traps:
            machine = replace(scanner, noise_seed=machine.noise_seed, uptake_minutes=machine.uptake_minutes)
        if "late_pet" in traps:
            machine = replace(machine, uptake_minutes=float(rng.uniform(86, 98)))
        phase = usual
        if "other_phase" in traps:
            phase = Phase.NATIVE if usual is not Phase.NATIVE else Phase.PORTAL
        apart = int(rng.choice([0, 0, 2, 5]))
        out.append(
            _draw_visit(
                rng,
                anatomy,
                on=day,
                mr_on=day + timedelta(days=apart) if mr else None,
                pose=draw_pose(rng, own),
                scanner=machine,
                phase=phase,
                has_pet=has_pet,
                hot_bowel=hot_bowel,
                wide=plan.wide,
                traps=traps,
            )
        )
    therapy, tumour = _choice(rng, THERAPIES), _choice(rng, TUMOURS)
    context = _context(
        anatomy,
        birth_year=first.year - int(rng.integers(35, 82)),
        tumour=tumour,
        therapy=therapy,
        start=start,
        days=days,
        confounders=confounders,
    )
    return Patient(
        key=key,
        anatomy=anatomy,
        visits=tuple(out),
        episodes=tuple(episodes),
        lesions=lesions,
        confounders=confounders,
        context=context,
        therapy=therapy,
        seed=seed,
    )
