"""Why a file or series was used or not: every code with a sentence for a clinician, one for an engineer, what to do.

``docs/reference/archive.md`` is printed from this table (``python -m irae.io.archive.codes``); a test keeps them equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """What became of a file or series. Every file found ends in exactly one of them."""

    USED = "used"
    REPAIRED = "repaired"  # used, after a repair that the data itself proves right
    IGNORED = "ignored"  # fine, and not needed
    QUARANTINED = "quarantined"  # not fine: someone should look


@dataclass(frozen=True, slots=True)
class Reason:
    """One row of the table."""

    clinician: str
    engineer: str
    action: str


_NOTHING = "Nothing."
_RESEND = "Send the study again from the PACS."
_SUV = "Ask the PET site to correct the header, or read the PET without SUV."

REASONS: dict[str, Reason] = {
    # used
    "used": Reason("This image is part of the exam.", "Chosen for its role in the exam.", _NOTHING),
    "container": Reason(
        "An archive file; what is in it is listed by itself.",
        "A zip, known by its name or its content, that was opened; one row a member.", _NOTHING,
    ),
    "directory_record": Reason(
        "A table of contents of the disc; the images are listed by themselves.",
        "A DICOMDIR; its references were checked against the files found.", _NOTHING,
    ),
    "fetched": Reason(
        "A series of the PACS, fetched in full; its images are listed by themselves.",
        "Every instance that QIDO-RS or C-FIND lists is there.", _NOTHING,
    ),
    "suv_mapping_agrees": Reason(
        "A table of SUV factors in the study agrees with the SUV computed here.",
        "Real World Value Mapping within 1 % of the factor from the PET header.", _NOTHING,
    ),
    # repaired: used, after a repair that the data proves right
    "series_uid_missing": Reason(
        "The images do not say which series they belong to; they were grouped by what they have in common.",
        "Series Instance UID empty: grouped by study, series number, description, size and orientation.", _NOTHING,
    ),
    "gantry_tilt": Reason(
        "The scanner was tilted; the images were straightened.",
        "Slice positions are sheared against the slice normal; resampled in-plane onto an orthogonal grid.", _NOTHING,
    ),
    "duplicates_removed": Reason(
        "Some images came twice; one copy was used.",
        "Slices at the same position with the same pixels; the first was kept.", _NOTHING,
    ),
    "slices_unreadable_at_end": Reason(
        "The scan is shorter than it was sent: damaged images at its end were left out.",
        "Unusable files beyond the first or last usable slice; the rest is complete.", _RESEND,
    ),
    "files_left_aside": Reason(
        "A few images of the series fit nowhere in it and were left out; an end of the scan may be missing.",
        "Files of the series UID that differ in size, spacing, orientation, frame of reference or SOP class.", _RESEND,
    ),
    "damaged_files_beside": Reason(
        "Damaged files lie beside the scan; if they belong to it, an end of it is missing.",
        "Unreadable files of unknown series in the same folder; no gap inside the stack.", _RESEND,
    ),
    "fewer_slices_than_declared": Reason(
        "The scan has fewer images than it says; an end of it may be missing.",
        "Number of Slices (PET) or Images in Acquisition above the slices found; no gap inside.", _RESEND,
    ),
    "rescale_missing": Reason(
        "The header lacks the rescaling to HU; the values themselves are HU.",
        "Rescale Slope/Intercept missing; 1 and 0 assumed and air and soft tissue found where HU have them.", _NOTHING,
    ),
    "single_slice": Reason(
        "A single image, not a stack: volumes and extents cannot be measured on it.",
        "One slice; its thickness is taken from the header.", "Use the whole series if it exists.",
    ),
    "lossy_compression": Reason(
        "The images were compressed with loss; fine detail and exact values may differ.",
        "Lossy transfer syntax or Lossy Image Compression 01.", "Use the original images if they exist.",
    ),
    "loose_nifti": Reason(
        "An image file without patient and date; its name and values decided what it is.",
        "NIfTI outside <patient>/<YYYY-MM-DD>/{ct,pet_suv,mr_t1c}.nii.gz.", "Lay files out as documented.",
    ),
    "suv_repaired": Reason(
        "The SUV needed an inference that the header allows in one way only.",
        "See the decisions of the series, e.g. an injection across midnight.", "Check the injection time.",
    ),
    # ignored: fine, not needed
    "not_an_image": Reason("Not a medical image.", "Known other file type, or text.", _NOTHING),
    "symbolic_link": Reason(
        "A link, not a file; links are not followed.", "Symbolic links are never followed.", "Copy the files instead.",
    ),
    "not_a_regular_file": Reason("Not a file that can be read.", "FIFO, socket or device.", "Remove it."),
    "duplicate_file": Reason(
        "The same image came twice; one copy was used.",
        "Same SOP Instance UID; the same file, or another one with the same header values and pixels.", _NOTHING,
    ),
    "annotation": Reason(
        "Marks made by people or software on images.", "DICOM SEG, RTSTRUCT or a label map.",
        "Name it with segmenter=masks to use it.",
    ),
    "suv_mapping": Reason(
        "A table of SUV factors; the SUV is computed from the PET itself.",
        "Real World Value Mapping without a PET series of this exam to compare with.", _NOTHING,
    ),
    "suv_mapping_contradicts": Reason(
        "A table of SUV factors in the study contradicts the SUV computed here and was not believed.",
        "Real World Value Mapping differs from the factor from the PET header by more than 1 %.",
        "Ask who made the table; factors for kBq/mL are 1000 times off.",
    ),
    "not_for_this_use": Reason(
        "A kind of object that is not needed here.", "SOP class or modality that no role uses.", _NOTHING
    ),
    "localizer": Reason("A planning image, not a scan.", "Image Type or description says localizer.", _NOTHING),
    "derived_image": Reason(
        "A picture made from a scan (projection, subtraction, reformat, screen capture), not the scan.",
        "Image Type, SOP class or description says so.", _NOTHING,
    ),
    "not_chosen": Reason(
        "Another series of this exam fits better.", "Scored below the chosen series of its role.", _NOTHING
    ),
    "pet_not_attenuation_corrected": Reason(
        "A PET without attenuation correction cannot give SUV.", "Corrected Image lacks ATTN, or it is named NAC.",
        _NOTHING,
    ),
    "pet_dynamic_or_gated": Reason(
        "A dynamic or gated PET; a static one is needed.", "Series Type is not STATIC or WHOLE BODY.", _NOTHING
    ),
    "tracer_not_fdg": Reason(
        "The PET tracer is not FDG; the rules here are for FDG.", "Radiopharmaceutical names another tracer.", _NOTHING
    ),
    "mr_not_head": Reason("The MR is not of the head.", "Body part, description or field of view.", _NOTHING),
    "mr_not_t1": Reason("The MR is not T1-weighted.", "Description, sequence, TR and TE.", _NOTHING),
    "mr_not_contrast_enhanced": Reason(
        "The MR does not say that contrast was given.", "No contrast agent, nothing in the description.", _NOTHING
    ),
    "role_unknown": Reason(
        "It is not clear what this image shows.", "Neither the file name nor the values give CT, PET in SUV or T1c MR.",
        "Name it ct, pet_suv or mr_t1c.",
    ),
    # quarantined: files
    "not_fetched": Reason(
        "A series of the PACS that did not come in full; it was not used.",
        "Missing of the listed instances after all attempts, or refused; the text says why.",
        "Run again; what came is kept. If it stays, ask the PACS administrator.",
    ),
    "empty_file": Reason("The file is empty.", "0 bytes.", _RESEND),
    "unreadable": Reason("The file could not be opened.", "Permission or device error.", "Check the rights."),
    "not_dicom": Reason("The file is not a readable image.", "Neither DICOM nor NIfTI, or damaged.", _RESEND),
    "header_broken": Reason("The image's header is damaged.", "The DICOM header does not parse.", _RESEND),
    "truncated": Reason("The image is cut off.", "Less pixel data than the header declares.", _RESEND),
    "no_pixels": Reason("An image object without an image.", "Pixel Data is missing.", _RESEND),
    "too_large": Reason(
        "The file declares an absurd size and was not opened.", "Declared size above the limit or the bytes present.",
        "Check where it came from.",
    ),
    "conflicting_instance": Reason(
        "Two different images carry the same identity; neither was used.",
        "Same SOP Instance UID, different content.", "Ask the PACS which is right.",
    ),
    "changed_meanwhile": Reason(
        "The images changed while they were read, so they were not used.",
        "Size or time of a file is no longer what the index saw.", "Run again once the transfer has ended.",
    ),
    "unsafe_member": Reason(
        "A file in the archive has a dangerous name and was not unpacked.",
        "Zip member absolute, with .., a link or a device.", "Check where the archive came from.",
    ),
    "zip_encrypted": Reason("The archive needs a password.", "Encrypted zip member.", "Unpack it first."),
    "zip_broken": Reason("The archive is damaged.", "Bad zip, CRC or compression.", _RESEND),
    "zip_bomb": Reason(
        "The archive would unpack to an absurd size and was not opened.", "Ratio, size, count or depth over the limit.",
        "Check where it came from.",
    ),
    "missing_referenced_file": Reason(
        "The disc's table of contents names an image that is not there.", "DICOMDIR reference without a file.", _RESEND
    ),
    "unsafe_reference": Reason(
        "The disc's table of contents points outside the disc.", "DICOMDIR reference with .. or absolute.",
        "Check where it came from.",
    ),
    # quarantined: series
    "identity_contradicts": Reason(
        "The images of one series name different patients or dates.",
        "Patient ID, Study Instance UID or Study Date differ within a Series Instance UID.", "Ask the PACS.",
    ),
    "date_missing": Reason(
        "The images have no date, so their place in the course is unknown.", "No usable DA among the four dates.",
        "Correct the header.",
    ),
    "geometry_missing": Reason(
        "The images do not say where they lie in the body.", "Image Position or Orientation (Patient) missing.", _RESEND
    ),
    "orientation_invalid": Reason(
        "The images contradict themselves about their orientation.", "Direction cosines not orthonormal.", _RESEND
    ),
    "spacing_invalid": Reason(
        "The size of the image's pixels is unknown.", "Pixel Spacing missing, not positive or not a number.", _RESEND
    ),
    "slice_thickness_missing": Reason(
        "A single image without a thickness.", "One slice, no Slice Thickness or Spacing Between Slices.", _RESEND
    ),
    "missing_slice": Reason(
        "Images are missing inside the scan.", "A gap is a multiple of the slice distance.", _RESEND
    ),
    "blank_slice": Reason(
        "An image inside the scan is empty.", "All pixels of a slice between others are the same.", _RESEND
    ),
    "modality_contradicts": Reason(
        "The images contradict themselves about what kind of scan they are.",
        "Modality is not that of the SOP class.", "Ask who sent or converted them.",
    ),
    "uneven_spacing": Reason(
        "The distances between images differ.", "Slice distances not constant within tolerance.", _RESEND
    ),
    "positions_not_on_a_line": Reason(
        "The images are not stacked in one direction.", "Image positions leave the straight line.", _RESEND
    ),
    "duplicate_position": Reason(
        "Different images claim the same place in the body.", "Same position, different pixels, no attribute splits.",
        "Send the phases as series of their own.",
    ),
    "series_torn": Reason(
        "Each image of the scan names a series of its own, so the scan was not put together.",
        "Single-slice series at different places; Series Instance UIDs were probably remade for every file.", _RESEND,
    ),
    "mixed_series": Reason(
        "Images of different kinds are mixed in one series.", "Size, spacing, type or frame of reference differ.",
        _RESEND,
    ),
    "rescale_invalid": Reason(
        "The image's values cannot be scaled.", "Rescale Slope or Intercept zero, absurd or not a number.", _RESEND
    ),
    "pixel_format_unsupported": Reason(
        "The image is not a greyscale scan.", "Samples per pixel, photometric interpretation or bits.", _NOTHING
    ),
    "codec_missing": Reason(
        "The image's compression cannot be read here.", "No decoder for the transfer syntax.",
        "Install irae[jpeg-lossless], or send it uncompressed.",
    ),
    "pixels_broken": Reason("The image data is damaged.", "Decoding failed or gave another shape.", _RESEND),
    "values_not_finite": Reason("The image has undefined values.", "NaN or Inf voxels.", _RESEND),
    "hu_implausible": Reason(
        "The CT's values are not Hounsfield units.", "Neither air nor soft tissue where HU have them.",
        "Check for windowed or rescaled exports.",
    ),
    "suv_implausible": Reason(
        "The PET's SUV values are impossible.", "Body uptake outside what a person can have.", _SUV
    ),
    "quantity_contradicts": Reason(
        "The file's name and its values contradict each other.", "E.g. named ct, values not HU.", "Rename the file."
    ),
    "multiframe_inconsistent": Reason(
        "The frames of one image contradict each other.", "Per-frame functional groups incomplete or mixed.", _RESEND
    ),
    "nifti_broken": Reason("The image file is damaged.", "NIfTI header or data do not read.", "Convert it again."),
    "nifti_shape": Reason("The image file is not one volume.", "Not three dimensions.", "Split it."),
    "nifti_geometry": Reason(
        "The image file does not say where it lies in the body.", "sform and qform missing, singular or contradicting.",
        "Convert it again.",
    ),
    # quarantined: SUV
    "suv_units_missing": Reason("The PET does not name its units.", "Units (0054,1001) missing.", _SUV),
    "suv_units_unsupported": Reason(
        "The PET's units cannot be turned into SUV.", "Units not BQML, GML or Philips CNTS.", _SUV
    ),
    "suv_type_unsupported": Reason("The PET's kind of SUV cannot be used.", "SUV Type BSA, IBW, LBM ...", _SUV),
    "suv_counts_without_factor": Reason(
        "The PET is in counts without its factor.", "CNTS, no (7053,1000) and no (7053,1009).", _SUV
    ),
    "suv_weight_missing": Reason("The patient's weight is missing.", "Patient Weight missing or 0.", _SUV),
    "suv_weight_absurd": Reason("The patient's weight is absurd.", "Patient Weight outside the limits.", _SUV),
    "suv_dose_missing": Reason("The injected dose is missing.", "Radionuclide Total Dose missing or 0.", _SUV),
    "suv_dose_absurd": Reason("The injected dose is absurd.", "Radionuclide Total Dose outside the limits.", _SUV),
    "suv_half_life_missing": Reason("The half-life is missing.", "Radionuclide Half Life missing or 0.", _SUV),
    "suv_half_life_absurd": Reason("The half-life does not fit the tracer.", "Radionuclide Half Life.", _SUV),
    "suv_not_decay_corrected": Reason(
        "The PET is not decay-corrected.", "Decay Correction not START/ADMIN, or no DECY.", _SUV
    ),
    "suv_time_missing": Reason("The time of the scan is missing.", "Acquisition Date/Time missing.", _SUV),
    "suv_time_contradiction": Reason("The PET's times contradict each other.", "Series and acquisition time.", _SUV),
    "suv_time_zone_unknown": Reason(
        "The time zone of the injection is unclear.", "DT has an offset, (0008,0201) is missing.", _SUV
    ),
    "suv_injection_time_missing": Reason("The time of injection is missing.", "(0018,1072) and (0018,1078).", _SUV),
    "suv_injection_after_scan": Reason("The injection is after the scan.", "Injection time after the scan.", _SUV),
    "suv_uptake_absurd": Reason("Too long from injection to scan.", "Uptake time over the limit.", _SUV),
    "suv_header_contradicts": Reason(
        "The PET's images contradict each other about dose, weight or units.",
        "Differs between slices, or between attributes that say the same.", _SUV,
    ),
    "internal_error": Reason(
        "The program failed on this series; the rest was done.", "Unexpected exception; the text names its type.",
        "Report it with the text.",
    ),
}


def as_markdown() -> str:
    """The table as ``docs/reference/archive.md`` shows it."""
    lines = ["| code | for a clinician | for an engineer | what to do |", "| --- | --- | --- | --- |"]
    lines += [f"| `{code}` | {r.clinician} | {r.engineer} | {r.action} |" for code, r in REASONS.items()]
    return "\n".join(lines)


if __name__ == "__main__":
    print(as_markdown())
