"""One thread a process (two processes of two threads on two cores are many times slower), and where real scans lie."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("irae", deadline=None)  # a busy machine is not a failure
settings.load_profile("irae")

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"):
    os.environ.setdefault(_name, "1")
os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("DO_NOT_TRACK", "true")

PROJECT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def project() -> Path:
    """The project's top folder."""
    return PROJECT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real scans beside the project (or IRAE_SHARED_DATA); tests that use them skip where they are absent."""
    folder = Path(os.environ.get("IRAE_SHARED_DATA", PROJECT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real scans are not at {folder}")
    return folder
