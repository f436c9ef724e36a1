"""A short notation for worked cases, so that a golden file reads like a table of a paper.

A visit is ``day: part | part``; the first is the baseline. Parts:

    T 40 18n ts - ? 15+10 m1 40x30   targets T1, T2, ...: diameter in mm, n: node (short axis), ts: too small,
                                     -: absent, ?: not evaluated, 15+10: fragments,
                                     m1: merged into T1, 40x30: both diameters;
                                     a leading i: injected
    NT p a U U+ p+ ? U=              non-targets: present, absent, unequivocal progression, not evaluated; + grew, = not
    NL L1:12 L2:nt L3:12n L4:q       new lesions: size, nt: seen only, q: equivocal, -: gone, ?: not evaluated;
                                     size/nt: followed as non-target; ^ grew, ^^ grew unequivocally, = unchanged
    S 8 5.6* 9! 1.2b ? P9=4          SULpeak of P1, P2, ...: * new, ! irAE, b background
    L 1.8/0.2, B 1.2/0.1, t 60       liver or blood pool (mean/SD, SUL), uptake time in min
    overall CR, burden 130, sum 100, det (clinical deterioration), stop (treatment stopped), sym (symptom-driven)
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any

DAY_ZERO = date(2024, 1, 8)
SITES = ("liver", "lung", "adrenal", "bone", "spleen", "kidney")


def on(day: int) -> str:
    return (DAY_ZERO + timedelta(days=day)).isoformat()


def case(entry: Mapping[str, Any]) -> dict[str, Any]:
    """One golden entry as a case of the case-file format."""
    nodes: set[int] = set()
    return {
        "id": entry["id"],
        "criterion": entry["criterion"],
        "level": entry.get("level", "measurement"),
        "options": dict(entry.get("options") or {}),
        "imaging": entry.get("imaging"),
        "ask": entry.get("ask"),
        "timepoints": [
            visit(text, number, nodes, bool(entry.get("no_baseline"))) for number, text in enumerate(entry["visits"])
        ],
    }


def visit(text: str, number: int, nodes: set[int], no_baseline: bool) -> dict[str, Any]:
    day, _, parts = text.partition(":")
    raw: dict[str, Any] = {"id": f"V{number}", "date": on(int(day)), "targets": [], "non_targets": [],
                           "new_lesions": []}
    raw["kind"] = "prebaseline" if int(day) < 0 else ("baseline" if int(day) == 0 and not no_baseline else "followup")
    pet: dict[str, Any] = {}
    for part in filter(None, (p.strip() for p in parts.split("|"))):
        word, *items = part.split()
        if word == "T":
            raw["targets"] = [target(i, item, nodes) for i, item in enumerate(items, start=1)]
        elif word == "NT":
            raw["non_targets"] = [non_target(i, item) for i, item in enumerate(items, start=1)]
        elif word == "NL":
            raw["new_lesions"] = [new_lesion(item) for item in items]
        elif word == "S":
            pet["lesions"] = [uptake(i, item) for i, item in enumerate(items, start=1)]
        elif word in ("L", "B"):
            name = "liver" if word == "L" else "blood_pool"
            pet[f"{name}_mean"], pet[f"{name}_sd"] = (float(x) for x in items[0].split("/"))
        elif word == "t":
            pet["uptake_min"] = float(items[0])
        elif word in ("scanner", "recon"):
            pet[word] = items[0]
        elif word in ("overall", "recist"):
            raw[word] = items[0]
        elif word == "burden":
            raw["tumour_burden"] = float(items[0])
        elif word == "sum":
            raw["sum_mm"] = float(items[0])
        elif word == "sulpeak":
            raw["sulpeak_change_pct"] = float(items[0])
        elif word == "ttf":
            raw["ttf_days"] = None if items[0] == "none" else int(items[0])
        elif word == "organs":
            raw["new_lesions_organs"] = items
        else:
            raw[{"det": "clinical_deterioration", "stop": "treatment_stopped", "sym": "symptom_driven"}[word]] = True
    if pet:
        liver = {} if "blood_pool_mean" in pet else {"liver_mean": 1.8, "liver_sd": 0.2}
        raw["pet"] = {**liver, "uptake_min": 60, **pet}
    return raw


def target(number: int, item: str, nodes: set[int]) -> dict[str, Any]:
    raw: dict[str, Any] = {"id": f"T{number}", "organ": SITES[(number - 1) % len(SITES)]}
    if item.startswith("i"):
        raw["injected"], item = True, item[1:]
    if item.endswith("n") and item != "n":
        nodes.add(number)
        item = item[:-1]
    raw["is_node"] = number in nodes
    if raw["is_node"]:
        raw["organ"] = "lymph_node"
    if item in ("ts", "-", "?"):
        raw["state"] = {"ts": "too_small", "-": "absent", "?": "not_evaluated"}[item]
    elif item.startswith("m"):
        raw.update(state="merged", merged_into=f"T{item[1:]}")
    elif "+" in item:
        raw.update(state="split", fragments_mm=[float(x) for x in item.split("+")])
    elif "x" in item:
        raw["longest_mm"], raw["short_mm"] = (float(x) for x in item.split("x"))
    else:
        raw["short_mm" if raw["is_node"] else "longest_mm"] = float(item)
    return raw


def non_target(number: int, item: str) -> dict[str, Any]:
    state = {"p": "present", "a": "absent", "U": "unequivocal_progression", "?": "not_evaluated"}[item[0]]
    change = {"": None, "+": "increased", "=": "stable", "-": "decreased"}[item[1:]]
    return {"id": f"NT{number}", "organ": "pleura", "state": state, "change_from_last": change}


def new_lesion(item: str) -> dict[str, Any]:
    name, _, text = item.partition(":")
    raw: dict[str, Any] = {"id": name, "organ": "lung"}
    for suffix, change in (("^^", "unequivocal_progression"), ("^", "increased"), ("=", "stable")):
        if text.endswith(suffix):
            raw["change"], text = change, text.removesuffix(suffix)
    if "@" in text:
        text, raw["organ"] = text.split("@")
    if text.endswith("/nt"):
        raw["kind"], text = "non_target", text.removesuffix("/nt")
    if text in ("q", "-", "?", "nt", "ts"):
        raw["state"] = {"q": "equivocal", "-": "absent", "?": "not_evaluated", "nt": "present", "ts": "too_small"}[text]
        if text == "nt":
            raw["kind"] = "non_target"
        return raw
    raw["state"] = "measured"
    if text.endswith("n"):
        raw.update(is_node=True, organ="lymph_node", short_mm=float(text[:-1]))
    elif "x" in text:
        raw["longest_mm"], raw["short_mm"] = (float(x) for x in text.split("x"))
    else:
        raw["longest_mm"] = float(text)
    return raw


def uptake(number: int, item: str) -> dict[str, Any]:
    name = f"P{number}"
    if "=" in item:
        name, item = item.split("=")
    raw: dict[str, Any] = {"id": name, "organ": SITES[(number - 1) % len(SITES)]}
    for mark, key, value in (("*", "is_new", True), ("!", "attribution", "irae"), ("b", "background", True)):
        if mark in item:
            raw[key], item = value, item.replace(mark, "")
    if item != "?":
        raw["sul_peak"] = float(item)
    return raw
