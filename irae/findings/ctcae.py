"""CTCAE v5.0 beside radiological severity: the words a clinician grades by, never a grade given here.

CTCAE grades the patient (symptoms, laboratory, intervention). Abridged from the v5.0 table; LLT are MedDRA codes. There
is no CTCAE v5.0 term for hepatitis or thyroiditis: they are graded through enzymes and through thyroid function.
"""

from __future__ import annotations

from dataclasses import dataclass

from irae.core.anatomy import AnyIrae, FurtherIrae, Irae

VERSION = "5.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class CtcaeTerm:
    """One term: its name, MedDRA LLT code, and what grades 1 to 4 say (``-`` where a grade does not exist)."""

    term: str
    llt: str
    grades: tuple[str, str, str, str]


_ENDOCRINE = (
    "asymptomatic", "symptomatic; replacement or suppression", "severe; hospitalised", "life-threatening",
)
_ENZYMES = (">ULN-3x", ">3-5x", ">5-20x", ">20x")
_HYPOPHYSITIS = CtcaeTerm(
    term="Hypophysitis", llt="10062767",
    grades=("asymptomatic or mild", "moderate; minimal intervention", "severe; hospitalised", "life-threatening"),
)

CTCAE: dict[AnyIrae, tuple[CtcaeTerm, ...]] = {
    Irae.COLITIS: (
        CtcaeTerm(term="Colitis", llt="10009887", grades=(
            "asymptomatic, observation", "abdominal pain; mucus or blood in stool", "severe pain; peritoneal signs",
            "life-threatening")),
        CtcaeTerm(term="Diarrhea", llt="10012727", grades=(
            "<4 stools a day over baseline", "4-6 stools", ">=7 stools; hospitalised", "life-threatening")),
    ),
    Irae.PNEUMONITIS: (
        CtcaeTerm(term="Pneumonitis", llt="10035742", grades=(
            "asymptomatic", "symptomatic; medical intervention", "severe; limits self-care; oxygen",
            "life-threatening; intubation")),
    ),
    Irae.THYROIDITIS: (
        CtcaeTerm(term="Hypothyroidism", llt="10021114", grades=_ENDOCRINE),
        CtcaeTerm(term="Hyperthyroidism", llt="10020850", grades=_ENDOCRINE),
    ),
    Irae.HEPATITIS: (
        CtcaeTerm(term="Alanine aminotransferase increased", llt="10001551", grades=_ENZYMES),
        CtcaeTerm(term="Aspartate aminotransferase increased", llt="10003481", grades=_ENZYMES),
        CtcaeTerm(term="Blood bilirubin increased", llt="10005364", grades=(">ULN-1.5x", ">1.5-3x", ">3-10x", ">10x")),
    ),
    Irae.HYPOPHYSITIS: (_HYPOPHYSITIS,),
    FurtherIrae.PANCREATITIS: (
        CtcaeTerm(term="Pancreatitis", llt="10033645", grades=(
            "-", "enzyme elevation; radiologic findings only", "severe pain or vomiting", "life-threatening")),
        CtcaeTerm(term="Lipase increased", llt="10024574", grades=(
            ">ULN-1.5x", ">1.5-2x; 2-5x without symptoms", "2-5x with symptoms; >5x without", ">5x with symptoms")),
    ),
    FurtherIrae.SARCOID_LIKE: (
        CtcaeTerm(term="Immune system disorders - other", llt="10021428", grades=(
            "asymptomatic", "moderate; minimal intervention", "severe; hospitalised", "life-threatening")),
    ),
    FurtherIrae.ARTHRITIS: (
        CtcaeTerm(term="Arthritis", llt="10003246", grades=(
            "mild pain and inflammation", "moderate; limits instrumental activities", "severe; joint damage", "-")),
    ),
    FurtherIrae.ENTERITIS: (
        CtcaeTerm(term="Enterocolitis", llt="10014893", grades=(
            "asymptomatic", "pain; mucus or blood", "severe pain; fever; ileus; peritoneal signs", "life-threatening")),
    ),
    FurtherIrae.GASTRITIS: (
        CtcaeTerm(term="Gastritis", llt="10017853", grades=(
            "asymptomatic", "symptomatic", "parenteral nutrition or hospital", "urgent operation")),
    ),
    FurtherIrae.ADRENALITIS: (
        CtcaeTerm(term="Adrenal insufficiency", llt="10001367", grades=(
            "asymptomatic", "moderate; intervention", "severe; hospitalised", "life-threatening")),
    ),
    FurtherIrae.CHOLANGITIS: (
        CtcaeTerm(term="Bile duct stenosis", llt="10051341", grades=(
            "asymptomatic", "symptomatic", "invasive intervention", "urgent operation")),
    ),
    FurtherIrae.MYOSITIS: (
        CtcaeTerm(term="Myositis", llt="10028653", grades=(
            "mild pain", "pain with weakness", "severe weakness", "life-threatening")),
    ),
}
