"""Every reason code is explained to a clinician and an engineer, used somewhere, and documented."""

import re
from pathlib import Path

from irae.io.archive.codes import REASONS, as_markdown

PROJECT = Path(__file__).resolve().parents[3]


def test_every_code_is_explained():
    for code, reason in REASONS.items():
        assert re.fullmatch(r"[a-z][a-z0-9_]+", code)
        for text in (reason.clinician, reason.engineer, reason.action):
            assert len(text) > 3, code
            assert text.endswith((".", "...")), (code, text)


def test_the_document_is_the_table():
    assert as_markdown() in (PROJECT / "docs" / "reference" / "archive.md").read_text(encoding="utf-8")


def test_every_code_in_the_sources_is_in_the_table_and_back():
    sources = [*(PROJECT / "irae" / "io" / "archive").glob("*.py"), PROJECT / "irae" / "io" / "nifti.py",
               *(PROJECT / "irae" / "quant").glob("suv*.py"), PROJECT / "irae" / "app" / "source.py"]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources if path.name != "codes.py")
    raised = set(re.findall(r"StudyError\(\s*\"([a-z_0-9]+)\"", text))
    assert raised <= set(REASONS)
    unused = {code for code in REASONS if f'"{code}"' not in text}
    assert not unused
