"""The worked examples of the concept pages give what the pages say, and the pages can be found."""

import doctest

import pytest

PAGES = ("coordinates.md", "suv.md")


@pytest.mark.parametrize("page", PAGES)
def test_examples(project, page):
    result = doctest.testfile(str(project / "docs" / "concepts" / page), module_relative=False)
    assert result.attempted > 8
    assert result.failed == 0


def test_the_readme_leads_there(project):
    readme = (project / "README.md").read_text(encoding="utf-8")
    assert all(f"docs/concepts/{page}" in readme for page in PAGES)
