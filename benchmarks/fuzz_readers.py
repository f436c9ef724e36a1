"""Fuzzes everything that reads what others wrote: ``python benchmarks/fuzz_readers.py --minutes 60 --keep FOLDER``.

Files of known content are spoiled (bytes, values of elements, whole elements, lengths, zip members) and read again:
archives, annotations, NIfTI, context tables, and the de-identifier. A finding is an exception that is no refusal, a
crash, a hang, a file without a row, another volume without a word, or a name that got through de-identification.
Every case is named ``target:seed`` and made again by ``--case target:seed``; its files are kept for each finding.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import faulthandler
import io
import json
import logging
import multiprocessing
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import nibabel as nib
import numpy as np
from pydicom import dcmread
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from irae.app.convert import convert_archive
from irae.core.errors import StudyError
from irae.core.geometry import Geometry
from irae.core.result import Versions
from irae.core.volume import Coverage, LabelMap
from irae.io.annotations import AnnotationRules, organs_of, read_annotations
from irae.io.archive import ExamUnusableError, Outcome, index_archive, read_exam
from irae.io.context import read_context
from irae.io.deidentify import Deidentifier
from irae.io.dicom_seg import write_seg
from irae.io.nifti import read_array
from tests.io.archive.made import series, write
from tests.io.archive.test_enhanced import enhanced
from tests.io.dicom_source import geometry_of
from tests.io.dicom_source import series as source_series
from tests.io.test_annotations import circle, rtstruct

NAME = "Qwzxvjk"  # in nobody's data by chance
SMALL = {"slices": 6, "gap": 18.0, "rows": 12, "columns": 14, "spacing": (12.0, 11.0)}
ODD_NUMBERS = [
    "", "0", "-1", "nan", "inf", "-inf", "1e308", "1e-308", "99999999999999999999", "1,5", "0x10", "--", "1_0",
]
ODD_TEXT = [
    "", " ", "\0", "../../../x", "A" * 70, "\\\\", "äöü", "20269999", "99999999", "000000", "250000", "1.2.3..4",
]
VERSIONS = Versions(irae="0.1.0", models={}, settings="sha256:" + "2" * 64)


# --- seeds -----------------------------------------------------------------------------------------------------------


def data_sets() -> dict[str, list[Dataset]]:
    """Every kind of series that the archive reads."""
    kinds = {name: series(name, PatientName=NAME, **SMALL) for name in ("CT", "PT", "MR")}
    for name, syntax in (("implicit", ImplicitVRLittleEndian), ("big", ExplicitVRBigEndian),
                         ("deflated", DeflatedExplicitVRLittleEndian)):
        kinds[name] = copy.deepcopy(kinds["CT"])
        for ds in kinds[name]:
            ds.file_meta.TransferSyntaxUID = syntax
            if name == "big":
                ds.PixelData = np.frombuffer(ds.PixelData, "<i2").astype(">i2").tobytes()
    for name, syntax in (("rle", RLELossless), ("jpegls", JPEGLSLossless), ("j2k", JPEG2000Lossless)):
        kinds[name] = series("CT", PatientName=NAME, **{**SMALL, "rows": 64, "columns": 64, "spacing": (3.0, 3.0)})
        for ds in kinds[name]:
            ds.compress(syntax, generate_instance_uid=False)
    for name in ("CT", "PT", "MR"):
        kinds[f"enhanced{name}"] = [enhanced(name, PatientName=NAME)]
    return kinds


def annotation_files(folder: Path) -> tuple[dict[str, bytes], Geometry]:
    """A SEG, a structure set and a label map on one grid."""
    source = source_series(rows=16, columns=16, slices=4)
    grid = geometry_of(source)
    array = np.zeros(grid.shape, np.uint8)
    array[3:10, 4:12, 1:3], array[12:14, 2:5] = 5, 8
    organs = LabelMap(array=array, geometry=grid, labels={"liver": 5, "kidney_left": 8},
                      coverage={"liver": Coverage.WHOLE, "kidney_left": Coverage.WHOLE})
    write_seg(folder / "seg.dcm", source=source, organs=organs, versions=VERSIONS)
    rtstruct(folder / "rs.dcm", {"Liver": [(circle((8, 8), 4), 1), (circle((8, 8), 4), 2)]}, grid)
    nib.save(nib.Nifti1Image(array, grid.affine), folder / "labels.nii.gz")
    nib.save(nib.Nifti1Image(array, grid.affine), folder / "labels.nii")
    return {name: (folder / name).read_bytes() for name in ("seg.dcm", "rs.dcm", "labels.nii.gz", "labels.nii")}, grid


CONTEXT = (
    "patient_id,date,end_date,kind,value\nP01,,,sex,F\nP01,2026-01-02,2026-02-03,therapy,nivolumab\n"
    "P01,,,height_cm,172\nP02,2026-01-02,,clinical_status,stable\n"
)


def seeds(folder: Path) -> dict:
    made = data_sets()
    files = {}
    for name, datasets in made.items():
        files[name] = [p.read_bytes() for p in write(folder / name, datasets)]
    annotations, grid = annotation_files(folder)
    return {"datasets": made, "files": files, "annotations": annotations, "grid": grid,
            "reference": {name: volumes_of(folder / name)[1] for name in made}}


# --- ways to spoil ---------------------------------------------------------------------------------------------------


def spoiled_bytes(data: bytes, rng: random.Random, *, first: int = 0, last: int | None = None) -> bytes:
    """A few bytes changed, gone, doubled or added between two places."""
    out = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        if len(out) <= first + 8:
            break
        at = rng.randrange(first, min(len(out), last or len(out)))
        match rng.randrange(8):
            case 0:
                out[at] = rng.randrange(256)
            case 1:
                out[at : at + 4] = rng.randbytes(4)
            case 2:
                del out[at : at + rng.choice([1, 2, 8, 40, 400])]
            case 3:
                out[at:at] = bytes(rng.choice([1, 2, 8, 100]))
            case 4:
                out[at : at + 2] = rng.choice([b"\xff\xff", b"\0\0", b"UN", b"SQ", b"OB", b"\xff\x7f"])
            case 5:
                out[at : at + 4] = rng.choice([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\xfe\xff\x0d\xe0"])
            case 6:
                length = rng.choice([2, 8, 64])
                out[at:at] = out[at : at + length]
            case _:
                del out[at:]
    return bytes(out)


def items_of(ds: Dataset) -> list[tuple[Dataset, DataElement]]:
    found = []
    for element in ds:
        found.append((ds, element))
        if element.VR == "SQ":
            for item in element.value or ():
                found += items_of(item)
    return found


def spoiled_elements(datasets: list[Dataset], rng: random.Random) -> tuple[list[Dataset], str]:
    """One or a few elements, in one file or in all, that say something else; and in words what was done."""
    out = [copy.deepcopy(ds) for ds in datasets]
    everywhere = rng.random() < 0.5
    which = range(len(out)) if everywhere else [rng.randrange(len(out))]
    said = []
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        path = rng.choice([e.tag for _, e in items_of(out[0]) if e.tag != 0x7FE00010])
        way, number, text, digit = rng.randrange(7), rng.choice(ODD_NUMBERS), rng.choice(ODD_TEXT), rng.random()
        for n in which:
            for owner, element in [pair for pair in items_of(out[n]) if pair[1].tag == path]:
                change_element(owner, element, way, number, text, digit)
        said.append(f"{path} way {way} {number!r} {text!r} {'all' if everywhere else which[0]}")
    return out, "; ".join(said)


def change_element(owner: Dataset, element: DataElement, way: int, number: str, text: str, digit: float) -> None:
    vr = element.VR
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            if way == 0:
                del owner[element.tag]
            elif way == 1:
                element._value = [] if vr == "SQ" else None
            elif vr == "SQ":
                if len(element.value):
                    element.value.append(copy.deepcopy(element.value[int(digit * len(element.value))]))
            elif vr in ("US", "SS", "UL", "SL"):
                element.value = int(digit * (0x7FFF if vr in ("US", "SS") else 0x7FFFFFFF)) if way < 5 else 0
            elif vr in ("DS", "IS", "FD", "FL"):
                many = element.VM > 1
                if vr in ("FD", "FL"):
                    value = float(number) if number in ("0", "-1", "nan", "inf", "-inf", "1e308", "1e-308") else 0.0
                    element._value = [value] * element.VM if many else value
                    texts = None
                elif way < 4:
                    texts = [number] * (element.VM if many else 1)
                elif way == 4:
                    texts = [str(float(v) * (10 ** (8 * digit - 4)))[:16] for v in listed(element)]
                else:
                    texts = [*map(str, listed(element)), number]
                if texts is not None:
                    owner[element.tag] = raw(element.tag, vr, "\\".join(texts))
            elif vr in ("OB", "OW"):
                element.value = element.value[: int(digit * len(element.value)) & ~1]
            else:
                owner[element.tag] = raw(element.tag, vr, text if way < 5 else f"{element.value}\\{text}")
    except (ValueError, TypeError, AttributeError):
        pass


WRONG_FORM: dict[tuple[int, bytes], str] = {}


def raw(tag, vr: str, text: str) -> DataElement:
    """An element whose value pydicom would not write with its VR; ``as_bytes`` puts the VR back."""
    value = text.encode("latin-1", "replace") + b" " * (len(text) % 2)
    WRONG_FORM[int(tag), value] = vr
    return DataElement(tag, "OB", value)


def listed(element: DataElement) -> list:
    return list(element.value) if element.VM > 1 else [element.value]


def as_bytes(ds: Dataset) -> bytes | None:
    """The file of a data set, however little it makes sense; values of wrong form keep the VR they should have."""
    wrong = [(e.tag, e.value, WRONG_FORM[int(e.tag), e.value]) for _, e in items_of(ds)
             if e.VR == "OB" and isinstance(e.value, bytes) and (int(e.tag), e.value) in WRONG_FORM]
    buffer = io.BytesIO()
    try:
        ds.save_as(buffer, enforce_file_format=False)
    except Exception:
        return None
    data = buffer.getvalue()
    for tag, value, vr in wrong:  # OB in long form back to the short form of its own VR
        if vr in ("UT", "OF", "OD", "OL", "UC", "UR"):
            continue
        head = tag.group.to_bytes(2, "little") + tag.elem.to_bytes(2, "little")
        long_form = head + b"OB\0\0" + len(value).to_bytes(4, "little") + value
        data = data.replace(long_form, head + vr.encode() + (len(value) & 0xFFFF).to_bytes(2, "little") + value)
    return data


# --- targets ---------------------------------------------------------------------------------------------------------


def volumes_of(folder: Path):
    """(index, volumes, rows) of an archive; raises what must not be raised."""
    with tempfile.TemporaryDirectory(prefix="fuzz-") as scratch:
        index = index_archive(folder, scratch=Path(scratch))
        volumes, rows, ended = [], {row.path: row for row in index.files}, list(index.series)
        assert len(rows) == len(index.files), "a file has two rows"
        for plan in index.exams:
            try:
                read = read_exam(plan)
            except ExamUnusableError as error:
                changed, ended = error.outcomes, [*ended, *error.series]
            else:
                changed, ended = read.outcomes, [*ended, *read.series]
                volumes += read.exam.volumes.values()
            rows.update({row.path: row for row in changed})
    for plan in ended:
        assert plan.code != "internal_error", f"internal error: {plan.text}"
    assert all(np.isfinite(v.array).all() for v in volumes)
    return index, volumes, rows


def fuzz_archive(rng: random.Random, work: Path, made: dict) -> None:
    kind = rng.choice(sorted(made["files"]))
    files = list(made["files"][kind])
    one = True
    if rng.random() < 0.5:
        n = rng.randrange(len(files))
        end = max(files[n].rfind(b"\xe0\x7f\x10\x00"), files[n].rfind(b"\x7f\xe0\x00\x10"))
        end = end if end > 300 else len(files[n])  # pixels spoiled within bounds are other pixels: nobody could tell
        files[n] = spoiled_bytes(files[n][:end], rng, first=rng.choice([0, 128, 128])) + files[n][end:]
        what = f"{kind} bytes of file {n}"
    else:
        datasets, what = spoiled_elements(made["datasets"][kind], rng)
        one = what.count(" all") == 0
        what = f"{kind} {what}"
        files = [data if (data := as_bytes(ds)) is not None else files[n] for n, ds in enumerate(datasets)]
    (work / "what.txt").write_text(what)
    for n, data in enumerate(files):
        (work / "in" / f"{n}.dcm").write_bytes(data)
    _, volumes, rows = volumes_of(work / "in")
    assert len(rows) == len(files), f"{len(files)} files, {len(rows)} rows"
    (reference,) = made["reference"][kind]
    for volume in volumes:
        near = np.abs(volume.geometry.corners_mm() - reference.geometry.corners_mm()).max() < 0.01
        close = near and volume.array.shape == reference.array.shape and np.allclose(
            volume.array, reference.array, atol=1e-3)
        said = any(row.outcome is not Outcome.USED for row in rows.values())
        # Not to be told from the truth: one slice's own rescale slope, and a deflated stream, which has no checksum.
        told = kind != "deflated" and "(0028,105" not in what
        if one and len(files) > 1 and told and not close and not said:
            raise AssertionError("another volume without a word")


def fuzz_convert(rng: random.Random, work: Path, made: dict) -> None:
    """The command, on a folder or a zip of two patients; one of them stays what it was."""
    kind = rng.choice(["CT", "PT", "MR", "rle", "enhancedCT"])
    good = series("CT", patient="P02", number=77, **SMALL)
    write(work / "in" / "good", good)
    files = list(made["files"][kind])
    for n in rng.sample(range(len(files)), rng.randint(1, len(files))):
        files[n] = spoiled_bytes(files[n], rng)
    (work / "in" / "bad").mkdir()
    for n, data in enumerate(files):
        (work / "in" / "bad" / f"{n}.dcm").write_bytes(data)
    (work / "what.txt").write_text(f"{kind} anywhere")
    source = work / "in"
    if rng.random() < 0.4:
        source = work / "in.zip"
        with zipfile.ZipFile(source, "w", rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])) as z:
            for path in sorted((work / "in").rglob("*.dcm")):
                z.write(path, path.relative_to(work / "in").as_posix())
        if rng.random() < 0.7:
            source.write_bytes(spoiled_bytes(source.read_bytes(), rng))
    result = convert_archive(source, work / "out")
    assert {row["outcome"] for row in result["files"]} <= {"used", "repaired", "ignored", "quarantined"}
    assert not [s for s in result["series"] if s["code"] == "internal_error"], result["series"]
    if source.suffix != ".zip":
        assert len(result["files"]) == len(files) + len(good)
        assert any(str(s["output"]).startswith("P02/") for s in result["series"]), "the good patient was lost"
    inside = (work / "out").resolve()
    assert all(path.resolve().is_relative_to(inside) for path in inside.rglob("*"))


def fuzz_annotations(rng: random.Random, work: Path, made: dict) -> None:
    name = rng.choice(sorted(made["annotations"]))
    data = made["annotations"][name]
    if name.endswith(".dcm") and rng.random() < 0.6:
        (changed,), what = spoiled_elements([dcmread(io.BytesIO(data))], rng)
        data = as_bytes(changed) or data
    else:
        what, data = "bytes", spoiled_bytes(data, rng, first=rng.choice([0, 128]) if name.endswith("dcm") else 0)
    (work / "what.txt").write_text(f"{name} {what}")
    path = work / "in" / name
    path.write_bytes(data)
    (work / "in" / "labels.json").write_text(rng.choice(['{"liver": 5}', '{"liver": 5, "kidney_left": 8}', '{"5": "x"}',
                                                         "[]", '{"names": 3}', '{"liver": 1e400}', '{"liver": [1]}']))
    for rules in (AnnotationRules(), AnnotationRules(resample=True)):
        try:
            read = read_annotations(path, made["grid"], rules=rules)
        except StudyError:
            continue
        organs_of(read.annotations, made["grid"])


def fuzz_nifti(rng: random.Random, work: Path, made: dict) -> None:
    grid = made["grid"]
    image = nib.Nifti1Image(np.random.default_rng(1).normal(0, 300, grid.shape).astype(np.float32), grid.affine)
    path = work / "in" / "P01" / "2026-01-01" / rng.choice(["ct.nii.gz", "pet_suv.nii.gz", "ct.nii", "mr_t1c.nii"])
    path.parent.mkdir(parents=True)
    nib.save(image, path)
    data = path.read_bytes()
    path.write_bytes(spoiled_bytes(data, rng, last=rng.choice([None, 352])))
    (work / "what.txt").write_text(path.name)
    with contextlib.suppress(StudyError):
        read_array(path)
    _, _, rows = volumes_of(work / "in")
    assert len(rows) == 1


def fuzz_deidentify(rng: random.Random, work: Path, made: dict) -> None:
    """Whatever is wrong with a file, nothing that names the patient is in what is written."""
    kind = rng.choice(sorted(made["datasets"]))
    number = rng.randrange(len(made["files"][kind]))
    if rng.random() < 0.4:
        data, what = spoiled_bytes(made["files"][kind][number], rng), "bytes"
    else:
        one = copy.deepcopy(made["datasets"][kind][number])
        owner, element = rng.choice([pair for pair in items_of(one) if pair[1].VR not in ("SQ", "OB", "OW")])
        named = rng.choice([NAME, f"CT\\{NAME}", f"{NAME} HEAD", f"1.2.{NAME}"])
        owner[element.tag] = raw(element.tag, element.VR, named)
        (changed,), what = spoiled_elements([one], rng)
        data, what = as_bytes(changed) or made["files"][kind][number], f"{element.tag} named; {what}"
    (work / "what.txt").write_text(f"{kind} {what}")
    (work / "in" / "a.dcm").write_bytes(data)
    rows = Deidentifier(b"k" * 32).folder(work / "in", work / "out")
    assert len(rows) == 1
    for path in (p for p in (work / "out").rglob("*") if p.is_file()):
        assert NAME.encode() not in path.read_bytes(), "the name got through"
        assert NAME not in path.as_posix()
        dcmread(path)
    assert NAME not in rows[0].text + rows[0].written


def fuzz_context(rng: random.Random, work: Path, made: dict) -> None:
    path = work / "in" / "context.csv"
    path.write_bytes(spoiled_bytes(CONTEXT.encode(), rng))
    (work / "what.txt").write_text("context")
    with contextlib.suppress(ValueError):
        read_context(path)


TARGETS = {"archive": (fuzz_archive, 6), "convert": (fuzz_convert, 2), "annotations": (fuzz_annotations, 3),
           "nifti": (fuzz_nifti, 1), "deidentify": (fuzz_deidentify, 3), "context": (fuzz_context, 0.3)}


# --- running ---------------------------------------------------------------------------------------------------------


def run_case(name: str, seed: int, work: Path, made: dict) -> str:
    """Empty, or the finding."""
    shutil.rmtree(work, ignore_errors=True)
    (work / "in").mkdir(parents=True)
    try:
        TARGETS[name][0](random.Random(f"{name}{seed}"), work, made)
    except BaseException:
        return traceback.format_exc()
    return ""


def worker(pipe, work: Path, made: dict, memory: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    faulthandler.enable()
    logging.disable(logging.CRITICAL)
    while (case := pipe.recv()) is not None:
        pipe.send(run_case(*case, work, made))


class Hand:
    """One worker process, replaced when it dies or hangs."""

    def __init__(self, work: Path, made: dict, memory: int) -> None:
        self._work, self._made, self._memory, self._process = work, made, memory, None

    def run(self, name: str, seed: int, timeout_s: float) -> str:
        if self._process is None:
            self._pipe, theirs = multiprocessing.Pipe()
            self._process = multiprocessing.get_context("fork").Process(
                target=worker, args=(theirs, self._work, self._made, self._memory), daemon=True
            )
            self._process.start()
            theirs.close()
        self._pipe.send((name, seed))
        try:
            if self._pipe.poll(timeout_s):
                return self._pipe.recv()
            said = f"HANG: more than {timeout_s:g} s"
        except (EOFError, ConnectionResetError):
            self._process.join(5)
            said = f"CRASH: the process ended with {self._process.exitcode}"
        self._process.kill()
        self._process.join()
        self._process = None
        return said


def signature(finding: str, what: str) -> str:
    """What makes two findings one: the exception and the last place of ours in it, else what was spoiled."""
    lines = finding.strip().splitlines()
    ours = [line.strip() for line in lines if "/irae/" in line]
    where = ours[-1].split("/irae/")[-1] if ours else " ".join(what.split()[:6]) if "(" in what else what[:20]
    return f"{lines[-1][:160]} @ {where}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=20.0, help="seconds a case may take")
    parser.add_argument("--memory-gb", type=float, default=6.0)
    parser.add_argument("--keep", type=Path, help="folder for the findings' files and the log")
    parser.add_argument("--case", help="target:seed, one case again")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="irae-fuzz-") as top:
        made = seeds(Path(top) / "seeds")
        work = Path(top) / "case"
        if args.case:
            name, seed = args.case.split(":")
            said = run_case(name, int(seed), work, made)
            print((work / "what.txt").read_text() if (work / "what.txt").exists() else "", said or "fine", sep="\n")
            if args.keep:
                shutil.copytree(work, args.keep, dirs_exist_ok=True)
            return
        fuzz(args, work, made)


def fuzz(args, work: Path, made: dict) -> None:
    rng, hand = random.Random(args.seed), Hand(work, made, int(args.memory_gb * 2**30))
    names, weights = list(TARGETS), [weight for _, weight in TARGETS.values()]
    counts, found = Counter(), {}
    began = said_at = time.monotonic()
    seed = args.seed * 10_000_000
    while time.monotonic() - began < 60 * args.minutes:
        seed += 1
        (name,) = rng.choices(names, weights)
        finding = hand.run(name, seed, args.timeout)
        counts[name] += 1
        if finding:
            what = work / "what.txt"
            key = signature(finding, what.read_text() if what.exists() else "")
            known = key in found
            found.setdefault(key, []).append(f"{name}:{seed}")
            if not known:
                print(f"FINDING {name}:{seed} {key}\n{finding}", flush=True)
                if args.keep:
                    shutil.copytree(work, args.keep / f"{name}-{seed}", dirs_exist_ok=True)
        if time.monotonic() - said_at > 60:
            said_at = time.monotonic()
            minutes = (said_at - began) / 60
            print(f"{minutes:.0f} min, {sum(counts.values())} cases, {len(found)} kinds of finding", flush=True)
    summary = {"minutes": round((time.monotonic() - began) / 60, 1), "cases": dict(counts),
               "findings": {key: {"cases": len(cases), "first": cases[:3]} for key, cases in found.items()}}
    print(json.dumps(summary, indent=1))
    if args.keep:
        args.keep.mkdir(parents=True, exist_ok=True)
        (args.keep / "summary.json").write_text(json.dumps(summary, indent=1))


if __name__ == "__main__":
    main()
