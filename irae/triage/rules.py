"""Which answers are actionable, and how soon."""

from __future__ import annotations

from dataclasses import dataclass, field

from irae.core.anatomy import AnyIrae, FurtherIrae, Irae


@dataclass(frozen=True, slots=True, kw_only=True)
class TriageRules:
    """ACR actionable categories (1 minutes, 2 hours, 3 days) of what this project can see. Mapping: design values.

    Attributes:
        category: irAE to radiological severity to category.
        emergency_evidence: Evidence of a suspected irAE that makes it category 1, and how it is said.
        bands: Category to the least and largest score; None is an exam with nothing actionable.
        radiotherapy_days: Pneumonitis is category 2 at any severity this long after radiotherapy of the chest.
        chest_words: Words of a radiotherapy site that mean the chest.
    """

    category: dict[AnyIrae, dict[int, int]] = field(
        default_factory=lambda: {
            Irae.COLITIS: {1: 3, 2: 2, 3: 2},
            Irae.PNEUMONITIS: {1: 3, 2: 2, 3: 1},
            Irae.THYROIDITIS: {1: 3, 2: 3, 3: 3},
            Irae.HEPATITIS: {1: 3, 2: 3, 3: 2},
            Irae.HYPOPHYSITIS: {1: 3, 2: 2, 3: 2},
            FurtherIrae.PANCREATITIS: {1: 2, 2: 2, 3: 2},
            FurtherIrae.SARCOID_LIKE: {1: 3, 2: 3, 3: 3},
            FurtherIrae.ARTHRITIS: {1: 3, 2: 3, 3: 3},
            FurtherIrae.ENTERITIS: {1: 3, 2: 2, 3: 2},
            FurtherIrae.GASTRITIS: {1: 3, 2: 3, 3: 3},
            FurtherIrae.ADRENALITIS: {1: 3, 2: 3, 3: 3},
            FurtherIrae.CHOLANGITIS: {1: 3, 2: 3, 3: 3},
            FurtherIrae.MYOSITIS: {1: 3, 2: 3, 3: 3},
        }
    )
    emergency_evidence: dict[str, str] = field(
        default_factory=lambda: {
            "toxic_dilatation": "the colon is wider than 6 cm: toxic dilatation must be excluded",
            "free_gas": "gas outside the bowel: perforation must be excluded",
            "chiasm_contact": "the pituitary touches the chiasm: no dark cistern is left between them",
            "chiasm_reach": "the pituitary is tall enough to reach the chiasm",
        }
    )
    bands: dict[int | None, tuple[float, float]] = field(
        default_factory=lambda: {1: (0.85, 1.0), 2: (0.6, 0.85), 3: (0.35, 0.6), None: (0.0, 0.35)}
    )
    radiotherapy_days: int = 182
    chest_words: tuple[str, ...] = ("lung", "chest", "thora", "mediast", "breast")


TRIAGE_RULES = TriageRules()
