"""``irae score``: exit codes, the terminal, JSON, SDTM, and a start under a second."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from irae.app.score import parse_options, score_file

TABLE = """patient_id,visit,date,lesion_id,role,organ,is_node,longest_mm,short_mm,sul_peak,state,liver_mean,liver_sd
P1,BL,2026-01-05,T1,target,left_lung,false,60,40,8,measured,1.8,0.2
P1,BL,2026-01-05,N1,target,axillary_node,true,30,20,,measured,1.8,0.2
P1,BL,2026-01-05,NT1,non_target,pleura,false,,,,,1.8,0.2
P1,W8,2026-03-02,T1,target,left_lung,false,30,20,5.6,measured,1.8,0.2
P1,W8,2026-03-02,N1,target,axillary_node,true,20,9,,measured,1.8,0.2
P1,W8,2026-03-02,NT1,non_target,pleura,false,,,,present,1.8,0.2
P1,W14,2026-04-13,T1,target,left_lung,false,,,,too_small,,
P1,W14,2026-04-13,N1,target,axillary_node,true,,,,not_evaluated,,
P1,W14,2026-04-13,NT1,non_target,pleura,false,,,,not_evaluated,,
P1,W14,2026-04-13,L1,new,liver,false,12,10,,,,
"""
BAD = "P2,BL,2026-01-05,T1,target,liver,false,-6,,,,,\n"


def run(path: Path, *criteria: str, **more: object) -> tuple[int, str]:
    screen = StringIO()
    code = score_file(path, criteria, more.get("json_out"), more.get("sdtm_dir"), Console(file=screen, width=160),  # type: ignore[arg-type]
                      options=more.get("options"))  # type: ignore[arg-type]
    return code, screen.getvalue()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table.csv"
    path.write_text(TABLE, encoding="utf-8")
    return path


def test_a_table_is_scored_shown_and_written(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    code, screen = run(table, json_out=out)
    assert code == 0
    assert "RECIST 1.1" in screen
    assert "R11-T2: Sum 39 mm is -51.2 % of baseline 80 mm." in screen
    said = json.loads(out.read_text(encoding="utf-8"))["P1"]
    first, second = said["timepoints"]
    assert (first["tp"], first["overall"], first["target"], first["non_target"]) == ("W8", "PR", "PR", "NON-CR/NON-PD")
    assert (first["sum_mm"], first["nadir_mm"], first["new_lesion"]) == (39.0, 80.0, False)
    assert first["reasons"]
    assert (second["overall"], second["target"], second["sum_mm"]) == ("PD", "NE", None)
    assert said["summary"]["progression_date"] == "2026-04-13"
    assert said["summary"]["best_response"] == "PR"


def test_several_criteria_and_pet_from_one_table(table: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    assert run(table, "irecist", "percist_1_0", json_out=out)[0] == 0
    said = json.loads(out.read_text(encoding="utf-8"))["P1"]
    assert [t["overall"] for t in said["irecist"]["timepoints"]] == ["iPR", "iUPD"]
    assert [t["overall"] for t in said["percist_1_0"]["timepoints"]] == ["PMR", "NE"]


def test_a_bad_patient_is_reported_and_the_others_are_scored(table: Path, tmp_path: Path) -> None:
    table.write_text(TABLE + BAD, encoding="utf-8")
    out = tmp_path / "out.json"
    code, screen = run(table, json_out=out)
    assert code == 3
    assert "not scored: P2: patient P2, visit BL, lesion T1: longest_mm -6 mm is negative" in screen
    said = json.loads(out.read_text(encoding="utf-8"))
    assert said["P1"]["timepoints"]
    assert "negative" in said["P2"]["error"]


def test_wrong_calls(table: Path, tmp_path: Path) -> None:
    assert run(table, "recist")[0] == 2
    assert run(tmp_path / "none.csv")[0] == 2
    assert run(table, options={"DEC-01": "perhaps"})[0] == 2
    assert parse_options(["DEC-01=strict", "confirm_min_days=14", "accept_sd=true"]) == {
        "DEC-01": "strict", "confirm_min_days": 14, "accept_sd": True,
    }
    with pytest.raises(ValueError, match="NAME=VALUE"):
        parse_options(["strict"])


def test_sdtm_has_controlled_terms_with_their_codes(table: Path, tmp_path: Path) -> None:
    folder = tmp_path / "sdtm"
    assert run(table, "irecist", sdtm_dir=folder)[0] == 0

    def rows(name: str) -> list[dict[str, str]]:
        with (folder / name).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    tu, tr, rs = rows("tu.csv"), rows("tr.csv"), rows("rs.csv")
    assert {(r["TULNKID"], r["TUORRES"], r["TUSTRESC_NCIT"], r["TULOC_NCIT"]) for r in tu} == {
        ("T1", "TARGET", "C94520", "C12468"), ("N1", "TARGET", "C94520", "C12745"),
        ("NT1", "NON-TARGET", "C94521", ""), ("L1", "NEW", "C94522", "C12392"),
    }
    small = next(r for r in tr if r["TRLNKID"] == "T1" and r["VISIT"] == "W14")
    assert (small["TRORRES"], small["TRSTRESN"], small["TRTESTCD_NCIT"]) == ("TOO SMALL TO MEASURE", "5", "C96684")
    undone = next(r for r in tr if r["TRLNKID"] == "N1" and r["VISIT"] == "W14")
    assert (undone["TRTESTCD"], undone["TRSTAT"], undone["TRREASND"]) == ("LPERP", "NOT DONE", "NOT EVALUATED")
    total = next(r for r in tr if r["TRTESTCD"] == "SUMDIAM" and r["VISIT"] == "W8")
    assert (total["TRSTRESN"], total["TRTESTCD_NCIT"]) == ("39", "C96631")
    overall = [(r["VISIT"], r["RSSTRESC"], r["RSSTRESC_NCIT"]) for r in rs if r["RSTESTCD"] == "OVRLRESP"]
    assert overall == [("W8", "iPR", "C142358"), ("W14", "iUPD", "C142360")]
    assert {r["RSCAT_NCIT"] for r in rs} == {"C136711"}
    assert [int(r["RSSEQ"]) for r in rs] == list(range(1, len(rs) + 1))
    assert all(r["DOMAIN"] == "RS" and r["USUBJID"] == "P1" for r in rs)


def test_many_patients_get_one_line_each(tmp_path: Path) -> None:
    path = tmp_path / "many.csv"
    head, *rows = TABLE.splitlines()
    path.write_text("\n".join([head, *(r.replace("P1,", f"P{n},") for n in range(50) for r in rows)]), encoding="utf-8")
    code, screen = run(path)
    assert code == 0
    assert "50 scored, 0 rejected" in screen
    assert "P49" in screen


def test_it_starts_without_heavy_libraries() -> None:
    """The command's module must not pull in torch, monai, pandas, yaml or pydicom."""
    code = ("import sys, irae.app.score; "
            "print(sorted({'torch', 'monai', 'pandas', 'yaml', 'pydicom', 'scipy'} & set(sys.modules)))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"
