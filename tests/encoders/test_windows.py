"""Volumes to windows: turned to the patient, averaged where they shrink, cut where they are larger."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from medfuse.case import Scan
from medfuse.config import VolumeConfig
from medfuse.encoders.windows import read_windows, windows_of
from medfuse.errors import ScanError
from medfuse.synthetic.volume import ORIENTATIONS, write_series
from tests.imaging.conftest import _series


def volume(array: np.ndarray, affine: np.ndarray) -> MetaTensor:
    return MetaTensor(torch.from_numpy(array.astype(np.float32))[None], affine=torch.from_numpy(affine))


def config(**changes: object) -> VolumeConfig:
    return VolumeConfig.model_validate({"size": (8, 8, 8), "values": (0, 1), **changes})


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1), (-1, -1, -1)])
def test_the_same_patient_looks_the_same_however_the_voxels_are_stored(order, signs) -> None:
    patient = np.zeros((8, 8, 8))
    patient[6, 1, 3] = 1.0  # right, back, low
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    stored = patient.transpose(order)
    for axis, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, axis] = sign * 2.0
        if sign < 0:
            stored = np.flip(stored, axis)
    found, warnings = windows_of(volume(stored.copy(), affine), config())
    assert torch.equal(found[0], torch.from_numpy(patient).float())
    assert warnings == ()


def test_a_small_finding_gets_fainter_but_stays() -> None:
    array = np.zeros((64, 64, 64))
    array[33, 33, 33] = 1.0
    found, _ = windows_of(volume(array, np.eye(4)), config())
    assert float(found.sum()) == pytest.approx(1 / 8**3, rel=1e-3)


def test_proportions_are_kept_and_the_rest_is_black() -> None:
    found, _ = windows_of(volume(np.ones((40, 20, 10)), np.diag([1.0, 1, 2, 1])), config())
    assert found.shape == (1, 8, 8, 8)
    assert torch.equal(found[0], torch.nn.functional.pad(torch.ones(8, 4, 4), (2, 2, 2, 2)))


def test_a_large_volume_is_seen_in_windows_that_leave_nothing_out() -> None:
    array = np.random.default_rng(0).random((20, 8, 8))
    found, warnings = windows_of(volume(array, np.eye(4)), config(spacing=(1, 1, 1)))
    assert found.shape == (3, 8, 8, 8)
    assert warnings == ()
    seen = np.concatenate([found[0].numpy(), found[1].numpy()[2:], found[2].numpy()[2:]])
    assert np.allclose(seen, array, atol=1e-6)
    few, warnings = windows_of(volume(array, np.eye(4)), config(spacing=(1, 1, 1), max_windows=1))
    assert torch.equal(few, found[1:2])
    assert warnings == ("the volume fills 3 windows; 1 of them, evenly spaced, are used",)


def test_percentiles_stand_where_no_values_are_given() -> None:
    array = np.random.default_rng(0).normal(500, 100, (16, 16, 16))
    found, _ = windows_of(volume(array, np.eye(4)), config(values=None))
    assert float(found.min()) >= 0
    assert 0.4 < float(found.mean()) < 0.6


def test_a_prone_series_is_the_same_patient_as_a_supine_one(tmp_path: Path) -> None:
    body = np.random.default_rng(0).uniform(-900, 900, (16, 48, 48)).astype(np.float32)
    seen = []
    for name, orientation in ORIENTATIONS.items():
        write_series(tmp_path / name, body, identity="a", patient_id="P", orientation=orientation)
        seen.append(read_windows(Scan(tmp_path / name), config(values=(-1000, 1000))).values)
    assert torch.equal(*seen)
    expected = np.clip((np.rint(body[0, 0, 0]) + 1000) / 2000, 0, 1)  # the first column lies to the right
    one = read_windows(Scan(tmp_path / "north"), config(values=(-1000, 1000), size=(48, 48, 48), spacing=(7, 7, 18)))
    assert float(one.values[0, -1, -1, 16]) == pytest.approx(expected, abs=1e-5)


def test_a_picture_is_a_frontal_projection(tmp_path: Path) -> None:
    pixels = np.zeros((16, 16), np.uint8)
    pixels[:4, :4] = 255  # top left: the patient's right shoulder
    Image.fromarray(pixels).save(tmp_path / "a.png")
    found = read_windows(Scan(tmp_path / "a.png"), config(size=(8, 12, 8)))
    assert found.values.shape == (1, 8, 12, 8)
    assert bool((found.values[0, 6:, :, 6:] > 0.7).all())  # shrinking softens the edge
    assert float(found.values[0, :4].abs().sum()) == 0


def test_what_is_no_scan_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.dcm").write_bytes(b"<html>404</html>")
    with pytest.raises(ScanError, match=r"a\.dcm"):
        read_windows(Scan(tmp_path / "a.dcm"), config())


def test_a_series_of_the_readers_own_tests_becomes_windows(tmp_path: Path) -> None:
    _series(tmp_path / "ct", slices=6, rows=48, columns=48)
    assert read_windows(Scan(tmp_path / "ct"), config()).values.shape == (1, 8, 8, 8)
