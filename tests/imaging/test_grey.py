"""Windows, lookup tables, padding and inversion against PS3.3's formulas, and against dcmtk's dcm2pnm."""

from __future__ import annotations

import shutil
import subprocess

import numpy as np
import pytest
from numpy import ndarray
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medfuse.imaging import read_scan

RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


@pytest.fixture
def read(tmp_path, dataset, save):
    def read(stored: ndarray = RAMP, *, syntax: str = ExplicitVRLittleEndian, **elements: object):
        return read_scan(save(tmp_path / "x.dcm", dataset(stored, **{"BitsStored": 12, **elements}), syntax))

    return read


def lut(entries: list[int], first: int, bits: int, *, packed: bool = False) -> list[Dataset]:
    item = Dataset()
    item.LUTDescriptor = [len(entries) % 65536, first, bits]
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item.LUTData = np.array(entries, "u1" if packed else "<u2").tobytes() if packed else entries
    item["LUTData"].VR = "OW" if packed else "US"
    return [item]


@pytest.mark.parametrize(
    ("function", "centre", "width", "formula"),
    [
        ("LINEAR_EXACT", 2000.5, 100.25, lambda x: np.clip((x - 2000.5) / 100.25 + 0.5, 0, 1)),
        ("LINEAR_EXACT", 100, 0.5, lambda x: np.where(x <= 99.75, 0, np.where(x > 100.25, 1, 0.5))),
        ("SIGMOID", 2000, 300, lambda x: 1 / (1 + np.exp(-4 * (x - 2000) / 300))),
        ("SIGMOID", 2000, 1e-3, lambda x: np.where(x == 2000, 0.5, x > 2000)),
        ("LINEAR", 100, 1, lambda x: np.where(x <= 99.5, 0, 1)),
        ("LINEAR", 100, 2, lambda x: np.where(x <= 99, 0, np.where(x > 100, 1, x - 99))),
    ],
)
def test_voi_functions(read, function, centre, width, formula):
    scan = read(WindowCenter=centre, WindowWidth=width, VOILUTFunction=function)
    np.testing.assert_allclose(scan.pixels, formula(RAMP.astype(float)), atol=2e-6)
    assert scan.receipt.voi == f"window {centre:g}/{width:g} ({function})"


def test_first_of_several_windows(read):
    scan = read(WindowCenter=[1000, 2000], WindowWidth=[501, 4096])
    assert scan.receipt.voi == "window 1000/501 (LINEAR), 1 of 2"
    np.testing.assert_allclose(scan.pixels, np.clip((RAMP - 999.5) / 500 + 0.5, 0, 1), atol=2e-6)


def test_a_window_without_sense_is_passed_over(read):
    scan = read(WindowCenter=[1000, 2000], WindowWidth=[0, 501])
    assert scan.receipt.voi == "window 2000/501 (LINEAR), 2 of 2"
    assert "1 of 2 windows make no sense" in scan.receipt.warnings[0]


@pytest.mark.parametrize(
    ("centre", "width"), [(2048, 0), (2048, -5), (2048, 0.5), ("nan", 100), (2048, "inf"), ("", "")]
)
def test_no_usable_window(read, centre, width):
    scan = read(WindowCenter=centre, WindowWidth=width)
    assert scan.receipt.voi == "percentiles 0.5 to 99.5 of the values (20 to 4075)"
    assert any("assumed" in warning for warning in scan.receipt.warnings)
    np.testing.assert_allclose(scan.pixels, np.clip((RAMP.astype(float) - 20) / 4055, 0, 1), atol=2e-6)


def test_a_window_that_shows_nothing(read):
    scan = read(WindowCenter=30000, WindowWidth=10)
    assert "shows nothing" in scan.receipt.warnings[0]
    assert scan.pixels.max() == 1


def test_one_dead_pixel_does_not_take_the_range(read):
    stored = np.random.default_rng(0).integers(1000, 1200, (64, 64)).astype(np.uint16)
    stored[0, 0] = 4095
    scan = read(stored)
    assert 0.3 < scan.pixels.mean() < 0.7


def test_a_drawing_of_two_values(read):
    stored = np.full((64, 64), 100, np.uint16)
    stored[3, 3] = 200
    scan = read(stored)
    assert (scan.pixels[3, 3], scan.pixels[0, 0]) == (1, 0)
    assert scan.receipt.voi.startswith("least to greatest")


def test_eight_bits_are_display_values(read):
    stored = np.arange(50, 150, dtype=np.uint8).reshape(10, 10)
    scan = read(stored, BitsStored=8)
    np.testing.assert_allclose(scan.pixels, stored / 255, atol=1e-6)
    assert (scan.receipt.voi, scan.receipt.warnings) == ("full range of 8 bits", ())


@pytest.mark.parametrize("window", [{}, {"WindowCenter": 100, "WindowWidth": 50}])
def test_constant_image(read, window):
    scan = read(np.full((9, 9), 700, np.uint16), **window)
    assert scan.pixels.min() == scan.pixels.max()
    assert "constant image: every pixel has the same grey" in scan.receipt.warnings


def test_nearly_constant_image(read):
    scan = read(RAMP // 64, WindowCenter=2048, WindowWidth=4096)
    assert any(warning.startswith("nearly constant") for warning in scan.receipt.warnings)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("limit", [None, 40])
def test_padding_is_black_and_counts_for_nothing(read, photometric, limit):
    stored = np.random.default_rng(0).integers(1000, 1200, (64, 64)).astype(np.uint16)
    stored[:30] = 0 if limit is None else np.arange(64) % 41
    elements = {} if limit is None else {"PixelPaddingRangeLimit": limit}
    scan = read(stored, PhotometricInterpretation=photometric, PixelPaddingValue=0, **elements)
    assert not scan.pixels[:30].any()
    assert scan.receipt.voi.startswith("percentiles 0.5 to 99.5 of the values (10")
    assert 0.4 < scan.pixels[30:].mean() < 0.6


def test_signed_padding_written_as_unsigned(tmp_path, dataset, save):
    stored = np.linspace(-2000, 1000, 64 * 64).astype(np.int16).reshape(64, 64)
    made = dataset(stored, PhotometricInterpretation="MONOCHROME1", WindowCenter=-500, WindowWidth=3000)
    made.PixelPaddingValue = 2**16 - 2000
    made["PixelPaddingValue"].VR = "US"
    scan = read_scan(save(tmp_path / "x.dcm", made))
    assert scan.pixels[0, 0] == 0
    assert scan.pixels[0, 10] > 0.9


def test_all_padding(read):
    assert not read(
        np.zeros((5, 5), np.uint16), PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1"
    ).pixels.any()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_voi_lut_goes_before_windows(read, syntax):
    entries = [0, 1023, 5, 512]
    scan = read(VOILUTSequence=lut(entries, 2000, 10), WindowCenter=5, WindowWidth=10, syntax=syntax)
    wanted = np.array(entries)[np.clip(RAMP.astype(int) - 2000, 0, 3)] / 1023
    np.testing.assert_allclose(scan.pixels, wanted, atol=1e-6)
    assert scan.receipt.voi == "VOI LUT"


def test_modality_lut_with_negative_first_value_and_byte_entries(read):
    stored = np.arange(-8, 8, dtype=np.int16).reshape(4, 4)
    entries = [9, 7, 200, 100, 50, 0]
    scan = read(
        stored, ModalityLUTSequence=lut(entries, -3, 8, packed=True), WindowCenter=100, WindowWidth=201, RescaleSlope=5
    )
    levels = np.array(entries)[np.clip(stored + 3, 0, 5)]
    np.testing.assert_allclose(scan.pixels, np.clip((levels - 99.5) / 200 + 0.5, 0, 1), atol=1e-6)
    assert (scan.receipt.rescale, scan.receipt.voi) == (None, "modality LUT, then window 100/201 (LINEAR)")


def test_a_lut_that_is_too_short_is_passed_over(read):
    item = lut([1, 2, 3], 0, 12)
    item[0].LUTDescriptor = [500, 0, 12]
    scan = read(VOILUTSequence=item, WindowCenter=2048, WindowWidth=4096)
    assert "VOILUTSequence is broken" in scan.receipt.warnings[0]
    assert scan.receipt.voi == "window 2048/4096 (LINEAR)"


@pytest.mark.parametrize(("slope", "intercept"), [(0, 0), ("nan", 1), (1, "inf")])
def test_rescale_without_sense(read, slope, intercept):
    scan = read(RescaleSlope=slope, RescaleIntercept=intercept, WindowCenter=2048, WindowWidth=4096)
    assert scan.receipt.rescale is None
    assert "Rescale" in scan.receipt.warnings[0]


def test_rescaled_values_are_not_rounded(read):
    scan = read(RescaleSlope=0.5, RescaleIntercept=0.25, WindowCenter=1000, WindowWidth=101)
    np.testing.assert_allclose(scan.pixels, np.clip((RAMP * 0.5 + 0.25 - 999.5) / 100 + 0.5, 0, 1), atol=2e-6)


def test_negative_slope_turns_the_order(read):
    scan = read(RescaleSlope=-1, RescaleIntercept=4095, WindowCenter=2048, WindowWidth=4096)
    np.testing.assert_allclose(scan.pixels, 1 - RAMP / 4095, atol=2e-6)


@pytest.mark.parametrize(
    ("photometric", "shape", "inverted", "warned"),
    [
        ("MONOCHROME1", None, True, False),
        ("MONOCHROME1", "INVERSE", True, False),
        ("MONOCHROME1", "IDENTITY", False, True),
        ("MONOCHROME2", None, False, False),
        ("MONOCHROME2", "IDENTITY", False, False),
        ("MONOCHROME2", "INVERSE", True, True),
    ],
)
def test_inversion(read, photometric, shape, inverted, warned):
    elements = {"PresentationLUTShape": shape} if shape else {}
    scan = read(PhotometricInterpretation=photometric, WindowCenter=1000, WindowWidth=501, **elements)
    wanted = np.clip((RAMP - 999.5) / 500 + 0.5, 0, 1)
    np.testing.assert_allclose(scan.pixels, 1 - wanted if inverted else wanted, atol=2e-6)
    assert (scan.receipt.inverted, bool(scan.receipt.warnings)) == (inverted, warned)


def test_inversion_after_the_sigmoid(read):
    elements = {"WindowCenter": 1000, "WindowWidth": 501, "VOILUTFunction": "SIGMOID"}
    straight, inverse = (read(PhotometricInterpretation=f"MONOCHROME{k}", **elements).pixels for k in (2, 1))
    np.testing.assert_allclose(straight + inverse, 1, atol=1e-6)


@pytest.mark.skipif(shutil.which("dcm2pnm") is None, reason="dcm2pnm is not installed (Debian package dcmtk)")
@pytest.mark.parametrize("shape", [None, "IDENTITY", "INVERSE"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize(
    ("bits", "signed", "rescale", "window"),
    [
        (12, False, None, (2048, 4096)),
        (12, False, (1, -1024), (40, 400)),
        (12, True, (2, 10), (100, 1500)),
        (16, False, None, (30000, 20000)),
        (16, True, None, (0, 65536)),
        (10, False, (3, -7), (1500, 1801)),  # whole slopes: dcmtk cuts rescaled values to whole numbers
    ],
)
def test_as_dcmtk(tmp_path, dataset, save, photometric, shape, bits, signed, rescale, window):
    low = -(2 ** (bits - 1)) if signed else 0
    stored = np.random.default_rng(0).integers(low, low + 2**bits, (40, 50)).astype(np.int16 if signed else np.uint16)
    made = dataset(stored, BitsStored=bits, PhotometricInterpretation=photometric)
    made.WindowCenter, made.WindowWidth = window
    if rescale:
        made.RescaleSlope, made.RescaleIntercept = rescale
    if shape:
        made.PresentationLUTShape = shape
    path = save(tmp_path / "x.dcm", made)
    text = tmp_path / "x.pgm"
    subprocess.run(["dcm2pnm", "+Wi", "1", "+opw", path, text], check=True, capture_output=True)
    words = " ".join(line for line in text.read_text().splitlines() if not line.startswith("#")).split()
    theirs = np.array(words[4:], float).reshape(stored.shape) / float(words[3])
    np.testing.assert_allclose(read_scan(path).pixels, theirs, atol=4 / 65535)
