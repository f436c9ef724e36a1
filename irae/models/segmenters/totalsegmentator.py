"""``totalsegmentator``: that program, if the user has installed it; out of process.

It is never a dependency here: it brings its own torch, and the weights of some of its tasks have their own licence.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from irae.core.errors import StudyError
from irae.core.volume import LabelMap, Volume
from irae.io.nifti import read_array, write_volume
from irae.models.plausibility import believed
from irae.models.runtime import Device, torch_device
from irae.models.segmenters.masks import CT_ORGANS, class_names
from irae.models.segmenters.names import translated

TIMEOUT_S = 3600.0


class TotalSegmentatorSegmenter:
    """Organs of a CT by the program TotalSegmentator; it has no pituitary.

    Args:
        program: Its name on the path, or its path.
        device: Where it computes. fast: Its 3 mm model, which a machine without a GPU needs.
        timeout_s: A study that takes longer is given up.

    Raises:
        ValueError: If the program is not there.
    """

    name = "totalsegmentator"

    def __init__(
        self, program: str = "TotalSegmentator", *, device: Device = Device.AUTO, fast: bool | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        found = shutil.which(program)
        if found is None:
            raise ValueError(
                f"segmenter totalsegmentator: there is no program {program!r}; install TotalSegmentator into an "
                "environment of its own and name it with segmenters.totalsegmentator=PATH"
            )
        self._program = Path(found)
        self._device = "gpu" if torch_device(device).type == "cuda" else "cpu"
        self._fast = self._device == "cpu" if fast is None else fast
        self._timeout_s = timeout_s

    @property
    def digests(self) -> Mapping[str, str]:
        """The digest of the program's start file; its weights are its own affair."""
        return {self.name: f"sha256:{hashlib.sha256(self._program.read_bytes()).hexdigest()}"}

    def for_exam(self, patient: str, acquired_on: date) -> TotalSegmentatorSegmenter:
        """The same for every exam."""
        return self

    def segment_ct(self, ct: Volume) -> LabelMap:
        """Organs of a CT in HU, on its own grid.

        Raises:
            StudyError: ``segmenter_failed`` if the program fails, takes too long, or answers on another grid.
        """
        with TemporaryDirectory(prefix="irae-totalsegmentator-") as scratch:
            source, answer = Path(scratch) / "ct.nii.gz", Path(scratch) / "organs.nii.gz"
            write_volume(source, ct)
            command = [str(self._program), "-i", str(source), "-o", str(answer), "--ml", "--device", self._device]
            try:
                done = subprocess.run(
                    command + (["--fast"] if self._fast else []), capture_output=True, text=True, check=False,
                    timeout=self._timeout_s, stdin=subprocess.DEVNULL,
                )
            except subprocess.TimeoutExpired as error:
                raise _failed(f"took more than {self._timeout_s:g} s") from error
            if done.returncode != 0 or not answer.is_file():
                last = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["it said nothing"]
                raise _failed(f"ended with code {done.returncode}: {last[0][:300]}")
            array, geometry = read_array(answer)
            if not geometry.same_grid(ct.geometry):
                raise _failed(f"answered on a grid of {geometry.shape}, the CT's is {ct.geometry.shape}")
            try:
                labels, present = translated(array, class_names(answer))
            except ValueError as error:
                raise _failed(f"gave an answer that cannot be read: {error}") from error
        organs = tuple(organ for organ in CT_ORGANS if organ in present)
        return believed(labels, ct, organs, clean=True)

    def segment_mr(self, mr: Volume) -> LabelMap:
        """Coverage NONE: TotalSegmentator does not segment the pituitary."""
        return believed(np.zeros(mr.geometry.shape, np.uint8), mr, ("pituitary",), clean=False)


def _failed(text: str) -> StudyError:
    return StudyError("segmenter_failed", f"TotalSegmentator {text}")
