"""``irae plan`` and ``irae convert`` ask a PACS for what ``--query`` names."""

import pytest
from typer.testing import CliRunner

from irae.app import convert, plan
from irae.app.cli import app
from irae.app.config import PacsSettings, RetrieveName
from irae.app.source import settings_of_query
from irae.io.pacs import SourceError

WORDS = ["patient=P01", "patient=P02", "from=2026-01-01", "until=2026-03-01", "modality=PT", "retrieve=move",
         "port=104"]


def test_words_become_settings():
    settings = settings_of_query(WORDS)
    assert (settings.patients, settings.modalities) == (["P01", "P02"], ["PT"])
    assert (settings.studied_from, settings.studied_until) == ("2026-01-01", "2026-03-01")
    assert (settings.retrieve, settings.port) == (RetrieveName.move, 104)
    assert settings_of_query([]) == PacsSettings()


@pytest.mark.parametrize("word", ["patient", "patient=", "name=X", "retrieve=all", "port=-1"])
def test_words_that_are_no_setting(word):
    with pytest.raises(ValueError, match="--query"):
        settings_of_query([word])
    assert CliRunner().invoke(app, ["plan", ".", "--query", word]).exit_code == 2


@pytest.mark.parametrize(("module", "words"), [(plan, ["plan"]), (convert, ["convert", "--out", "out"])])
def test_commands_hand_them_on(monkeypatch, tmp_path, module, words):
    asked = []

    def stand_in(archive, *, settings, **_):
        asked.append(settings)
        raise SourceError("pacs_unreachable", "not there")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "open_archive", stand_in)
    query = [part for word in WORDS for part in ("--query", word)]
    result = CliRunner().invoke(app, [*words, "dicomweb+https://pacs.example/dicom-web", *query])
    assert result.exit_code == 1, result.output
    assert asked == [settings_of_query(WORDS)]
