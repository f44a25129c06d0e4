"""JPEG 2000 decoded no finer than it is looked at."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import get_frame
from pydicom.uid import JPEG2000Lossless

from medfuse import read_scan
from medfuse.imaging import fit_scan, read_fitted
from medfuse.imaging.reduced import halvings_of, reduced
from tests.imaging.test_coarse import pattern

SETTINGS = {"BitsStored": 12, "WindowCenter": 2000, "WindowWidth": 3002}


def both(tmp_path, dataset, save, stored, **elements):
    path = save(tmp_path / "x.dcm", dataset(stored, **elements), JPEG2000Lossless)
    full, fast = fit_scan(read_scan(path), 48), read_fitted(path, 48)
    told, wanted = ([re.sub(r"\d+%", "", line) for line in scan.receipt.warnings] for scan in (fast, full))
    assert told == wanted  # a share may differ by a hundredth
    assert replace(fast.receipt, warnings=()) == replace(full.receipt, warnings=())
    return np.abs(fast.pixels - full.pixels)


def test_close_to_the_whole(tmp_path, dataset, save):
    stored = pattern(800, 600, 12, signed=False, seed=0, noise=0.03)
    differences = both(tmp_path, dataset, save, stored, **SETTINGS)
    assert 0 < differences.max() < 0.02
    assert differences.mean() < 0.003
    signed = (stored.astype(np.int32) - 2048).astype(np.int16)
    again = both(tmp_path, dataset, save, signed, BitsStored=12, WindowCenter=-48, WindowWidth=3002)
    np.testing.assert_allclose(again, differences, atol=1e-3)


@pytest.mark.parametrize(
    "elements",
    [
        {"BitsStored": 12},
        {**SETTINGS, "PixelPaddingValue": 0},
        {**SETTINGS, "VOILUTFunction": "SIGMOID"},
        {**SETTINGS, "WindowCenter": 60000},
    ],
    ids=["no window", "padding", "not straight", "a window that shows nothing"],
)
def test_whole_where_the_resolution_would_change_more(tmp_path, dataset, save, elements):
    stored = pattern(800, 600, 12, signed=False, seed=0)
    assert both(tmp_path, dataset, save, stored, **elements).max() < 1e-3


def test_what_is_decoded_in_full(tmp_path, dataset, save):
    stored = pattern(64, 50, 12, signed=False, seed=0)
    path = save(tmp_path / "x.dcm", dataset(stored, BitsStored=12), JPEG2000Lossless)
    stream = get_frame(dcmread(path).PixelData, 0, number_of_frames=1)
    form = {"rows": 64, "columns": 50, "bits": 12, "signed": False}
    half = reduced(stream, halvings=1, **form)
    assert half is not None
    means = stored.reshape(32, 2, 25, 2).mean((1, 3))
    assert np.corrcoef(half.ravel(), means.ravel())[0, 1] > 0.9
    assert reduced(stream, halvings=20, **form) is None
    assert reduced(stream[: len(stream) // 2], halvings=1, **form) is None
    for other in ({"bits": 13}, {"signed": True}, {"rows": 60}):
        assert reduced(stream, halvings=1, **{**form, **other}) is None


def test_halvings():
    assert [halvings_of(2048, 1100, 3 * size) for size in (224, 100, 10, 512, 700)] == [1, 2, 2, 0, 0]
    assert halvings_of(200, 2000, 96) == 0
