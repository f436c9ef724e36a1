"""Measurement tables and case files into cases, and answers into JSON.

A case file is YAML or JSON with a list under ``cases`` (one patient each, with its criterion and options). A table is
CSV with one row per lesion and visit; its first visit is the baseline. Reading is strict: a value that cannot be
understood is an error that names patient, visit, lesion and value; the other patients are still read.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

from irae.io.atomic import write_text
from irae.response.lengths import tenths
from irae.response.options import Options
from irae.response.values import (
    Build,
    Case,
    CaseError,
    Change,
    Facts,
    Imaging,
    Kind,
    Lymphoma,
    NewLesion,
    NonTarget,
    PetLesion,
    PetScan,
    Scored,
    State,
    Target,
    Visit,
    VisitKind,
    site_key,
)

COLUMNS = ("patient_id", "visit", "date", "lesion_id", "role", "organ", "is_node", "longest_mm", "short_mm",
           "sul_peak", "state")
REQUIRED_COLUMNS = ("patient_id", "visit", "date", "lesion_id", "role")
# May be added: reference uptake and how the PET was taken (the same on every row of a visit), and a reader's remarks.
OPTIONAL_COLUMNS = ("change", "injected", "attribution", "background", "fragments_mm", "merged_into", "liver_mean",
                    "liver_sd", "blood_pool_mean", "blood_pool_sd", "uptake_min", "scanner", "recon",
                    "clinical_deterioration", "symptom_driven")
ROLES = ("target", "non_target", "new", "new_target", "new_non_target", "pet", "none")

# A case of given responses without a baseline visit and without a reference date counts its months from here: the
# case format has every baseline on this day.
CASE_DAY_ZERO = date(2024, 1, 8)

_E = TypeVar("_E", bound=Enum)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadCase:
    """One case and the criterion it asks for (empty: the caller chooses)."""

    case: Case
    criterion: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A patient that could not be read or scored, and why."""

    id: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tables:
    """What a file holds: cases in its order, rejected patients, and columns that were not understood."""

    cases: tuple[ReadCase, ...]
    rejected: tuple[Rejected, ...]
    ignored_columns: tuple[str, ...] = ()


def read_tables(path: Path, *, options: Mapping[str, object] | None = None) -> Tables:
    """Reads a case file (.yaml, .yml, .json) or a measurement table (.csv).

    Args:
        path: The file.
        options: Values that override every case's options, by name or decision number.

    Raises:
        ValueError: If the file is not one of these, or holds no cases.
        OSError: If it cannot be read.
    """
    override = dict(options or {})
    suffix = path.suffix.lower()
    if suffix == ".csv":
        return _read_csv(path, override)
    text = path.read_text(encoding="utf-8")
    if suffix == ".json":
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            raise ValueError(f"{path.name} is not JSON: {error}") from error
        except RecursionError as error:
            raise ValueError(f"{path.name} is nested too deeply to be a case file") from error
    elif suffix in (".yaml", ".yml"):
        content = _load_yaml(path.name, text)
    else:
        raise ValueError(f"{path.name}: need .yaml, .yml, .json or .csv, got {path.suffix!r}")
    if not isinstance(content, Mapping) or not isinstance(content.get("cases"), list):
        raise ValueError(f"{path.name}: a case file has a list under 'cases'")
    defaults = content.get("options_defaults") or {}
    found: list[ReadCase] = []
    rejected: list[Rejected] = []
    seen: set[str] = set()
    for number, raw in enumerate(content["cases"], start=1):
        name = str(raw.get("id", f"case {number}")) if isinstance(raw, Mapping) else f"case {number}"
        try:
            if name in seen:
                raise CaseError("the case id is used twice", patient=name)
            seen.add(name)
            found.append(read_case(raw, defaults=defaults, override=override))
        except (CaseError, ValueError) as error:
            rejected.append(Rejected(id=name, text=str(error)))
    return Tables(cases=tuple(found), rejected=tuple(rejected))


def _load_yaml(name: str, text: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"{name} is not YAML: {error}") from error
    except RecursionError as error:
        raise ValueError(f"{name} is nested too deeply to be a case file") from error


# --- Case files ---------------------------------------------------------------------------------------------------


def read_case(
    raw: Mapping[str, Any],
    *,
    defaults: Mapping[str, object] | None = None,
    override: Mapping[str, object] | None = None,
) -> ReadCase:
    """One entry of ``cases``.

    Raises:
        CaseError: If a value cannot be understood or does not fit.
    """
    if not isinstance(raw, Mapping) or "id" not in raw:
        raise CaseError(f"a case is a mapping with an id, got {raw!r:.80}")
    name = str(raw["id"])
    try:
        options = _options({**(defaults or {}), **_mapping(raw.get("options"), "options"), **(override or {})})
        visits = tuple(_visit(v) for v in _list(raw.get("timepoints"), "timepoints"))
        build = next((v["patient"] for v in _list(raw.get("timepoints"), "timepoints") if "patient" in v), None)
        imaging = raw.get("imaging")
        case = Case(
            id=name,
            visits=visits,
            options=options,
            imaging=None if imaging is None else Imaging(
                modality=str(imaging.get("modality") or "CT"), slice_mm=_number(imaging.get("slice_mm"), "slice_mm")
            ),
            build=None if build is None else Build(
                sex=str(build.get("sex")),
                weight_kg=float(_needed(build, "weight_kg")),
                height_cm=float(_needed(build, "height_cm")),
            ),
            ask=str(raw.get("ask") or ""),
        )
    except CaseError as error:
        raise CaseError(error.text, patient=name, visit=error.visit, lesion=error.lesion) from error
    except ValueError as error:
        raise CaseError(str(error), patient=name) from error
    if raw.get("level") == "pattern" and case.reference_date is None and visits and visits[0].on >= CASE_DAY_ZERO:
        case = replace(case, options=replace(options, reference_date=CASE_DAY_ZERO))
    return ReadCase(case=case, criterion=str(raw.get("criterion") or ""))


def _options(values: Mapping[str, object]) -> Options:
    dated = {k: (_date(v, k) if k in ("reference_date", "first_pd_date") and v is not None else v)
             for k, v in values.items()}
    return Options().with_values(dated)


def _visit(raw: Mapping[str, Any]) -> Visit:
    name = str(raw.get("id") or raw.get("date") or "?")
    try:
        return Visit(
            id=name,
            on=_date(raw.get("date"), "date"),
            kind=_enum(VisitKind, raw.get("kind") or "followup", "kind"),
            targets=tuple(_target(x) for x in _list(raw.get("targets"), "targets")),
            non_targets=tuple(_non_target(x) for x in _list(raw.get("non_targets"), "non_targets")),
            new_lesions=tuple(_new_lesion(x) for x in _list(raw.get("new_lesions"), "new_lesions")),
            pet=None if raw.get("pet") is None else _pet(raw["pet"]),
            lymphoma=None if raw.get("lymphoma") is None else _lymphoma(raw["lymphoma"]),
            facts=_facts(raw),
            clinical_deterioration=_flag(raw.get("clinical_deterioration"), "clinical_deterioration"),
            treatment_stopped=_flag(raw.get("treatment_stopped"), "treatment_stopped"),
            symptom_driven=_flag(raw.get("symptom_driven"), "symptom_driven"),
        )
    except CaseError as error:
        raise CaseError(error.text, visit=name, lesion=error.lesion) from error
    except ValueError as error:
        raise CaseError(str(error), visit=name) from error


def _lesion(build: Callable[[Mapping[str, Any], str], Any]) -> Callable[[Mapping[str, Any]], Any]:
    """Wraps a reader of one lesion so that every error names the lesion."""

    def read(raw: Mapping[str, Any]) -> Any:
        if not isinstance(raw, Mapping) or raw.get("id") in (None, ""):
            raise CaseError(f"a lesion is a mapping with an id, got {raw!r:.80}")
        name = str(raw["id"])
        try:
            return build(raw, name)
        except CaseError as error:
            raise CaseError(error.text, lesion=error.lesion or name) from error
        except ValueError as error:
            raise CaseError(str(error), lesion=name) from error

    return read


@_lesion
def _target(raw: Mapping[str, Any], name: str) -> Target:
    is_node = _flag(raw.get("is_node"), "is_node")
    return Target(
        id=name,
        site=site_key(str(raw.get("organ") or "other"), is_node),
        is_node=is_node,
        state=_enum(State, raw.get("state") or "measured", "state"),
        longest=_length(raw.get("longest_mm"), "longest_mm"),
        short=_length(raw.get("short_mm"), "short_mm"),
        fragments=tuple(tenths(float(_number(x, "fragments_mm") or 0)) for x in _list(raw.get("fragments_mm"), "")),
        merged_into=str(raw.get("merged_into") or ""),
        injected=_flag(raw.get("injected"), "injected"),
        disease=str(raw.get("disease") or ""),
    )


@_lesion
def _non_target(raw: Mapping[str, Any], name: str) -> NonTarget:
    is_node = _flag(raw.get("is_node"), "is_node")
    return NonTarget(
        id=name,
        site=site_key(str(raw.get("organ") or "other"), is_node),
        is_node=is_node,
        state=_enum(State, raw.get("state") or "present", "state"),
        short=_length(raw.get("short_mm"), "short_mm"),
        change=_maybe(Change, raw.get("change_from_last", raw.get("change")), "change_from_last"),
    )


@_lesion
def _new_lesion(raw: Mapping[str, Any], name: str) -> NewLesion:
    is_node = _flag(raw.get("is_node"), "is_node")
    return NewLesion(
        id=name,
        site=site_key(str(raw.get("organ") or "other"), is_node),
        is_node=is_node,
        kind=_maybe(Kind, raw.get("kind"), "kind"),
        state=_enum(State, raw.get("state") or "present", "state"),
        longest=_length(raw.get("longest_mm"), "longest_mm"),
        short=_length(raw.get("short_mm"), "short_mm"),
        change=_maybe(Change, raw.get("change"), "change"),
    )


@_lesion
def _pet_lesion(raw: Mapping[str, Any], name: str) -> PetLesion:
    functional_cm = _number(raw.get("functional_cm"), "functional_cm")
    return PetLesion(
        id=name,
        site=site_key(str(raw.get("organ") or "other"), _flag(raw.get("is_node"), "is_node")),
        sul_peak=_number(raw.get("sul_peak"), "sul_peak"),
        is_new=_flag(raw.get("is_new"), "is_new"),
        attribution=str(raw.get("attribution") or "tumour"),
        background=_flag(raw.get("background"), "background"),
        resolved=raw.get("state") in ("absent", "resolved"),
        tlg=_number(raw.get("tlg"), "tlg"),
        functional_mm=None if functional_cm is None else 10 * functional_cm,
    )


def _pet(raw: Mapping[str, Any]) -> PetScan:
    new = [{**x, "is_new": True} for x in _list(raw.get("new_lesions"), "new_lesions")]
    return PetScan(
        lesions=tuple(_pet_lesion(x) for x in [*_list(raw.get("lesions"), "lesions"), *new]),
        liver_mean=_number(raw.get("liver_mean"), "liver_mean"),
        liver_sd=_number(raw.get("liver_sd"), "liver_sd"),
        blood_pool_mean=_number(raw.get("blood_pool_mean"), "blood_pool_mean"),
        blood_pool_sd=_number(raw.get("blood_pool_sd"), "blood_pool_sd"),
        liver_diseased=_flag(raw.get("liver_diseased"), "liver_diseased") or raw.get("reference") == "blood_pool",
        uptake_min=_number(raw.get("uptake_min"), "uptake_min"),
        scanner=None if raw.get("scanner") in (None, "") else str(raw["scanner"]),
        reconstruction=None if raw.get("recon") in (None, "") else str(raw["recon"]),
        visible_extension=_flag(raw.get("visible_extension"), "visible_extension"),
        tlg=_number(raw.get("tlg"), "tlg"),
    )


def _lymphoma(raw: Mapping[str, Any]) -> Lymphoma:
    spd = _number(raw.get("spd_mm2"), "spd_mm2")
    if spd is None:
        raise CaseError("spd_mm2 is missing")
    return Lymphoma(
        spd_mm2=spd,
        new_lesions=int(_number(raw.get("new_lesions"), "new_lesions") or 0),
        max_single_ppd_increase_pct=_number(raw.get("max_single_ppd_increase_pct"), "max_single_ppd_increase_pct")
        or Fraction(0),
        fdg_increase_only=_flag(raw.get("fdg_increase_only"), "fdg_increase_only"),
    )


_NUMBER_FACTS = ("sum_mm", "tumour_burden", "sulpeak_change_pct", "pfs_months", "cohort_median_pfs_months")
_COUNT_FACTS = ("new_lesions_in_involved_organ", "ttf_days", "ecog", "ecog_change")


def _facts(raw: Mapping[str, Any]) -> Facts:
    given = frozenset(raw) & {*_NUMBER_FACTS, *_COUNT_FACTS, "overall", "recist", "new_lesions_organs",
                              "spread_to_new_organ"}
    if not given:
        return Facts()
    values: dict[str, Any] = {name: _number(raw.get(name), name) for name in _NUMBER_FACTS}
    for name in _COUNT_FACTS:
        number = _number(raw.get(name), name)
        values[name] = None if number is None else int(number)
    for name in ("sum_mm", "tumour_burden"):
        if values[name] is not None and values[name] < 0:
            raise CaseError(f"{name} {float(values[name])} is negative")
    spread = raw.get("spread_to_new_organ")
    return Facts(
        given=given,
        overall=None if raw.get("overall") is None else str(raw["overall"]),
        recist=None if raw.get("recist") is None else str(raw["recist"]),
        new_lesions_organs=tuple(str(x) for x in _list(raw.get("new_lesions_organs"), "new_lesions_organs")),
        spread_to_new_organ=None if spread is None else _flag(spread, "spread_to_new_organ"),
        **values,
    )


# --- Tables -------------------------------------------------------------------------------------------------------


def _read_csv(path: Path, override: Mapping[str, object]) -> Tables:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        columns = [c.strip() for c in reader.fieldnames or ()]
        reader.fieldnames = columns
        missing = [c for c in REQUIRED_COLUMNS if c not in columns]
        if missing:
            raise ValueError(f"{path.name}: column {', '.join(missing)} is missing; a table has {', '.join(COLUMNS)}")
        rows = [(reader.line_num, {k: (v or "").strip() for k, v in row.items() if k is not None and not
                                   isinstance(v, list)}) for row in reader]
    patients: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for line, row in rows:
        patients.setdefault(row["patient_id"], []).append((line, row))
    if not patients:
        raise ValueError(f"{path.name} has no rows")
    found: list[ReadCase] = []
    rejected: list[Rejected] = []
    for patient, lines in patients.items():
        try:
            if not patient:
                raise CaseError(f"row {lines[0][0]} has no patient_id")
            case = Case(id=patient, visits=_csv_visits(lines), options=_options(override))
            found.append(ReadCase(case=case, criterion=""))
        except CaseError as error:
            said = CaseError(error.text, patient=patient, visit=error.visit, lesion=error.lesion)
            rejected.append(Rejected(id=patient or f"row {lines[0][0]}", text=str(said)))
    known = {*COLUMNS, *OPTIONAL_COLUMNS}
    return Tables(cases=tuple(found), rejected=tuple(rejected),
                  ignored_columns=tuple(c for c in columns if c not in known))


def _csv_visits(lines: Sequence[tuple[int, dict[str, str]]]) -> tuple[Visit, ...]:
    """Rows into visits, in the order of the table; the first is the baseline."""
    grouped: dict[str, list[tuple[int, dict[str, str]]]] = {}
    for line, row in lines:
        if not row["visit"]:
            raise CaseError(f"row {line} has no visit")
        grouped.setdefault(row["visit"], []).append((line, row))
    return tuple(
        _csv_visit(name, group, VisitKind.BASELINE if number == 0 else VisitKind.FOLLOWUP)
        for number, (name, group) in enumerate(grouped.items())
    )


def _csv_visit(name: str, group: Sequence[tuple[int, dict[str, str]]], kind: VisitKind) -> Visit:
    dates = {row["date"] for _, row in group}
    if len(dates) > 1:
        raise CaseError(f"rows of one visit have different dates: {', '.join(sorted(dates))}", visit=name)
    raw: dict[str, Any] = {"id": name, "date": dates.pop(), "kind": kind.value, "targets": [], "non_targets": [],
                           "new_lesions": []}
    pet: dict[str, Any] = {"lesions": []}
    for line, row in group:
        role = row["role"].lower()
        if role not in ROLES:
            raise CaseError(f"row {line}: role {row['role']!r} must be one of {', '.join(ROLES)}", visit=name,
                            lesion=row["lesion_id"])
        for key in ("liver_mean", "liver_sd", "blood_pool_mean", "blood_pool_sd", "uptake_min", "scanner", "recon"):
            value = row.get(key, "")
            if value and pet.setdefault(key, value) != value:
                raise CaseError(f"row {line}: {key} {value} differs from {pet[key]} of the same visit", visit=name)
        for key in ("clinical_deterioration", "symptom_driven"):
            raw[key] = raw.get(key, False) or _flag(row.get(key) or None, key)
        if role == "none":
            continue
        lesion = {k: v for k, v in row.items() if v != "" and k not in ("patient_id", "visit", "date", "role")}
        lesion["id"] = lesion.pop("lesion_id", "")
        if "fragments_mm" in lesion:
            lesion["fragments_mm"] = lesion["fragments_mm"].replace("+", " ").split()  # type: ignore[assignment]
        if role in ("target", "non_target"):
            raw[f"{role}s"].append(lesion)
        elif role != "pet":
            lesion.update({"kind": role.removeprefix("new_")} if role != "new" else {})
            if "state" not in lesion and ("longest_mm" in lesion or "short_mm" in lesion):
                lesion["state"] = "measured"
            raw["new_lesions"].append(lesion)
        if "sul_peak" in lesion or role == "pet":
            # ``state`` describes the anatomic lesion; on a row of PET alone it describes the uptake.
            own = lesion if role == "pet" else {k: v for k, v in lesion.items() if k != "state"}
            pet["lesions"].append({**own, "is_new": role.startswith("new")})
    if pet["lesions"]:
        raw["pet"] = pet
    return _visit(raw)


# --- Values -------------------------------------------------------------------------------------------------------


def _mapping(raw: object, what: str) -> Mapping[str, Any]:
    if raw is None:
        return {}
    if not isinstance(raw, Mapping):
        raise CaseError(f"{what} must be a mapping, got {raw!r:.60}")
    return raw


def _list(raw: object, what: str) -> list[Any]:
    if raw is None:
        return []
    if not isinstance(raw, (list, tuple)):
        raise CaseError(f"{what or 'value'} must be a list, got {raw!r:.60}")
    return list(raw)


def _needed(raw: Mapping[str, Any], name: str) -> Fraction:
    number = _number(raw.get(name), name)
    if number is None:
        raise CaseError(f"{name} is missing")
    return number


def _date(value: object, name: str) -> date:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        raise CaseError(f"{name} {value!r} is not a date (YYYY-MM-DD)") from None


def _number(value: object, name: str) -> Fraction | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        raise CaseError(f"{name} {value!r} is not a number")
    try:
        return Fraction(str(value).strip())
    except (ValueError, ZeroDivisionError):
        raise CaseError(f"{name} {value!r} is not a number") from None


def _length(value: object, name: str) -> int | None:
    number = _number(value, name)
    if number is None:
        return None
    if number < 0:
        raise CaseError(f"{name} {float(number):g} mm is negative")
    # Halves of a tenth round up, as in lengths.tenths, but exactly.
    return (20 * number.numerator + number.denominator) // (2 * number.denominator)


_TRUE, _FALSE = frozenset({"true", "yes", "1", "y"}), frozenset({"false", "no", "0", "n"})


def _flag(value: object, name: str) -> bool:
    if value is None or value == "":
        return False
    if isinstance(value, bool):
        return value
    word = str(value).lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise CaseError(f"{name} {value!r} is neither true nor false")


def _enum(kind: type[_E], value: object, name: str) -> _E:
    try:
        return kind(str(value).lower())
    except ValueError:
        raise CaseError(f"{name} {value!r} must be one of {', '.join(str(m.value) for m in kind)}") from None


def _maybe(kind: type[_E], value: object, name: str) -> _E | None:
    return None if value is None or value == "" else _enum(kind, value, name)


# --- Answers ------------------------------------------------------------------------------------------------------


def plain(value: object) -> object:
    """A value as JSON has it: dates as text, tuples as lists, floats rounded to what the arithmetic means."""
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return round(value, 6)
    return value


def scored_json(scored: Scored) -> dict[str, object]:
    """One scored case as the contract has it: ``timepoints`` and ``summary``."""
    return {
        "timepoints": [
            {
                "tp": a.tp,
                "date": a.on.isoformat(),
                "overall": a.overall,
                **{k: plain(v) for k, v in a.values.items()},
                "flags": list(a.flags),
                "reasons": [f"{rule}: {text}" for rule, text in a.reasons],
            }
            for a in scored.answers
        ],
        "summary": {k: plain(v) for k, v in scored.summary.items()},
        "reasons": [f"{rule}: {text}" for rule, text in scored.reasons],
    }


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Writes JSON whole or not at all."""
    write_text(path, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
