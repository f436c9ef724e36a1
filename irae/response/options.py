"""The contested points of the literature as named options: what this project does, and what else is done elsewhere.

Every option that answers a decision says so by its number (DEC-01 ... DEC-16); ``DECISIONS`` lists them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """One contested point: the option that answers it, the default first among its values."""

    id: str
    option: str
    values: tuple[object, ...]
    question: str


DECISIONS: tuple[Decision, ...] = (
    Decision(id="DEC-01", option="pr_persistence", values=("eortc_faq", "strict"),
             question="Does a partial response persist while the sum drifts above -30 % without progression?"),
    Decision(id="DEC-02", option="nadir_zero", values=("absolute", "never_pd"),
             question="Nadir 0 without an overall CR: does +5 mm alone make progression?"),
    Decision(id="DEC-03", option="normal_nodes", values=("cr", "pd"),
             question="All target nodes under 10 mm but their sum up by 20 % and 5 mm: CR or PD?"),
    Decision(id="DEC-04", option="nadir_visits", values=("complete_sums", "evaluable_visits"),
             question="Which visits feed the nadir: every complete sum, or only visits that are not NE overall?"),
    Decision(id="DEC-05", option="node_slices", values=("max_15_or_2_slices", "15_mm"),
             question="Least short axis of a measurable node where slices are thicker than 5 mm"),
    Decision(id="DEC-06", option="cr_then_disease", values=("best_qualifying", "pd"),
             question="Given responses hold a CR followed by PR or SD"),
    Decision(id="DEC-07", option="max_intervening_ne", values=(1, 0, 99),
             question="How many NE may lie between a response and its confirmation"),
    Decision(id="DEC-08", option="residual_new_lesion", values=("ipr", "icr"),
             question="All original disease gone while a new lesion persists"),
    Decision(id="DEC-09", option="late_confirmation", values=("confirms", "not_usable"),
             question="May a scan later than 8 weeks confirm progression"),
    Decision(id="DEC-10", option="further_increase_from",
             values=("smallest_since_iupd", "iupd_visit", "previous_visit"),
             question="What a further increase of 5 mm is measured from"),
    Decision(id="DEC-11", option="unchanged_non_target_progression", values=("ipr", "iupd"),
             question="Non-target progression unchanged while targets newly fall to PR or CR"),
    Decision(id="DEC-12", option="new_lesion_clears", values=("category_or_5_mm", "any_decrease", "never"),
             question="When does an iUPD by a new lesion clear although the lesion persists unchanged"),
    Decision(id="DEC-13", option="irrecist_new_non_measurable", values=("irpr", "irsd"),
             question="irRECIST: targets in PR plus a new non-measurable lesion"),
    Decision(id="DEC-14", option="percist_pmd_at_30", values=("above_30", "at_least_30"),
             question="PERCIST: is exactly +30.0 % progression"),
    Decision(id="DEC-15", option="hpd_without_growth_before", values=("undefined", "hpd"),
             question="Growth ratio where the tumour did not grow before treatment"),
    Decision(id="DEC-16", option="iupd_then_only_ne", values=("undetermined", "no"),
             question="iUPD followed by NE only: is it pseudoprogression"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How to score. Days are whole days; the defaults are this project's (``docs/reference/criteria.md``).

    Raises:
        ValueError: If a value is not one of the decision's, or a number of days is negative.
    """

    pr_persistence: str = "eortc_faq"
    nadir_zero: str = "absolute"
    normal_nodes: str = "cr"
    nadir_visits: str = "complete_sums"
    node_slices: str = "max_15_or_2_slices"
    cr_then_disease: str = "best_qualifying"
    max_intervening_ne: int = 1
    residual_new_lesion: str = "ipr"
    late_confirmation: str = "confirms"
    further_increase_from: str = "smallest_since_iupd"
    unchanged_non_target_progression: str = "ipr"
    new_lesion_clears: str = "category_or_5_mm"
    irrecist_new_non_measurable: str = "irpr"
    percist_pmd_at_30: str = "above_30"
    hpd_without_growth_before: str = "undefined"
    iupd_then_only_ne: str = "undetermined"
    # Windows: iRECIST 4 to 8 weeks; RECIST 1.1 confirmation >= 4 weeks and stable disease >= 6 weeks.
    early_scan_min_days: int = 28
    early_scan_tolerance_days: int = 0
    late_scan_days: int = 56
    confirmation_required: bool = False
    confirm_min_days: int = 28
    sd_min_days: int = 42
    month_days: float = 30.4375
    reference_date: date | None = None
    # Bohnsack's irRECIST (ESMO 2014) lets non-target and new non-measurable disease define irPD; Nishino's does not.
    irrecist_non_target_pd: bool = False
    # The admiralonco profile of best overall response (rule ADM-BOR).
    profile: str = ""
    ref_start_window: int = 28
    ref_confirm: int = 28
    max_nr_ne: int = 1
    accept_sd: bool = False
    missing_as_ne: bool = False
    first_pd_date: date | None = None
    lbm_formula: str = "janmahasatian"

    def __post_init__(self) -> None:
        for decision in DECISIONS:
            value = getattr(self, decision.option)
            if decision.option == "max_intervening_ne":
                continue
            if value not in decision.values:
                raise ValueError(
                    f"option {decision.option} ({decision.id}) must be one of {decision.values}, got {value!r}"
                )
        for name in ("max_intervening_ne", "early_scan_min_days", "early_scan_tolerance_days", "late_scan_days",
                     "confirm_min_days", "sd_min_days", "ref_start_window", "ref_confirm", "max_nr_ne"):
            if getattr(self, name) < 0:
                raise ValueError(f"option {name} must not be negative, got {getattr(self, name)}")
        if self.month_days <= 0:
            raise ValueError(f"option month_days must be positive, got {self.month_days}")
        if self.profile not in ("", "admiralonco_bor", "admiralonco_confirmed_bor"):
            raise ValueError(
                f"option profile must be admiralonco_bor or admiralonco_confirmed_bor, got {self.profile!r}"
            )

    def with_values(self, values: Mapping[str, object]) -> Options:
        """These options with some values changed, by option name or by decision number (``DEC-01``).

        Raises:
            ValueError: If an option is unknown or its value does not fit.
        """
        by_decision = {d.id: d.option for d in DECISIONS}
        known = {f.name for f in fields(self)}
        named = {by_decision.get(name, name): value for name, value in values.items()}
        unknown = sorted(set(named) - known)
        if unknown:
            raise ValueError(f"unknown option {unknown[0]!r}; known are {', '.join(sorted(known))}")
        return replace(self, **named)  # type: ignore[arg-type]


DEFAULT_OPTIONS = Options()
