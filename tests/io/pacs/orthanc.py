"""A real Orthanc on free loopback ports, with a password, in a folder of its own."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import requests

PROGRAM = shutil.which("Orthanc") or "/usr/sbin/Orthanc"
PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
USER, PASSWORD = "reader", "correct horse"
AET, OUR_AET = "ARCHIVE", "IRAE"


def why_not() -> str:
    """Why Orthanc cannot be started here; empty where it can."""
    if not Path(PROGRAM).is_file():
        return "Orthanc is not installed (Debian package orthanc)"
    return "" if PLUGIN.exists() else "Orthanc's DICOMweb plug-in is not installed (Debian package orthanc-dicomweb)"


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return taken.getsockname()[1]


@dataclass(frozen=True, kw_only=True)
class Orthanc:
    """A running server: its HTTP and DICOM ports, and the port it sends to us on."""

    http: int
    dicom: int
    ours: int
    process: subprocess.Popen

    @property
    def web(self) -> str:
        """As DICOMweb source."""
        return f"dicomweb+http://127.0.0.1:{self.http}/dicom-web"

    @property
    def dimse(self) -> str:
        """As DIMSE source."""
        return f"dimse://{AET}@127.0.0.1:{self.dicom}"

    @property
    def ports(self) -> tuple[int, int, int]:
        """To start it again."""
        return self.http, self.dicom, self.ours

    def put(self, datasets) -> None:
        """Stores data sets."""
        for dataset in datasets:
            buffer = BytesIO()
            dataset.save_as(buffer, enforce_file_format=True)
            answer = requests.post(
                f"http://127.0.0.1:{self.http}/instances", data=buffer.getvalue(), auth=(USER, PASSWORD), timeout=10
            )
            answer.raise_for_status()

    def remove(self, patient: str) -> None:
        """Deletes a patient."""
        base = f"http://127.0.0.1:{self.http}"
        asked = {"Level": "Patient", "Query": {"PatientID": patient}}
        for key in requests.post(f"{base}/tools/find", json=asked, auth=(USER, PASSWORD), timeout=10).json():
            requests.delete(f"{base}/patients/{key}", auth=(USER, PASSWORD), timeout=10).raise_for_status()

    def stop(self) -> None:
        """Ends it at once, as a server that goes away would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)


@contextmanager
def running(folder: Path, *, ports: tuple[int, int, int] | None = None) -> Iterator[Orthanc]:
    """Starts Orthanc and waits for it; with the ports of an earlier one it comes back as that."""
    http, dicom, ours = ports or (free_port(), free_port(), free_port())
    settings = {
        "Name": "test", "StorageDirectory": str(folder / "db"), "IndexDirectory": str(folder / "db"),
        "HttpPort": http, "DicomPort": dicom, "DicomAet": AET, "DicomCheckCalledAet": True,
        "RemoteAccessAllowed": False, "AuthenticationEnabled": True, "RegisteredUsers": {USER: PASSWORD},
        "Plugins": [str(PLUGIN)], "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        "DicomModalities": {"irae": {"AET": OUR_AET, "Host": "127.0.0.1", "Port": ours, "AllowGet": True}},
        "DicomAlwaysAllowGet": True, "DicomAlwaysAllowFind": True, "DicomAlwaysAllowMove": True,
    }
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen([PROGRAM, str(folder / "orthanc.json")], stdout=log, stderr=log)
    server = Orthanc(http=http, dicom=dicom, ours=ours, process=process)
    try:
        for _ in range(200):
            try:
                requests.get(f"http://127.0.0.1:{http}/system", auth=(USER, PASSWORD), timeout=5).raise_for_status()
                break
            except requests.ConnectionError:
                assert process.poll() is None, (folder / "log").read_text()[-2000:]
                time.sleep(0.1)
        else:
            raise AssertionError("Orthanc did not come up in 20 s")
        yield server
    finally:
        process.kill()  # it would wait for connections to end; its folder is thrown away
        process.wait(10)
