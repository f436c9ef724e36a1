"""After `make demo`: every promised file is there and every result fits the schema."""

import json
import sys
from pathlib import Path

from irae.io.result_json import check_result

out = Path(sys.argv[1]) / "out"
worklist = json.loads((out / "worklist.json").read_text(encoding="utf-8"))["exams"]
results = sorted(out.glob("*/*/result.json"))
for path in results:
    check_result(json.loads(path.read_text(encoding="utf-8")))
    for name in ("report.html", "organs.nii.gz"):
        if not (path.parent / name).stat().st_size:
            sys.exit(f"{path.parent / name} is empty")
patients = {path.parents[1].name for path in results}
for patient in patients:
    for name in ("course.json", "course.html"):
        if not (out / patient / name).stat().st_size:
            sys.exit(f"{out / patient / name} is empty")
if len(patients) < 4 or len(results) < 12 or len(worklist) != len(results):
    found = f"{len(patients)} patients, {len(results)} results, {len(worklist)} worklist rows"
    sys.exit(f"demo: {found}; expected at least 4, 12 and as many rows as results")
for name in ("worklist.csv", "quarantine.csv", "ledger.sqlite"):
    if not (out / name).is_file():
        sys.exit(f"demo: {name} is missing")
print(f"demo: {len(results)} results of {len(patients)} patients fit the schema")
