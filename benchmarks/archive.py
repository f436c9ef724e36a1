"""The archive's door beside its peers, in one run: ``python benchmarks/archive.py [SLICES]``.

Makes an uncompressed CT of 512 x 512 slices with a private 60 kB header element, then prints seconds and ratios:
headers against a plain ``pydicom.dcmread(stop_before_pixels=True)`` loop, the volume in HU against SimpleITK's GDCM
reader. Medians of three, warm cache; on a busy machine only the ratios mean something.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from irae.io.archive import index_archive, read_exam
from tests.io.archive.made import series, write


def seconds(work, times=3):
    """Median wall time, and the last result."""
    spent = []
    for _ in range(times):
        began = time.perf_counter()
        result = work()
        spent.append(time.perf_counter() - began)
    return statistics.median(spent), result


def by_simpleitk(folder):
    """The volume as SimpleITK reads it."""
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return SimpleITK.GetArrayFromImage(reader.Execute())


def main(slices):
    """Prints one line per comparison."""
    with tempfile.TemporaryDirectory(prefix="irae-bench-") as top:
        folder, scratch = Path(top) / "ct", Path(top) / "scratch"
        made = series("CT", slices=slices, rows=512, columns=512, spacing=(0.8, 0.8), gap=1.0)
        for ds in made:
            ds.add_new(0x00090010, "LO", "BENCH")
            ds.add_new(0x00091010, "OB", bytes(60_000))
        files = write(folder, made)
        del made
        plain, _ = seconds(lambda: [pydicom.dcmread(f, stop_before_pixels=True) for f in files])
        index_s, index = seconds(lambda: index_archive(folder, scratch=scratch))
        print(f"index of {slices} files: {index_s:.2f} s; pydicom loop {plain:.2f} s; {plain / index_s:.1f} x faster")
        ours, read = seconds(lambda: read_exam(index.exams[0]), 3)
        theirs, array = seconds(lambda: by_simpleitk(folder), 1)
        volume = read.exam.ct
        same = np.array_equal(volume.array[::-1, ::-1].transpose(2, 1, 0), array.astype(np.float32))
        print(f"volume with digest: {ours:.2f} s; SimpleITK {theirs:.2f} s; {theirs / ours:.1f} x faster; same: {same}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600)
