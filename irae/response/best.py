"""Best overall response from the responses at each visit: RECIST 1.1 Table 3, iRECIST, and the admiralonco profile."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from irae.response.options import Options
from irae.response.values import Reason

Given = tuple[date, str]

_IRECIST_ORDER = ("iCR", "iPR", "iSD", "NON-iCR/NON-iUPD", "iCPD", "iUPD", "NE")
_DISEASE = frozenset({"CR", "PR", "SD"})
_NON = "NON-CR/NON-PD"


@dataclass(frozen=True, slots=True, kw_only=True)
class Best:
    """The best overall response, the first date that carries it, remarks, and why."""

    category: str
    on: date | None
    flags: tuple[str, ...] = ()
    reasons: tuple[Reason, ...] = ()


def best_overall_response(responses: Sequence[Given], options: Options, reference: date | None) -> Best:
    """RECIST 1.1 best overall response (rule R11-BOR), or the profile that the options name.

    Args:
        responses: (date, RECIST word), oldest first.
        options: confirmation_required, confirm_min_days, sd_min_days, max_intervening_ne, cr_then_disease, profile.
        reference: Start of treatment, for the least duration of stable disease; None: the duration counts as met.
    """
    if options.profile:
        return _admiralonco(responses, options, reference)
    kept = _until_progression(responses)
    flags: list[str] = []
    if options.confirmation_required:
        best = _confirmed(kept, options)
    else:
        best = next(
            (Best(category=word, on=on, reasons=(("R11-BOR", f"{word} on {on}; no confirmation is asked for."),))
             for word in ("CR", "PR") for on, given in kept if given == word),
            None,
        )
    cr_at = next((i for i, (_, word) in enumerate(kept) if word == "CR"), None)
    if cr_at is not None and any(word in ("PR", "SD") for _, word in kept[cr_at + 1:]):
        flags.append("cr_then_disease")
        if options.cr_then_disease == "pd":
            on = next(on for on, word in kept[cr_at + 1:] if word in ("PR", "SD"))
            met = _stable_since(kept[: cr_at + 1], options, reference)
            category = "SD" if met is not None else "PD"
            text = f"Disease on {on} after a complete response is progression (DEC-06)."
            if best is None or best.category != "CR":
                return Best(category=category, on=met or on, flags=tuple(flags), reasons=(("R11-BOR", text),))
    if best is not None:
        return Best(category=best.category, on=best.on, flags=tuple(flags), reasons=best.reasons)
    return _without_response(kept, options, reference, tuple(flags))


def _until_progression(responses: Sequence[Given]) -> list[Given]:
    kept: list[Given] = []
    for on, word in responses:
        kept.append((on, word))
        if word == "PD":
            break
    return kept


def _confirmed(kept: list[Given], options: Options) -> Best | None:
    """A CR by a later CR, else a PR by a later PR or CR, at least the confirmation interval later."""
    for word, first, later, between in (
        ("CR", ("CR",), ("CR",), ("CR", "NE")),
        ("PR", ("PR", "CR"), ("PR", "CR"), ("PR", "CR", "NE")),
    ):
        for i, (on, given) in enumerate(kept):
            if given not in first:
                continue
            gaps = 0
            for then, confirming in kept[i + 1:]:
                if confirming in later and (then - on).days >= options.confirm_min_days:
                    text = f"{given} on {on} is confirmed by {confirming} on {then}."
                    return Best(category=word, on=on, reasons=(("R11-BOR", text),))
                gaps += confirming == "NE"
                if confirming not in between or gaps > options.max_intervening_ne:
                    break
    return None


def _stable_since(kept: Sequence[Given], options: Options, reference: date | None) -> date | None:
    """First visit with disease control far enough from the start; None where the duration is not met."""
    return next(
        (on for on, word in kept
         if word in _DISEASE and (reference is None or (on - reference).days >= options.sd_min_days)),
        None,
    )


def _without_response(
    kept: list[Given], options: Options, reference: date | None, flags: tuple[str, ...]
) -> Best:
    since = _stable_since(kept, options, reference)
    if since is not None:
        text = f"No response is confirmed; disease control on {since} lasts the least {options.sd_min_days} days."
        return Best(category="SD", on=since, flags=flags, reasons=(("R11-BOR", text),))
    for word in (_NON, "PD", "NED"):
        on = next((on for on, given in kept if given == word), None)
        if word == _NON and on is not None:
            on = next((o for o, g in kept if g == _NON
                       and (reference is None or (o - reference).days >= options.sd_min_days)), None)
        if on is not None:
            text = f"{word} on {on} is the best there is."
            return Best(category=word, on=on, flags=flags, reasons=(("R11-BOR", text),))
    on = kept[0][0] if kept else None
    return Best(category="NE", on=on, flags=flags, reasons=(("R11-BOR", "No visit qualifies for a response."),))


def _admiralonco(responses: Sequence[Given], options: Options, reference: date | None) -> Best:
    """Best overall response as pharmaverse/admiralonco derives it (rule ADM-BOR, from its documentation)."""
    last = options.first_pd_date
    kept = [(on, word) for on, word in responses if last is None or on <= last]
    found: list[tuple[int, date, str]] = []
    confirmed = options.profile == "admiralonco_confirmed_bor"
    for i, (on, word) in enumerate(kept):
        in_window = reference is None or (on - reference).days >= options.ref_start_window
        if word == "CR" and (not confirmed or _adm_confirms(kept, i, options, ("CR",), ("CR", "NE"))):
            found.append((1, on, "CR"))
        if word == "PR" and (
            not confirmed or _adm_confirms(kept, i, options, ("CR", "PR"), ("CR", "PR", "SD", "NE"))
        ):
            found.append((2, on, "PR"))
        if word in _DISEASE:
            found.append((3, on, "SD") if in_window else (6, on, "NE"))
        elif word == _NON:
            found.append((4, on, _NON) if in_window else (6, on, "NE"))
        elif word == "PD":
            found.append((5, on, "PD"))
        elif word == "NE":
            found.append((6, on, "NE"))
        elif word == "ND":
            found.append((7, on, "ND"))
    if not found:
        category = "NE" if options.missing_as_ne else "MISSING"
        return Best(category=category, on=None, reasons=(("ADM-BOR", "There is no assessment."),))
    rank, on, category = min(found)
    return Best(category=category, on=on, reasons=(("ADM-BOR", f"{category} on {on}, rank {rank} of the profile."),))


def _adm_confirms(
    kept: list[Given], i: int, options: Options, later: tuple[str, ...], between: tuple[str, ...]
) -> bool:
    """Whether the first later assessment that could confirm record i does, with what lies between."""
    on, word = kept[i]
    run: list[Given] = []
    for then, given in kept[i + 1:]:
        run.append((then, given))
        if given in later and (then - on).days >= options.ref_confirm:
            break
    else:
        return False
    words = [given for _, given in run]
    if any(w not in between for w in words) or words.count("NE") > options.max_nr_ne:
        return False
    if word == "CR":
        return True
    if words.count("SD") > int(options.accept_sd):
        return False
    first_cr = min((then for then, given in run if given == "CR"), default=None)
    last_pr = max((then for then, given in run if given == "PR"), default=None)
    return first_cr is None or last_pr is None or first_cr > last_pr


def best_irecist(responses: Sequence[Given], options: Options, reference: date | None) -> Best:
    """iBOR (rule IR-B1): the best response up to the first iCPD; with confirmation asked for, as RECIST 1.1."""
    kept: list[Given] = []
    for on, word in responses:
        kept.append((on, word))
        if word == "iCPD":
            break
    if options.confirmation_required:
        return _confirmed_irecist(kept, options, reference)
    for word in _IRECIST_ORDER:
        found = next((on for on, given in kept if given == word), None)
        if found is not None:
            text = f"{word} on {found} is the best up to progression."
            return Best(category=word, on=found, reasons=(("IR-B1", text),))
    if any(word == "NED" for _, word in kept):
        return Best(category="NED", on=kept[0][0], reasons=(("IR-B1", "There was no disease."),))
    return Best(category="NE", on=None, reasons=(("IR-B1", "No visit qualifies."),))


_AS_RECIST = {"iCR": "CR", "iPR": "PR", "iSD": "SD", "NON-iCR/NON-iUPD": _NON, "iUPD": "UPD"}


def _confirmed_irecist(kept: list[Given], options: Options, reference: date | None) -> Best:
    words = [(on, _AS_RECIST.get(word, word)) for on, word in kept]
    best = _confirmed(words, options)
    if best is not None:
        return Best(category="i" + best.category, on=best.on, reasons=(("IR-B1", best.reasons[0][1]),))
    since = _stable_since(words, options, reference)
    if since is not None:
        return Best(category="iSD", on=since, reasons=(("IR-B1", "No response is confirmed; stable long enough."),))
    for word in _IRECIST_ORDER[3:]:
        found = next((on for on, given in kept if given == word), None)
        if found is not None:
            return Best(category=word, on=found, reasons=(("IR-B1", f"{word} on {found}."),))
    on = kept[0][0] if kept else None
    return Best(category="NE", on=on, reasons=(("IR-B1", "No visit qualifies."),))
