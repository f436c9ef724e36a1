"""The archive's door beside its peers, in one run and one table.

    python benchmarks/archive.py [--files 20000] [--slices 600] [--rounds 3] [--data DIR] [--skip PART,...]

Synthetic archives are written to a temporary folder. Every measurement is a process of its own, so that peak memory
is its own; wall and CPU seconds are taken inside it, after the imports, and are the least of some rounds. On a busy
machine the ratios of CPU seconds mean more than those of wall time. A peer that is not installed is left out and named.

- index: headers of many files against a plain ``pydicom.dcmread(stop_before_pixels=True)`` loop; the second index of
  the unchanged archive against the first, files in folders and the same files in zips. Both also with files that are
  not in the page cache when they are first read (``posix_fadvise``), as those of an archive nobody has read yet.
- memory: peak of the index by number of files; of a NIfTI study against its float32 volumes.
- ct: one CT of 512 x 512 slices (private header of 60 kB) into HU against ``dcm2niix -z n``, SimpleITK's GDCM reader
  and MONAI's PydicomReader; voxels and affine compared. Peak memory over the start against the float32 volume.
- data: every DICOM series of an archive that is read, compared with dcm2niix and SimpleITK.
"""

import argparse
import io
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
import zipfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(PROJECT))
PER_SERIES = 200


def main():
    """Runs what is asked for and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--slices", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--skip", default="", type=lambda text: text.split(","))
    parser.add_argument("--one", nargs="+", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        print(json.dumps(measured(*asked.one)))
        return
    rows = []
    with tempfile.TemporaryDirectory(prefix="irae-bench-") as top:
        top = Path(top)
        if "index" not in asked.skip:
            rows += index_rows(top, asked.files, asked.rounds, zips="zips" not in asked.skip)
        if "memory" not in asked.skip:
            rows += memory_rows(top, asked.files)
        if "ct" not in asked.skip:
            rows += ct_rows(top, asked.slices, asked.rounds)
        if asked.data and "data" not in asked.skip:
            rows += data_rows(top, asked.data)
    print(f"{'what':<44}{'wall s':>9}{'CPU s':>9}{'MiB':>8}   compared")
    for what, m, said in rows:
        print(f"{what:<44}{m.get('wall', 0):>9.2f}{m.get('cpu', 0):>9.2f}{m.get('mib', 0):>8.0f}   {said}")


def one(*words):
    """A measurement in a process of its own."""
    answer = subprocess.run(
        [sys.executable, __file__, "--one", *map(str, words)], capture_output=True, text=True, cwd=PROJECT
    )
    if answer.returncode:
        raise SystemExit(answer.stderr)
    return json.loads(answer.stdout.splitlines()[-1])


def lowest(runs):
    """The least time and the most memory of some runs of one measurement."""
    return {**runs[0], **{word: min(run[word] for run in runs) for word in ("wall", "cpu")},
            **{word: max(run[word] for run in runs) for word in ("mib", "more")}}


def least(*words, rounds):
    """Some runs of one measurement."""
    return lowest([one(*words) for _ in range(rounds)])


def against(other, own):
    """How many times slower another one is, by wall and CPU time."""
    return f"{other['wall'] / own['wall']:.1f} x by wall, {other['cpu'] / max(own['cpu'], 1e-3):.1f} x by CPU"


def index_rows(top, files, rounds, *, zips):
    """First and second index against pydicom, each other, and the least that a second one can take."""
    folder = many_files(top / "many", files)
    plain = least("pydicom", folder, rounds=rounds)
    first, second = first_and_second(folder, top / "kept", rounds)
    stat = least("stat", folder, rounds=rounds)
    rows = [
        (f"pydicom loop, {files} files", plain, ""),
        ("first index", first, f"pydicom loop {against(plain, first)}"),
        ("second index, unchanged", second, f"first {against(first, second)}"),
        ("a bare loop of scandir and stat", stat, f"first {against(first, stat)}"),
    ]
    plain = lowest([one("pydicom", dropped(folder)) for _ in range(rounds)])
    first, second = first_and_second(folder, top / "kept-cold", rounds, prepare=dropped)
    rows += [
        ("pydicom loop, files not in memory", plain, ""),
        ("first index, files not in memory", first, f"pydicom loop {against(plain, first)}"),
        ("second index after it", second, f"first {against(first, second)}"),
    ]
    if zips:
        packed = zip_folders(folder, top / "zips")
        first, second = first_and_second(packed, top / "kept-zips", rounds)
        rows += [("first index, the same in zips", first, ""),
                 ("second index, in zips", second, f"first {against(first, second)}")]
        shutil.rmtree(packed)
    shutil.rmtree(folder)
    return rows


def dropped(folder):
    """The folder, after its files were written out and dropped from the page cache."""
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as stream:
                os.fdatasync(stream.fileno())
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return folder


def first_and_second(folder, kept, rounds, prepare=lambda folder: folder):
    """The least of some first and some second indices."""
    firsts, seconds = [], []
    for _ in range(rounds):
        kept.unlink(missing_ok=True)
        firsts.append(one("index", prepare(folder), kept))
        seconds.append(one("index", folder, kept))
    return lowest(firsts), lowest(seconds)


def memory_rows(top, files):
    """Peak memory of the index by number of files, and of reading NIfTI studies."""
    rows = []
    for n in (files // 10, files, 2 * files):
        folder = many_files(top / f"memory-{n}", n)
        m = one("index", folder, "-")
        rows.append((f"memory of an index of {n} files", m, f"{m['more']:.0f} MiB more than at its start"))
        shutil.rmtree(folder)
    for stored, scaling, suffix in (("float64", (1, 0), ".nii"), ("int16", (0.5, -1024), ".nii.gz")):
        folder = nifti_study(top / "nifti", stored, scaling, suffix)
        m = one("study", folder)
        said = f"{m['more'] / m['need']:.2f} x its float32 volumes of {m['need']:.0f} MiB at most"
        rows.append((f"NIfTI study, {stored}{suffix}", m, said))
        shutil.rmtree(folder)
    return rows


def ct_rows(top, slices, rounds):
    """One large CT by every reader, in turn, the least of some rounds; the first round is not counted."""
    from tests.io.archive.made import series, write

    folder, saved = top / "ct", top / "own.npy"
    pictures = [ds.PixelData for ds in series("CT", slices=8, rows=512, columns=512, spacing=(0.4, 0.4), gap=4.0)]
    made = series("CT", slices=slices, rows=2, columns=2, spacing=(0.8, 0.8), gap=1.0)
    for k, ds in enumerate(made):
        ds.Rows, ds.Columns, ds.PixelData = 512, 512, pictures[k * 8 // slices]
        ds.add_new(0x00090010, "LO", "BENCH")
        ds.add_new(0x00091010, "OB", bytes(60_000))
    write(folder, made)
    del made
    one("irae", folder, saved)
    runs = {name: [] for name in ("irae", "bare", "dcm2niix", "simpleitk", "monai")}
    for _ in range(rounds):
        for name, found in runs.items():
            found.append(one(name, folder, saved))
    own, bare, *others = map(lowest, runs.values())
    need = slices * 512 * 512 * 4 / 2**20
    said = f"{own['more'] / need:.2f} x its float32 volume of {need:.0f} MiB at most"
    rows = [(f"CT of {slices} slices into HU, irae", own, said),
            ("the same without the sha256 of the files", bare, "what the others do")]
    for name, m in zip(("dcm2niix", "simpleitk", "monai"), others, strict=True):
        rows.append((f"the same by {name}", m, m.get("absent") or f"{against(m, bare)}; {m['same']}"))
    shutil.rmtree(folder)
    return rows


def data_rows(top, data):
    """Every readable series of an archive against dcm2niix and SimpleITK."""
    return [(f"series {row['name']}"[:43], {}, row["said"]) for row in one("data", data, top / "data")["series"]]


def measured(what, *words):
    """Runs one measurement and returns wall and CPU seconds and MiB."""
    work = MEASURES[what]
    prepared = work(*map(Path, words))
    before = peak_mib()
    wall, cpu = time.perf_counter(), cpu_seconds()
    more = prepared() or {}
    m = {"wall": time.perf_counter() - wall, "cpu": cpu_seconds() - cpu, "mib": peak_mib(), "more": peak_mib() - before}
    after = more.pop("after", None)
    return {**m, **more, **(after() if after else {})}


def cpu_seconds():
    """Of this process and its children."""
    return sum(
        getattr(resource.getrusage(who), word)
        for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN) for word in ("ru_utime", "ru_stime")
    )


def peak_mib():
    """Peak resident memory of this process (the system's own count includes that of its parent)."""
    (peak,) = re.findall(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    return int(peak) / 1024


def by_pydicom(folder):
    """The loop that everyone writes."""
    import pydicom

    files = sorted(path for path in folder.rglob("*") if path.is_file())

    def run():
        for path in files:
            pydicom.dcmread(path, stop_before_pixels=True)

    return run


def by_index(folder, kept):
    """The index; kept where a file is named."""
    import scipy.ndimage  # noqa: F401 - imports are not what is measured

    from irae.io.archive import index_archive

    scratch = Path(tempfile.mkdtemp(prefix="irae-bench-scratch-"))

    def run():
        index = index_archive(folder, scratch=scratch, kept=None if str(kept) == "-" else kept)
        if not index.exams or not len(index.files):
            raise SystemExit("the index is empty")
        return {"after": lambda: shutil.rmtree(scratch) or {}}

    return run


def by_stat(folder):
    """What nobody who notices a changed file can do without."""
    def run():
        pending = [folder]
        while pending:
            with os.scandir(pending.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(entry.path)
                    else:
                        entry.stat(follow_symlinks=False)

    return run


def by_study(folder):
    """Index and every volume of one exam."""
    import nibabel  # noqa: F401
    import scipy.ndimage  # noqa: F401

    from irae.io.archive import index_archive, read_exam

    scratch = Path(tempfile.mkdtemp(prefix="irae-bench-scratch-"))

    def run():
        volumes = read_exam(index_archive(folder, scratch=scratch).exams[0]).exam.volumes
        need = sum(volume.array.nbytes for volume in volumes.values()) / 2**20
        return {"need": need, "after": lambda: shutil.rmtree(scratch) or {}}

    return run


def by_irae(folder, saved):
    """Index and volume; the volume is saved for the comparison."""
    import nibabel  # noqa: F401
    import numpy as np
    import scipy.ndimage  # noqa: F401

    from irae.io.archive import index_archive, read_exam

    scratch = Path(tempfile.mkdtemp(prefix="irae-bench-scratch-"))

    def run():
        volume = read_exam(index_archive(folder, scratch=scratch).exams[0]).exam.ct

        def after():
            np.save(saved, volume.array)
            np.save(saved.with_suffix(".affine.npy"), volume.geometry.affine)
            shutil.rmtree(scratch)
            return {}

        return {"after": after}

    return run


def by_irae_bare(folder, saved):
    """As ``by_irae``, without the hash of the input that a result's provenance needs and no peer computes."""
    from irae.io.archive import read

    read.digest_of = lambda files: ""
    return by_irae(folder, saved)


def by_dcm2niix(folder, saved):
    """``dcm2niix -z n`` into an uncompressed file, read back."""
    import nibabel as nib

    program = shutil.which("dcm2niix")
    if program is None:
        return lambda: {"absent": "dcm2niix is not installed"}
    out = Path(tempfile.mkdtemp(prefix="irae-bench-"))

    def run():
        subprocess.run([program, "-z", "n", "-b", "n", "-f", "x", "-o", out, folder], check=True, capture_output=True)
        return {"after": lambda: same(nib.load(next(out.glob("*.nii"))), saved)}

    return run


def by_simpleitk(folder, saved):
    """SimpleITK's series reader."""
    import SimpleITK

    def run():
        image = sitk_image(SimpleITK, folder)
        return {"after": lambda: same(as_nifti(SimpleITK, image), saved)}

    return run


def by_monai(folder, saved):
    """MONAI's PydicomReader."""
    import nibabel as nib
    import numpy as np
    from monai.transforms import LoadImage

    load = LoadImage(reader="PydicomReader", image_only=True)

    def run():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            image = load(str(folder))
        return {"after": lambda: same(nib.Nifti1Image(np.asarray(image, np.float32), np.asarray(image.affine)), saved)}

    return run


def by_data(data, scratch):
    """Every readable DICOM series, by three readers."""
    import nibabel as nib
    import numpy as np
    import SimpleITK

    from irae.io.archive import ExamUnusableError, index_archive, read_exam

    def run():
        rows = []
        for plan in index_archive(data, scratch=scratch / "s").exams:
            try:
                read = read_exam(plan)
            except ExamUnusableError:
                continue
            for role, volume in read.exam.volumes.items():
                series = read.chosen[role]
                if series.kind == "nifti":
                    continue
                folder = Path(tempfile.mkdtemp(dir=scratch))
                for n, file in enumerate(series.files):
                    shutil.copy(file.path, folder / f"{n:05d}.dcm")
                saved = folder / "own.npy"
                np.save(saved, volume.array / (series.suv_factor or 1.0))
                np.save(saved.with_suffix(".affine.npy"), volume.geometry.affine)
                said = []
                if shutil.which("dcm2niix"):
                    (folder / "out").mkdir()
                    subprocess.run(["dcm2niix", "-z", "n", "-b", "n", "-f", "x", "-o", folder / "out", folder],
                                   capture_output=True)
                    found = sorted((folder / "out").glob("*.nii"))
                    one = same(nib.load(found[0]), saved)["same"] if found else "not read"
                    said.append(f"dcm2niix: {one}")
                try:
                    image = as_nifti(SimpleITK, sitk_image(SimpleITK, folder))
                    said.append(f"SimpleITK: {same(image, saved)['same']}")
                except RuntimeError:
                    said.append("SimpleITK: not read")
                rows.append({"name": f"{plan.key} {role.value}", "said": "; ".join(said)})
        return {"series": rows}

    return run


def sitk_image(sitk, folder):
    """A folder as SimpleITK reads it."""
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    return reader.Execute()


def as_nifti(sitk, image):
    """SimpleITK's image in RAS."""
    import nibabel as nib
    import numpy as np

    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    array = sitk.GetArrayFromImage(image).T.astype(np.float32)
    return nib.Nifti1Image(array, np.diag([-1, -1, 1, 1]) @ affine)


def same(image, saved):
    """How another reader's image differs from ours, in words."""
    import nibabel as nib
    import numpy as np

    other = nib.as_closest_canonical(image)
    array, affine = np.load(saved, mmap_mode="r"), np.load(saved.with_suffix(".affine.npy"))
    values = np.asarray(other.dataobj, dtype=np.float32)
    if values.shape != array.shape:
        return {"same": f"its shape is {values.shape}, ours {array.shape}"}
    low = float(array.min())
    apart = float(np.abs(np.maximum(values, low) - array).max())
    corners = np.array([[0, 0, 0, 1], [*(np.array(array.shape) - 1), 1]]).T
    moved = float(np.abs((affine - other.affine) @ corners).max())
    scale = max(1.0, float(np.abs(array).max()))
    voxels = "voxels identical" if apart == 0 else f"voxels apart by {apart:.3g} of {scale:.3g}"
    return {"same": f"{voxels}, corners within {moved:.2g} mm"}


def many_files(folder, count):
    """An archive of ``count`` small CT files, headers of 130 elements and 23 kB, 200 a series, 4 series a patient."""
    from tests.io.archive.made import series

    slices = []
    for ds in series("CT", slices=PER_SERIES, rows=64, columns=64, spacing=(5.0, 5.0), gap=1.5):
        ds.add_new(0x00090010, "LO", "BENCH")
        ds.add_new(0x00091010, "OB", bytes(20_000))
        fill_header(ds)
        ds.PatientID = "P00000"
        ds.SeriesInstanceUID, ds.StudyInstanceUID = "1.2.826.0.1.70000000", "1.2.826.0.1.90000000"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.826.0.1.70000000.{ds.InstanceNumber}"
        written = io.BytesIO()
        ds.save_as(written, enforce_file_format=True)
        slices.append(written.getvalue())
    for s in range(max(1, count // PER_SERIES)):
        place = folder / f"p{s // 4:05d}" / f"s{s % 4}"
        place.mkdir(parents=True)
        for k, data in enumerate(slices):
            data = data.replace(b"P00000", b"P%05d" % (s // 4)).replace(b"1.70000000", b"1.7%07d" % s)
            data = data.replace(b"1.90000000", b"1.9%07d" % (s // 4))
            (place / f"IM{(k * 7919) % 1000:04d}_{k}.dcm").write_bytes(data)
    return folder


def fill_header(ds):
    """Adds elements that no reader here asks for, to as many as the real headers at hand have (110 to 255)."""
    from pydicom.dataset import Dataset

    for group, words in {0x0008: 12, 0x0010: 10, 0x0018: 30, 0x0020: 6, 0x0040: 10}.items():
        for n in range(words):
            vr, value = (("LO", "free text"), ("DS", "1.25"), ("CS", "NO"), ("TM", "101010"))[n % 4]
            ds.add_new(group << 16 | 0x9700 + 2 * n, vr, value)
    for n in range(24):
        vr, value = (("LO", "private"), ("DS", "0.5"), ("IS", "7"), ("UI", "1.2.3.4"))[n % 4]
        ds.add_new(0x00191000 + n, vr, value)
    ds.add_new(0x00190010, "LO", "BENCH")
    for word in ("ReferencedStudySequence", "ProcedureCodeSequence", "RequestAttributesSequence"):
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "1", "99BENCH", "a code"
        setattr(ds, word, [item])


def nifti_study(folder, stored, scaling, suffix):
    """A CT of 512 x 512 x 300 and a PET of half its size along each axis, stored the way that is asked for."""
    import nibabel as nib
    import numpy as np

    from tests.io.archive.made import CONTENT

    place = folder / "P01" / "2026-03-14"
    place.mkdir(parents=True)
    for name, modality, n in (("ct", "CT", 2), ("pet_suv", "PT", 1)):
        shape = (256 * n, 256 * n, 150 * n)
        affine = np.diag([-0.8 / n, -0.8 / n, 1.6 / n, 1.0])
        affine[:3, 3] = (102, 102, -120)
        slope, intercept = scaling if name == "ct" or stored == "float64" else (0.001, 0.0)
        values = np.empty(shape, stored, order="F")
        index = np.stack(np.meshgrid(*map(np.arange, shape[:2]), [0], indexing="ij"), axis=-1)
        for k in range(shape[2]):
            ras = (index + np.array([0, 0, k])) @ affine[:3, :3].T + affine[:3, 3]
            values[..., k] = (CONTENT[modality](ras)[..., 0] - intercept) / slope
        image = nib.Nifti1Image(values, affine, dtype=stored)
        image.header.set_slope_inter(slope, intercept)
        nib.save(image, place / f"{name}{suffix}")
    return folder


def zip_folders(folder, target):
    """One zip for each series of an archive."""
    target.mkdir()
    for n, place in enumerate(sorted({path.parent for path in folder.rglob("*.dcm")})):
        with zipfile.ZipFile(target / f"{n:05d}.zip", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
            for path in sorted(place.iterdir()):
                packed.write(path, path.name)
    return target


MEASURES = {
    "pydicom": by_pydicom, "stat": by_stat, "index": by_index, "study": by_study, "irae": by_irae, "bare": by_irae_bare,
    "dcm2niix": by_dcm2niix, "simpleitk": by_simpleitk,
    "monai": by_monai, "data": by_data,
}

if __name__ == "__main__":
    main()
