"""DICOM series written here, read back with plain pydicom: geometry, values, SUV from the header."""

import dataclasses
from datetime import datetime, timedelta

import numpy as np
import pydicom
import pytest

from irae.core.geometry import Geometry
from irae.core.volume import Quantity, Volume
from irae.io.dicom_write import (
    Injection,
    SeriesHeader,
    suv_factor,
    write_ct_series,
    write_mr_series,
    write_pet_series,
)

START = datetime(2024, 3, 5, 9, 10)


def _header(**changes):
    usual = SeriesHeader(
        patient_id="PHANTOM-0009", sex="F", study_key="s", series_key="x", acquired_at=START, weight_kg=72.5,
        height_cm=168.0, birth_year=1961,
    )
    return dataclasses.replace(usual, **changes)


def _volume(quantity, affine=None, shape=(7, 9, 5)):
    """Every voxel differs, so that any flip or swap shows."""
    array = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    if affine is None:
        affine = np.diag([2.0, 3.0, 4.0, 1.0])
        affine[:3, 3] = (-31.0, 17.0, -205.5)
    return Volume(array=array, geometry=Geometry(shape=shape, affine=affine), quantity=quantity)


ORIENTATIONS = {
    "ras": np.array([[2, 0, 0, -31], [0, 3, 0, 17], [0, 0, 4, -205.5], [0, 0, 0, 1.0]]),
    "lps": np.array([[-2, 0, 0, -31], [0, -3, 0, 17], [0, 0, 4, -205.5], [0, 0, 0, 1.0]]),
    "sagittal": np.array([[0, 0, 4, -31], [2, 0, 0, 17], [0, 3, 0, -205.5], [0, 0, 0, 1.0]]),
    "coronal": np.array([[2, 0, 0, -31], [0, 0, 4, 17], [0, 3, 0, -205.5], [0, 0, 0, 1.0]]),
    "head_first_down": np.array([[2, 0, 0, -31], [0, 3, 0, 17], [0, 0, -4, 100], [0, 0, 0, 1.0]]),
}
_C, _S = np.cos(0.3), np.sin(0.3)
ORIENTATIONS["oblique"] = np.array(
    [[2 * _C, -3 * _S, 0, 5], [2 * _S, 3 * _C, 0, -9], [0, 0, 4, 11], [0, 0, 0, 1.0]]
)


def _world_values(paths):
    """Every pixel's LPS position and value, straight from DICOM PS3.3 C.7.6.2.1.1, no help from this project."""
    positions, values = [], []
    for path in paths:
        ds = pydicom.dcmread(path)
        row, column = np.array(ds.ImageOrientationPatient[:3], float), np.array(ds.ImageOrientationPatient[3:], float)
        origin = np.array(ds.ImagePositionPatient, float)
        r, c = np.meshgrid(np.arange(ds.Rows), np.arange(ds.Columns), indexing="ij")
        down_mm, across_mm = (float(v) for v in ds.PixelSpacing)
        spot = origin + row * (c[..., None] * across_mm) + column * (r[..., None] * down_mm)
        slope, intercept = float(ds.get("RescaleSlope", 1)), float(ds.get("RescaleIntercept", 0))
        positions.append(spot.reshape(-1, 3))
        values.append((ds.pixel_array * slope + intercept).ravel())
    return np.concatenate(positions), np.concatenate(values)


@pytest.mark.parametrize("name", sorted(ORIENTATIONS))
def test_every_voxel_lies_where_it_was(tmp_path, name):
    volume = _volume(Quantity.HU, ORIENTATIONS[name])
    paths = write_ct_series(tmp_path, volume, _header())
    lps, values = _world_values(paths)
    index = volume.geometry.to_index(lps * (-1, -1, 1))
    assert np.allclose(index, np.rint(index), atol=1e-3)
    i, j, k = np.rint(index).astype(int).T
    assert np.array_equal(volume.array[i, j, k], values)
    assert len(values) == volume.array.size


def test_axial_slices_are_written_as_scanners_do(tmp_path):
    ds = pydicom.dcmread(write_ct_series(tmp_path, _volume(Quantity.HU), _header())[0])
    assert [float(v) for v in ds.ImageOrientationPatient] == [1, 0, 0, 0, 1, 0]
    assert ds.RescaleType == "HU"
    assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
    assert str(ds.PatientName) == "PHANTOM-0009^^"


def test_suv_from_the_header_is_the_volume_again(tmp_path):
    array = np.random.default_rng(0).gamma(2.0, 1.5, (6, 5, 90)).astype(np.float32)
    volume = Volume(array=array, geometry=Geometry.axis_aligned((6, 5, 90), (4, 4, 4)), quantity=Quantity.SUV_BW)
    injection = Injection(dose_mbq=251.3, injected_at=START - timedelta(minutes=63))
    paths = write_pet_series(tmp_path, volume, _header(), injection=injection)
    first = pydicom.dcmread(paths[0])
    assert (first.Units, first.DecayCorrection) == ("BQML", "START")
    assert {"ATTN", "DECY"} <= set(first.CorrectedImage)
    # By hand, as a reader would: QIBA's formula from the attributes alone.
    agent = first.RadiopharmaceuticalInformationSequence[0]
    injected = datetime.strptime(agent.RadiopharmaceuticalStartDateTime, "%Y%m%d%H%M%S")
    start = datetime.strptime(first.SeriesDate + first.SeriesTime, "%Y%m%d%H%M%S")
    seconds = (start - injected).total_seconds()
    left = float(agent.RadionuclideTotalDose) * 2 ** (-seconds / float(agent.RadionuclideHalfLife))
    factor = float(first.PatientWeight) * 1000 / left
    lps, becquerel = _world_values(paths)
    i, j, k = np.rint(volume.geometry.to_index(lps * (-1, -1, 1))).astype(int).T
    assert becquerel * factor == pytest.approx(array[i, j, k], abs=float(array.max()) / 32000)
    # AcquisitionTime moves on by bed; SeriesTime, to which the decay was corrected, does not.
    assert pydicom.dcmread(paths[-1]).AcquisitionTime > first.AcquisitionTime
    assert pydicom.dcmread(paths[-1]).SeriesTime == first.SeriesTime


def test_suv_factor_by_hand():
    injection = Injection(dose_mbq=300.0, injected_at=START - timedelta(seconds=6586.2))
    assert suv_factor(injection, scan_start=START, weight_kg=75.0) == pytest.approx(75000 / 150e6, rel=1e-6)


def test_mr_keeps_its_signal(tmp_path):
    volume = _volume(Quantity.MR_SIGNAL)
    lps, values = _world_values(write_mr_series(tmp_path, volume, _header()))
    i, j, k = np.rint(volume.geometry.to_index(lps * (-1, -1, 1))).astype(int).T
    assert np.array_equal(values, volume.array[i, j, k])


def test_uids_follow_from_the_keys_alone(tmp_path):
    a = write_ct_series(tmp_path / "a", _volume(Quantity.HU), _header())
    b = write_ct_series(tmp_path / "b", _volume(Quantity.HU), _header())
    c = write_ct_series(tmp_path / "c", _volume(Quantity.HU), _header(series_key="y"))
    assert a[0].read_bytes() == b[0].read_bytes()
    uids = [pydicom.dcmread(p[0]).SeriesInstanceUID for p in (a, c)]
    assert uids[0] != uids[1]
    assert all(u.startswith("2.25.") and len(u) <= 64 for u in uids)


def test_wrong_calls_are_refused(tmp_path):
    with pytest.raises(ValueError, match="needs HU"):
        write_ct_series(tmp_path, _volume(Quantity.SUV_BW), _header())
    with pytest.raises(ValueError, match="needs a weight"):
        write_pet_series(
            tmp_path, _volume(Quantity.SUV_BW), _header(weight_kg=None),
            injection=Injection(dose_mbq=200, injected_at=START - timedelta(hours=1)),
        )
    with pytest.raises(ValueError, match="before the injection"):
        suv_factor(Injection(dose_mbq=200, injected_at=START + timedelta(hours=1)), scan_start=START, weight_kg=70)
    with pytest.raises(ValueError, match="PatientID"):
        _header(patient_id="Doe^Jane")
    shear = np.diag([2.0, 2.0, 2.0, 1.0])
    shear[0, 1] = 1.0
    with pytest.raises(ValueError, match="right angles"):
        write_ct_series(tmp_path, _volume(Quantity.HU, shear), _header())
