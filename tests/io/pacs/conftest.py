"""One Orthanc for a test session; each test uses patients of its own."""

from __future__ import annotations

import pytest

from tests.io.pacs import orthanc as server


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory):
    """A real Orthanc; tests that use it skip where it is not installed."""
    if reason := server.why_not():
        pytest.skip(reason)
    with server.running(tmp_path_factory.mktemp("orthanc")) as running:
        yield running
