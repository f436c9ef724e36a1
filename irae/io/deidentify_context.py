"""The context table for what leaves: the same pseudonyms and shifted dates as the images, and no free text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from irae.core.anatomy import ORGANS
from irae.core.context import DRUG_CLASS, ContextKind
from irae.io.context import CLINICAL_STATUS, COLUMNS, read_context
from irae.io.deidentify import Deidentifier

# Words that say what, never who; anything else in a free-text value goes.
_PLAIN = frozenset("""
    adenocarcinoma adrenal
    anterior axilla basal biopsy bladder bone brain breast bronchial cancer carcinoma cell cervical
    chest colectomy colon colorectal covid cutaneous excision femur gastric head hepatectomy hepatocellular hip
    influenza kidney larynx left liver lobectomy lung lymph lymphoma mediastinum melanoma merkel mesothelioma
    nephrectomy neck node nodes non nsclc oesophageal oesophagus orbit ovarian pancreas pelvis pharynx pituitary
    pneumonia prostate rcc rectum renal resection rib ribs right sarcoma sbrt sclc sepsis shoulder skin small spine
    spleen squamous stereotactic stomach surgery thoracic thorax thyroid thyroidectomy tonsil tumour tumor urinary
    urothelial uveal vaccine vertebra whole
    prednisolone prednisone methylprednisolone dexamethasone hydrocortisone metformin filgrastim pegfilgrastim
    yes no ongoing
""".split())  # noqa: SIM905
_WORDS = _PLAIN | {word for organ in ORGANS for word in organ.name.split("_")} | frozenset(DRUG_CLASS)
_NUMBER = re.compile(r"\d+(\.\d+)?")
# Safe Harbor (45 CFR 164.514): ages over 89 identify.
_OLDEST_YEARS = 89


def deidentified_context(path: Path, key: Deidentifier, *, this_year: int) -> tuple[str, Mapping[str, int]]:
    """The table's text for what leaves, and how many rows or words were left out, by reason.

    Args:
        path: A context table as ``read_context`` reads it.
        key: As for the images.
        this_year: Birth years more than 89 years before it are left out.

    Raises:
        ValueError: As ``read_context``.
    """
    read_context(path)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    left_out = {"birth years of people over 89": 0, "values with words of no known list": 0}
    for row in _rows(path):
        patient, value, kind = row["patient_id"], row["value"], ContextKind(row["kind"])
        if kind is ContextKind.BIRTH_YEAR:
            if this_year - int(float(value)) > _OLDEST_YEARS:
                left_out["birth years of people over 89"] += 1
                continue
            value = str(int(float(value)) - round(key.shift_days(patient) / 365.25))
        else:
            kept = _known(kind, value)
            left_out["values with words of no known list"] += kept != value.strip()
            value = kept
        dates = [_shifted(row[word], patient, key) for word in ("date", "end_date")]
        writer.writerow([key.pseudonym(patient), *dates, kind.value, value])
    return text.getvalue(), left_out


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8-sig", newline="") as stream:
        head = stream.readline()
        delimiter = ";" if head.count(";") > head.count(",") else ","
        columns = [column.strip() for column in next(csv.reader([head], delimiter=delimiter))]
        rows = csv.DictReader(stream, columns, delimiter=delimiter)
        cells = [{name: str(value or "").strip() for name, value in row.items()} for row in rows]
    return [row for row in cells if any(row.values())]


def _known(kind: ContextKind, value: str) -> str:
    """The words and numbers of a value that may leave."""
    if kind in (ContextKind.SEX, ContextKind.HEIGHT_CM):
        return value
    if kind is ContextKind.CLINICAL_STATUS:
        return value if value.lower() in CLINICAL_STATUS else ""
    drugs = kind is ContextKind.STEROID  # its dose in mg is a number
    words = re.findall(r"[A-Za-z]+|\d+(?:\.\d+)?|[^\sA-Za-z\d]", value)
    kept = [w for w in words if w.lower() in _WORDS or w in ("+", ",", "/", "-") or (drugs and _is_dose(w))]
    if kept == words:
        return value
    said = " ".join(kept).strip(" ,+/-")
    return said or ("other" if kind in (ContextKind.THERAPY, ContextKind.TUMOUR) else "")


def _is_dose(word: str) -> bool:
    return word.lower() == "mg" or (_NUMBER.fullmatch(word) is not None and float(word) <= 2000)


def _shifted(text: str, patient: str, key: Deidentifier) -> str:
    return key.shifted(date.fromisoformat(text), patient).isoformat() if text else ""
