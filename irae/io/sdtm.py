"""CDISC SDTM of scored cases: TU (tumours), TR (measurements) and RS (responses), with NCIt codes.

Written as CSV, one file a domain. Terms and codes are those of CDISC controlled terminology 2025-03-25; a word that has
no code there (imPERCIST5, irRECIST ...) is written as a sponsor's extension with an empty code. The columns that end in
``_NCIT`` are not SDTM variables: they carry the code of the term beside them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from irae.io.atomic import write_text
from irae.response.lengths import mm
from irae.response.registry import CRITERIA
from irae.response.rules import RECIST_11
from irae.response.values import Case, NewLesion, NonTarget, Scored, State, Target, Visit

STUDY = "IRAE"

# RS result codelist C96785.
RESULT_CODES: Mapping[str, str] = {
    "CR": "C4870", "PR": "C18058", "SD": "C18213", "PD": "C35571", "NE": "C62222", "NED": "C40413",
    "NON-CR/NON-PD": "C96700", "iCR": "C142357", "iPR": "C142358", "iSD": "C142359", "iUPD": "C142360",
    "iCPD": "C142356", "NON-iCR/NON-iUPD": "C142361", "irPD": "C140319", "CMR": "C123407", "PMR": "C123609",
    "SMD": "C123616", "PMD": "C123608", "EQUIVOCAL": "C86071", "UNEQUIVOCAL": "C123645",
}
# RS test codelist C96782: code, test name.
RESPONSE_TESTS: Mapping[str, tuple[str, str]] = {
    "OVRLRESP": ("C96613", "Overall Response"),
    "TRGRESP": ("C94534", "Target Response"),
    "NTRGRESP": ("C94535", "Non-target Response"),
    "NEWLIND": ("C142362", "New Lesion Indicator"),
    "NEWLPROG": ("C103420", "New Lesion Progression"),
    "BESTRESP": ("C94536", "Best Response"),
    "METBRESP": ("C123623", "Metabolic Response"),
}
# RSCAT codelist C124298.
CATEGORY_CODES: Mapping[str, str] = {"recist_1_1": "C124415", "irecist": "C136711", "percist_1_0": "C126039"}
TUMOUR_CODES: Mapping[str, str] = {"TARGET": "C94520", "NON-TARGET": "C94521", "NEW": "C94522"}
# TR test codelist: code, test name. LPERP carries the short axis of a node.
RESULT_TESTS: Mapping[str, tuple[str, str]] = {
    "LDIAM": ("C96684", "Longest Diameter"),
    "LPERP": ("C96685", "Longest Perpendicular"),
    "SUMDIAM": ("C96631", "Sum of Diameter"),
    "SULPEAK": ("C181547", "SUL Peak"),
    "TUMSTATE": ("", "Tumor State"),
    "LNSTATE": ("", "Lymph Node State"),
}
LOCATION_CODES: Mapping[str, str] = {
    "lung": "C12468", "liver": "C12392", "colon": "C12382", "thyroid": "C12400", "pituitary": "C12399",
    "spleen": "C12432", "pancreas": "C12393", "adrenal": "C12666", "kidney": "C12415", "heart": "C12727",
    "lymph_node": "C12745", "marrow": "C12431",
}
# Methods codelist C85492.
METHOD_CODES: Mapping[str, tuple[str, str]] = {
    "CT": ("CT SCAN", "C17204"), "MR": ("MRI", "C16809"), "MRI": ("MRI", "C16809"), "PET": ("PET SCAN", "C17007"),
    "PET/CT": ("PET/CT SCAN", "C103512"), "PET/MRI": ("PET/MRI", "C103514"),
}

TU_COLUMNS = ("STUDYID", "DOMAIN", "USUBJID", "TUSEQ", "TULNKID", "TUTESTCD", "TUTEST", "TUTESTCD_NCIT", "TUORRES",
              "TUSTRESC", "TUSTRESC_NCIT", "TULOC", "TULOC_NCIT", "TUMETHOD", "TUMETHOD_NCIT", "VISIT", "TUDTC")
TR_COLUMNS = ("STUDYID", "DOMAIN", "USUBJID", "TRSEQ", "TRGRPID", "TRLNKID", "TRTESTCD", "TRTEST", "TRTESTCD_NCIT",
              "TRORRES", "TRORRESU", "TRSTRESC", "TRSTRESN", "TRSTRESU", "TRSTAT", "TRREASND", "VISIT", "TRDTC")
RS_COLUMNS = ("STUDYID", "DOMAIN", "USUBJID", "RSSEQ", "RSCAT", "RSCAT_NCIT", "RSTESTCD", "RSTEST", "RSTESTCD_NCIT",
              "RSORRES", "RSSTRESC", "RSSTRESC_NCIT", "RSSTAT", "RSREASND", "VISIT", "RSDTC")

Row = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredPatient:
    """One patient's case and its answers by criterion."""

    case: Case
    scored: Mapping[str, Scored]


def write_sdtm(folder: Path, patients: Iterable[ScoredPatient], *, study: str = STUDY) -> tuple[Path, Path, Path]:
    """Writes tu.csv, tr.csv and rs.csv.

    Args:
        folder: Where to write; made if it is not there.
        patients: Cases with their answers.
        study: STUDYID.

    Returns:
        The three paths.
    """
    domains: dict[str, list[Row]] = {"TU": [], "TR": [], "RS": []}
    for patient in patients:
        for domain, rows in (("TU", _tumours(patient.case)), ("TR", _results(patient)), ("RS", _responses(patient))):
            for number, row in enumerate(rows, start=1):
                domains[domain].append({
                    "STUDYID": study, "DOMAIN": domain, "USUBJID": patient.case.id, f"{domain}SEQ": str(number), **row,
                })
    return (
        _write(folder / "tu.csv", TU_COLUMNS, domains["TU"]),
        _write(folder / "tr.csv", TR_COLUMNS, domains["TR"]),
        _write(folder / "rs.csv", RS_COLUMNS, domains["RS"]),
    )


def _write(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> Path:
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())
    return path


def _tumours(case: Case) -> Iterable[Row]:
    """Every lesion once, at the visit that first recorded it."""
    method, method_code = METHOD_CODES.get((case.imaging.modality if case.imaging else "CT").upper(), ("", ""))
    seen: set[str] = set()
    for visit in case.visits:
        groups: tuple[tuple[str, Sequence[Target | NonTarget | NewLesion]], ...] = (
            ("TARGET", visit.targets), ("NON-TARGET", visit.non_targets), ("NEW", visit.new_lesions),
        )
        for kind, lesions in groups:
            for lesion in lesions:
                if lesion.id in seen:
                    continue
                seen.add(lesion.id)
                yield {
                    "TULNKID": lesion.id, "TUTESTCD": "TUMIDENT", "TUTEST": "Tumor Identification",
                    "TUTESTCD_NCIT": "C94523", "TUORRES": kind, "TUSTRESC": kind, "TUSTRESC_NCIT": TUMOUR_CODES[kind],
                    "TULOC": lesion.site.upper().replace("_", " "),
                    "TULOC_NCIT": LOCATION_CODES.get(lesion.site, ""),
                    "TUMETHOD": method, "TUMETHOD_NCIT": method_code,
                    "VISIT": visit.id, "TUDTC": visit.on.isoformat(),
                }


def _result(test: str, visit: Visit, link: str, group: str, **values: str) -> Row:
    code, name = RESULT_TESTS[test]
    return {"TRGRPID": group, "TRLNKID": link, "TRTESTCD": test, "TRTEST": name, "TRTESTCD_NCIT": code,
            "VISIT": visit.id, "TRDTC": visit.on.isoformat(), **values}


def _measured(size: float | None) -> dict[str, str]:
    text = f"{size:g}"
    return {"TRORRES": text, "TRORRESU": "mm", "TRSTRESC": text, "TRSTRESN": text, "TRSTRESU": "mm"}


def _sized(lesion: Target | NewLesion, visit: Visit, group: str) -> Iterable[Row]:
    """Diameters of a measured lesion; a node's short axis is LPERP."""
    main = "LPERP" if lesion.is_node else "LDIAM"
    if lesion.state is State.TOO_SMALL:
        stated = str(RECIST_11.too_small_mm)
        yield _result(main, visit, lesion.id, group, TRORRES="TOO SMALL TO MEASURE", TRSTRESC=stated,
                      TRSTRESN=stated, TRSTRESU="mm")
    elif lesion.state is State.NOT_EVALUATED:
        yield _result(main, visit, lesion.id, group, TRSTAT="NOT DONE", TRREASND="NOT EVALUATED")
    elif lesion.state is State.ABSENT or lesion.state is State.MERGED:
        yield _result(main, visit, lesion.id, group, **_measured(0.0))
    elif isinstance(lesion, Target) and lesion.state is State.SPLIT:
        yield _result(main, visit, lesion.id, group, **_measured(mm(sum(lesion.fragments))))
    elif lesion.state is State.MEASURED:
        for test, size in (("LDIAM", lesion.longest), ("LPERP", lesion.short)):
            if size is not None:
                yield _result(test, visit, lesion.id, group, **_measured(mm(size)))
    else:
        yield _state(lesion.id, lesion.is_node, lesion.state, visit, group)


_STATE_WORDS: Mapping[State, str] = {
    State.PRESENT: "PRESENT", State.ABSENT: "ABSENT", State.PROGRESSED: "UNEQUIVOCAL INCREASE",
    State.EQUIVOCAL: "EQUIVOCAL",
}


def _state(link: str, is_node: bool, state: State, visit: Visit, group: str) -> Row:
    test = "LNSTATE" if is_node else "TUMSTATE"
    if state is State.NOT_EVALUATED:
        return _result(test, visit, link, group, TRSTAT="NOT DONE", TRREASND="NOT EVALUATED")
    return _result(test, visit, link, group, TRORRES=_STATE_WORDS[state], TRSTRESC=_STATE_WORDS[state])


def _results(patient: ScoredPatient) -> Iterable[Row]:
    sums = {a.tp: a.values.get("sum_mm") for s in patient.scored.values() for a in s.answers
            if a.values.get("sum_mm") is not None}
    for visit in patient.case.visits:
        for target in visit.targets:
            yield from _sized(target, visit, "TARGET")
        total = sums.get(visit.id)
        if isinstance(total, float):
            yield _result("SUMDIAM", visit, "", "TARGET", **_measured(total))
        for lesion in visit.non_targets:
            yield _state(lesion.id, lesion.is_node, lesion.state, visit, "NON-TARGET")
        for new in visit.new_lesions:
            yield from _sized(new, visit, "NEW")
        for uptake in visit.pet.lesions if visit.pet is not None else ():
            if uptake.sul_peak is not None:
                text = f"{float(uptake.sul_peak):g}"
                yield _result("SULPEAK", visit, uptake.id, "PET", TRORRES=text, TRORRESU="g/mL", TRSTRESC=text,
                              TRSTRESN=text, TRSTRESU="g/mL")


_IMMUNE = {"CR": "iCR", "PR": "iPR", "SD": "iSD", "PD": "iUPD", "NON-CR/NON-PD": "NON-iCR/NON-iUPD"}


def _responses(patient: ScoredPatient) -> Iterable[Row]:
    for name, scored in patient.scored.items():
        criterion = CRITERIA[name]

        def row(test: str, result: str, visit: str, on: str, *, name: str = name) -> Row:
            code, title = RESPONSE_TESTS[test]
            return {
                "RSCAT": CRITERIA[name].title.upper() if name not in CATEGORY_CODES else _CATEGORY_NAMES[name],
                "RSCAT_NCIT": CATEGORY_CODES.get(name, ""), "RSTESTCD": test, "RSTEST": title, "RSTESTCD_NCIT": code,
                "RSORRES": result, "RSSTRESC": result, "RSSTRESC_NCIT": RESULT_CODES.get(result, ""), "VISIT": visit,
                "RSDTC": on,
            }

        immune = name in ("irecist", "itrecist")
        overall = "METBRESP" if criterion.family == "metabolic" else "OVRLRESP"
        for answer in scored.answers:
            on = answer.on.isoformat()
            for key, test in (("target", "TRGRESP"), ("non_target", "NTRGRESP")):
                word = answer.values.get(key)
                if isinstance(word, str) and word != "NA":
                    yield row(test, _IMMUNE.get(word, word) if immune else word, answer.tp, on)
            new = answer.values.get("new_lesion")
            if isinstance(new, bool):
                yield row("NEWLIND", "Y" if new else "N", answer.tp, on)
            if answer.overall is not None:
                yield row(overall, answer.overall, answer.tp, on)
        best = scored.summary.get("best_response")
        if isinstance(best, str):
            began = scored.summary.get("response_date")
            yield row("BESTRESP", best, "", began.isoformat() if isinstance(began, date) else "")


_CATEGORY_NAMES: Mapping[str, str] = {"recist_1_1": "RECIST 1.1", "irecist": "iRECIST", "percist_1_0": "PERCIST"}
