"""The header of a PET series as the SUV rules want it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta

from irae.core.errors import StudyError
from irae.io.archive.headers import Header, read_dataset
from irae.io.archive.identity import acquired_at, dicom_date, dicom_datetime, dicom_time, together, utc_offset
from irae.quant.suv import HALF_LIFE_S, SUV_RULES, PetHeader

_NUCLIDES = {
    "C-111A1": "F-18", "77004003": "F-18", "C-131A3": "Ga-68", "18F": "F-18", "C-105A1": "C-11", "40565003": "C-11",
    "C-107A1": "N-13", "21576001": "N-13", "C-B1038": "O-15", "80751004": "Ga-68", "C-127A2": "Cu-64",
    "C-159A2": "Rb-82", "C-168A4": "Zr-89", "C-10C5B": "O-15",
}
_FDG = re.compile(r"(?i)\bf[- ]?18[- ]?fdg|fdg|fluoro-?2?-?deoxy|fluorodeoxyglucose")
_NOT_FDG = re.compile(
    r"(?i)psma|dota|choline|fluciclovine|\bnaf\b|sodium fluoride|\bfes\b|fluoroestradiol|fmiso|fapi|florbeta|flutemet"
    r"|\bflt\b|thymidine|\bfet\b|tyrosine|dopa|ammonia|rubidium|pib\b|tau\b|flortaucipir|acetate|methionine"
)
_SAME_HALF_LIFE = SUV_RULES.half_life_tolerance
# These must not differ between the slices of one PET.
_CONSTANT = ("Units", "DecayCorrection", "PatientWeight", "PatientSize", "CorrectedImage", "SUVType",
             "RadiopharmaceuticalInformationSequence", "SeriesDate", "SeriesTime")


def contradiction(headers: Sequence[Header]) -> str:
    """The first attribute in which the slices of a PET contradict each other; empty where there is none."""
    first = headers[0]
    for word in _CONSTANT:
        if any(header.get(word) != first.get(word) or (word in header.bad) for header in headers):
            return word
    return ""


def pet_header(headers: Sequence[Header]) -> PetHeader:
    """What the slices of one PET series say, for ``irae.quant.suv.suv_factor``.

    Raises:
        StudyError: If the first file's radiopharmaceutical cannot be read.
    """
    moments = [(moment, n) for n, header in enumerate(headers) if (moment := acquired_at(header.values)) is not None]
    acquired, earliest = min(moments) if moments else (None, 0)
    first = headers[earliest]
    drug = radiopharmaceutical(headers[0])
    ge, philips = (_own(first, *owner) for owner in (("GE", "GEMS_PETD_01"), ("Philips", "Philips PET Private Group")))
    duration = first.get("ActualFrameDuration")
    reference = first.get("FrameReferenceTime")
    size = first.get("PatientSize")
    zone: timedelta | None = utc_offset(first.text("TimezoneOffsetFromUTC"))
    return PetHeader(
        units=first.text("Units").upper() or None, suv_type=first.get("SUVType"),
        corrected_image=tuple(value.upper() for value in first.get("CorrectedImage", ())),
        decay_correction=first.get("DecayCorrection"), weight_kg=first.get("PatientWeight"),
        height_cm=height_cm(size), sex=first.get("PatientSex"),
        series_at=together(dicom_date(first.get("SeriesDate")), dicom_time(first.get("SeriesTime"))),
        acquired_at=acquired,
        frame_reference_s=None if reference is None else reference / 1000.0,
        frame_duration_s=None if duration is None else duration / 1000.0,
        decay_corrected_to=dicom_datetime(first.get("DecayCorrectionDateTime")),
        ge_scan_at=_naive(dicom_datetime(first.get("GEScanDateTime"))) if ge else None,
        injected_at=dicom_datetime(drug.get("start_datetime")), injected_time=dicom_time(drug.get("start_time")),
        utc_offset=zone, dose_bq=_float(drug.get("dose")), half_life_s=_float(drug.get("half_life")),
        nuclide=nuclide(drug),
        philips_suv_scale=first.get("PhilipsSUVScaleFactor") if philips else None,
        philips_activity_scale=first.get("PhilipsActivityScaleFactor") if philips else None,
    )


def _own(header: Header, maker: str, creator: str) -> bool:
    """Whether a maker's private attributes are the maker's: by their creator, else by the manufacturer's name."""
    said = header.text(f"{maker}PrivateCreator")
    return said == creator if said else maker.upper() in header.text("Manufacturer").upper()


def nuclide(drug: dict[str, str]) -> str | None:
    """The radionuclide by its code, else by the tracer's name; None where neither says it.

    Raises:
        StudyError: ``suv_header_contradicts`` where the tracer is FDG and its nuclide is not F-18.
    """
    coded = _NUCLIDES.get(drug.get("nuclide", ""))
    if tracer(drug)[0] is not True:
        return coded
    if coded not in (None, "F-18"):
        raise StudyError("suv_header_contradicts", f"the tracer is FDG, its nuclide {coded}")
    return "F-18"


def height_cm(patient_size_m: float | None) -> float | None:
    """DICOM Patient's Size (m) in cm where it is a person's; some systems write cm. None where absurd or missing."""
    if patient_size_m is None:
        return None
    if 0.3 <= patient_size_m <= 2.6:
        return patient_size_m * 100.0
    return patient_size_m if 30.0 <= patient_size_m <= 260.0 else None


def radiopharmaceutical(header: Header) -> dict[str, str]:
    """The one radiopharmaceutical item of a PET header as plain texts."""
    if header.get("RadiopharmaceuticalInformationSequence") is None:
        return {}
    dataset = read_dataset(header.file, pixels=False, tags=[0x00540016, 0x00080005])
    try:
        items = dataset.RadiopharmaceuticalInformationSequence
        if len(items) > 1:
            text = f"{header.file.name}: {len(items)} radiopharmaceuticals are named"
            raise StudyError("suv_header_contradicts", text)
        if not len(items):
            return {}
        item = items[0]
        words = {
            "name": "Radiopharmaceutical", "start_time": "RadiopharmaceuticalStartTime",
            "start_datetime": "RadiopharmaceuticalStartDateTime", "dose": "RadionuclideTotalDose",
            "half_life": "RadionuclideHalfLife",
        }
        drug = {word: str(item.get(keyword, "") or "").strip() for word, keyword in words.items()}
        for word, keyword in (("nuclide", "RadionuclideCodeSequence"), ("code", "RadiopharmaceuticalCodeSequence")):
            codes = item.get(keyword) or []
            if len(codes):
                drug[word] = str(codes[0].get("CodeValue", "") or "").strip()
                drug["name"] = f"{drug['name']} {codes[0].get('CodeMeaning', '') if word == 'code' else ''}".strip()
        return {word: value for word, value in drug.items() if value}
    except StudyError:
        raise
    except Exception as error:  # pydicom raises many kinds for values that do not convert
        raise StudyError(
            "suv_header_contradicts", f"{header.file.name}: radiopharmaceutical does not read ({type(error).__name__})"
        ) from error


def tracer(drug: dict[str, str]) -> tuple[bool | None, str]:
    """Whether the tracer is FDG (None where unknown), and what the header calls it, or its nuclide."""
    name = drug.get("name", "")
    if drug.get("code") in ("C-B1031", "35321007") or _FDG.search(name):
        return True, name or "FDG"
    if _NOT_FDG.search(name):
        return False, name
    coded, half_life = _NUCLIDES.get(drug.get("nuclide", "")), _float(drug.get("half_life")) or 0.0
    other = [n for n, s in HALF_LIFE_S.items() if n != "F-18" and abs(half_life / s - 1.0) <= _SAME_HALF_LIFE]
    if coded not in (None, "F-18") or (coded is None and other):
        return False, name or f"labelled with {coded or other[0]}"
    return None, name


def _naive(moment):  # type: ignore[no-untyped-def]
    return None if moment is None else moment.replace(tzinfo=None)


def _float(text: str | None) -> float | None:
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
