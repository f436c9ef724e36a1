"""Addresses, credentials and queries: what is refused, and that secrets are not repeated."""

from __future__ import annotations

import pytest

from irae.io.pacs import Credentials, Link, Query, SourceError, fetch, is_remote, parse_address, read_credentials


@pytest.mark.parametrize(("source", "text"), [
    ("dicomweb+http://127.0.0.1:8042/dicom-web/", "dicomweb+http://127.0.0.1:8042/dicom-web"),
    ("dicomweb+https://pacs.example/rs", "dicomweb+https://pacs.example:443/rs"),
    ("dicomweb+http://[::1]:8042", "dicomweb+http://[::1]:8042"),
    ("dimse://My_PACS-1@10.0.0.5", "dimse://My_PACS-1@10.0.0.5:104"),
])
def test_addresses(source, text):
    assert is_remote(source)
    assert parse_address(source).text == text


@pytest.mark.parametrize("source", [
    "http://10.0.0.5/dicom-web", "ftp://a", "dimse://10.0.0.5:104", "dimse://A@10.0.0.5:99999", "dimse://A@/x",
    "dimse://A@10.0.0.5/studies", "dimse://SEVENTEEN-LETTERS@10.0.0.5", "dicomweb+http:///x",
    "dicomweb+https://a/b?PatientID=1", "dicomweb+http://[::1", "dimse://A\\B@h",
])
def test_what_is_no_address(source):
    with pytest.raises(ValueError, match=r"needed|must be"):
        parse_address(source)


@pytest.mark.parametrize("source", ["dicomweb+https://me:canary@h/x", "dimse://A:canary@h", "dicomweb+https://canary@h"])
def test_secrets_in_an_address_are_refused_and_not_repeated(source):
    with pytest.raises(ValueError, match="user or password") as caught:
        parse_address(source)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize(("source", "readable"), [
    ("dicomweb+http://127.0.0.1:8042/x", False), ("dicomweb+http://localhost/x", False),
    ("dicomweb+http://10.0.0.5/x", True), ("dicomweb+https://10.0.0.5/x", False),
])
def test_passwords_do_not_cross_the_network_in_plain_text(tmp_path, source, readable):
    assert parse_address(source).is_readable_underway is readable
    if readable:
        pytest.importorskip("dicomweb_client")
        with pytest.raises(SourceError, match="plain text"):
            fetch(source, tmp_path, query=Query(), credentials=Credentials(user="u", password="p"))


def test_credentials_of_the_environment_and_of_a_file(tmp_path):
    said = {"IRAE_PACS_USER": "u", "IRAE_PACS_PASSWORD": "canary"}
    assert read_credentials(environment=said) == Credentials(user="u", password="canary")
    assert not read_credentials(environment={})
    file = tmp_path / "pacs.json"
    file.write_text('{"token": "canary"}')
    file.chmod(0o600)
    assert read_credentials(file, environment=said) == Credentials(token="canary")
    assert "canary" not in repr(read_credentials(file))


@pytest.mark.parametrize(("text", "mode", "why"), [
    ('{"token": "canary"}', 0o644, "open to others"), ("canary", 0o600, "must hold"),
    ('["canary"]', 0o600, "must hold"), ('{"token": "canary", "x": "y"}', 0o600, "must hold"),
    ('{"token": 7}', 0o600, "must hold"),
    ('{"token": "canary", "user": "u"}', 0o600, "both"), ('{"password": "canary"}', 0o600, "without its user"),
])
def test_a_credentials_file_that_is_not_one(tmp_path, text, mode, why):
    file = tmp_path / "pacs.json"
    file.write_text(text)
    file.chmod(mode)
    with pytest.raises(ValueError, match=why) as caught:
        read_credentials(file)
    assert "canary" not in str(caught.value)


def test_a_credentials_file_that_is_not_there(tmp_path):
    with pytest.raises(ValueError, match="cannot be read"):
        read_credentials(tmp_path / "none.json")


@pytest.mark.parametrize("patient", ["*", "P?", "a\\b", " ", "x" * 65])
def test_a_patient_id_that_would_match_others_is_refused(patient):
    with pytest.raises(ValueError, match="patient ID"):
        Query(patients=(patient,))


@pytest.mark.parametrize("wrong", [{"aet": "WITH SPACE"}, {"port": 70000}, {"timeout_s": 0}, {"attempts": 0},
                                   {"max_studies": 0}, {"pause_s": -1}])
def test_settings_that_cannot_work(wrong):
    with pytest.raises(ValueError, match="must be"):
        Link(**wrong)
