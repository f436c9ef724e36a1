"""The table of criteria: every published rule set under its own name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from irae.quant.lbm import lean_body_mass_kg
from irae.response import (
    burden,
    growth,
    irecist,
    itrecist,
    metabolic,
    patterns,
    pet_counts,
    recist11,
)
from irae.response.values import Answer, Case, CaseError, Scored


@dataclass(frozen=True, slots=True, kw_only=True)
class Criterion:
    """One rule set.

    Attributes:
        name: Its key, e.g. ``irecist``.
        title: Its name as published.
        source: The publication.
        family: anatomic, metabolic, lymphoma, growth, pattern or body.
        words: Its answers, best first.
        score: All visits of a case to a scored case.
        states: The fold over visits: (state, answer) after each; None where there is no state.
        progression: The words that mean progression.
    """

    name: str
    title: str
    source: str
    family: str
    words: tuple[str, ...]
    score: Callable[[Case], Scored]
    states: Callable[[Case], Iterator[tuple[Any, Answer]]] | None = None
    progression: tuple[str, ...] = ()


def _score_body(case: Case) -> Scored:
    """Lean body mass by the formula of the options (rule LBM-1)."""
    if case.build is None:
        raise CaseError("lean body mass needs sex, weight and height", patient=case.id)
    build, formula = case.build, case.options.lbm_formula
    try:
        mass_kg = lean_body_mass_kg(build.sex, build.weight_kg, build.height_cm, formula)
    except ValueError as error:
        raise CaseError(str(error), patient=case.id) from error
    return Scored(
        answers=(),
        summary={"lbm_kg": mass_kg, "suv_to_sul": mass_kg / build.weight_kg},
        reasons=(("LBM-1", f"Lean body mass by {formula}: {mass_kg:.2f} kg."),),
    )


_IWORDS = ("iCR", "iPR", "iSD", "NON-iCR/NON-iUPD", "NED", "iUPD", "iCPD", "NE")
_PET = ("CMR", "PMR", "SMD", "PMD", "NE")
_UPET = ("CMR", "PMR", "SMD", "UPMD", "CPMD", "NE")

_ROWS: tuple[Criterion, ...] = (
    Criterion(name="recist_1_1", title="RECIST 1.1", family="anatomic",
              source="Eisenhauer EA et al., Eur J Cancer 2009;45:228-247",
              words=("CR", "PR", "SD", "NON-CR/NON-PD", "NED", "PD", "NE"),
              score=recist11.score, states=recist11.states, progression=("PD",)),
    Criterion(name="irecist", title="iRECIST", family="anatomic",
              source="Seymour L et al., Lancet Oncol 2017;18:e143-e152", words=_IWORDS,
              score=irecist.score, states=irecist.states, progression=("iUPD", "iCPD")),
    Criterion(name="irrc", title="irRC", family="anatomic",
              source="Wolchok JD et al., Clin Cancer Res 2009;15:7412-7420",
              words=("irCR", "irPR", "irSD", "irPD", "NE"),
              score=burden.score_irrc, states=burden.states_irrc, progression=("irPD",)),
    Criterion(name="irrecist", title="irRECIST", family="anatomic",
              source="Nishino M et al., Clin Cancer Res 2013;19:3936-3943; Nishino 2014",
              words=("irCR", "irPR", "irSD", "irPD", "NE"),
              score=burden.score_irrecist, states=burden.states_irrecist, progression=("irPD",)),
    Criterion(name="imrecist", title="imRECIST", family="anatomic",
              source="Hodi FS et al., J Clin Oncol 2018;36:850-858",
              words=("imCR", "imPR", "imSD", "imPD", "NE"),
              score=burden.score_imrecist, states=burden.states_imrecist, progression=("imPD",)),
    Criterion(name="itrecist", title="itRECIST", family="anatomic",
              source="Goldmacher GV et al., J Clin Oncol 2020;38:2667-2676", words=_IWORDS,
              score=itrecist.score, states=itrecist.states, progression=("iUPD", "iCPD")),
    Criterion(name="percist_1_0", title="PERCIST 1.0", family="metabolic",
              source="Wahl RL et al., J Nucl Med 2009;50 Suppl 1:122S-150S", words=_PET,
              score=metabolic.score_percist, states=metabolic.states_percist, progression=("PMD",)),
    Criterion(name="impercist5", title="imPERCIST5", family="metabolic",
              source="Ito K et al., J Nucl Med 2019;60:335-341", words=_PET,
              score=metabolic.score_impercist5, states=metabolic.states_impercist5, progression=("PMD",)),
    Criterion(name="ipercist", title="iPERCIST", family="metabolic",
              source="Goldfarb L et al., EJNMMI Res 2019;9:8", words=_UPET,
              score=metabolic.score_ipercist, states=metabolic.states_ipercist, progression=("UPMD", "CPMD")),
    Criterion(name="impercist_review", title="imPERCIST as some reviews print it", family="metabolic",
              source="Review texts: unconfirmed at 8 weeks, a PET 4 weeks later confirms or downgrades", words=_UPET,
              score=metabolic.score_impercist_review, states=metabolic.states_impercist_review,
              progression=("UPMD", "CPMD")),
    Criterion(name="percimt", title="PERCIMT", family="metabolic",
              source="Anwar H et al., Eur J Nucl Med Mol Imaging 2018;45:376-383",
              words=("CMR", "PMR", "SMD", "non-PMD", "PMD", "NE"), score=pet_counts.score_percimt,
              states=pet_counts.states_percimt, progression=("PMD",)),
    Criterion(name="pecrit", title="PECRIT", family="metabolic",
              source="Cho SY et al., J Nucl Med 2017;58:1421-1428",
              words=("clinical benefit", "no clinical benefit", "NE"), score=pet_counts.score_pecrit),
    Criterion(name="lyric", title="LYRIC", family="lymphoma", source="Cheson BD et al., Blood 2016;128:2489-2496",
              words=("CR", "PR", "SD", "IR3", "IR2b", "IR2a", "IR1", "PD", "NE"),
              score=pet_counts.score_lyric, states=pet_counts.states_lyric, progression=("PD",)),
    Criterion(name="growth_kinetics", title="Growth kinetics and hyperprogression", family="growth",
              source="Ferte C et al., Clin Cancer Res 2014;20:246; Champiat 2017 and others", words=(),
              score=growth.score),
    Criterion(name="patterns", title="Response patterns", family="pattern",
              source="Hodi 2016; Bernard-Tessier 2020; Kaufman 2017; and others", words=(), score=patterns.score),
    Criterion(name="suv", title="Lean body mass", family="body",
              source="Janmahasatian S et al., Clin Pharmacokinet 2005;44:1051; James 1976", words=(),
              score=_score_body),
)

CRITERIA: Mapping[str, Criterion] = MappingProxyType({row.name: row for row in _ROWS})
ANATOMIC: tuple[str, ...] = tuple(row.name for row in _ROWS if row.family == "anatomic")
METABOLIC: tuple[str, ...] = tuple(row.name for row in _ROWS if row.family == "metabolic")


def score_case(case: Case, criterion: str) -> Scored:
    """Scores one patient's case by one criterion.

    Raises:
        ValueError: If the criterion is unknown.
        CaseError: If the case cannot be scored by it; names patient, visit, lesion and value.
    """
    if criterion not in CRITERIA:
        raise ValueError(f"unknown criterion {criterion!r}; known are {', '.join(CRITERIA)}")
    try:
        return CRITERIA[criterion].score(case)
    except CaseError as error:
        if error.patient:
            raise
        raise CaseError(error.text, patient=case.id, visit=error.visit, lesion=error.lesion) from error
