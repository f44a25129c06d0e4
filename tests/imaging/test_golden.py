"""The golden corpus: every way from stored values to grey, with the expected pixels computed here from the standard.

Nothing here calls the reader's own transforms: values are made, the formulas of PS3.3 are applied to them in plain
numpy, and only then is the file read.
"""

from __future__ import annotations

from base64 import b64decode

import numpy as np
import pytest
from numpy import ndarray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from medfuse.imaging import read_scan

NATIVE = (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)
ENCODED = (RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1)


def values(bits: int, *, signed: bool) -> ndarray:
    """Stored values [35, 37] over the whole range of so many bits, both ends among them."""
    low = -(2 ** (bits - 1)) if signed else 0
    stored = np.random.default_rng(bits).integers(low, low + 2**bits, (35, 37))
    stored[0, :2] = low, low + 2**bits - 1
    size = 8 if bits <= 8 else 16 if bits <= 16 else 32
    return stored.astype(f"{'i' if signed else 'u'}{size // 8}")


def table(entries: ndarray, first: int, bits: int) -> list[Dataset]:
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item["LUTDescriptor"].VR = "SS" if first < 0 else "US"
    item.LUTData = [int(entry) for entry in entries]
    item["LUTData"].VR = "US"
    return [item]


def looked_up(x: ndarray, entries: ndarray, first: int) -> ndarray:
    return entries[np.clip(x.astype(np.int64) - first, 0, len(entries) - 1)].astype(float)


CURVE = np.random.default_rng(1).integers(0, 4096, 256)  # 12 bits; no order, so that an entry beside is told
STEPS = np.random.default_rng(2).permutation(256)[:200]  # 8 bits


def transform(name: str, low: int, full: int) -> tuple[dict, object]:
    """Elements of a transform, and the same as a function from stored values to grey."""
    centre, width = low + 0.4 * full, max(4.0, 0.6 * full)
    c, w = float(f"{centre:.6g}"), float(f"{width:.6g}")
    half = float(f"{c / 2 + 3:.6g}")
    window = {"WindowCenter": c, "WindowWidth": w}
    first = max(low, -30)
    ways = {
        "LINEAR": (window, lambda x: np.clip((x - (c - 0.5)) / (w - 1) + 0.5, 0, 1)),
        "LINEAR_EXACT": (
            {**window, "VOILUTFunction": "LINEAR_EXACT"},
            lambda x: np.clip((x - c) / w + 0.5, 0, 1),
        ),
        "SIGMOID": ({**window, "VOILUTFunction": "SIGMOID"}, lambda x: 1 / (1 + np.exp(-4 * (x - c) / w))),
        "rescale": (
            {"WindowCenter": half, "WindowWidth": w, "RescaleSlope": 0.5, "RescaleIntercept": 3},
            lambda x: np.clip((x * 0.5 + 3 - (half - 0.5)) / (w - 1) + 0.5, 0, 1),
        ),
        "modality LUT": (
            {"WindowCenter": 128, "WindowWidth": 256, "ModalityLUTSequence": table(STEPS, first, 8)},
            lambda x: looked_up(x, STEPS, first) / 255,
        ),
        "VOI LUT": ({"VOILUTSequence": table(CURVE, first, 12)}, lambda x: looked_up(x, CURVE, first) / 4095),
        "both LUTs": (
            {"ModalityLUTSequence": table(STEPS, first, 8), "VOILUTSequence": table(CURVE, 20, 12)},
            lambda x: looked_up(looked_up(x, STEPS, first), CURVE, 20) / 4095,
        ),
    }
    return ways[name]


WAYS = ("LINEAR", "LINEAR_EXACT", "SIGMOID", "rescale", "modality LUT", "VOI LUT", "both LUTs")


def check(tmp_path, dataset, save, *, photometric, bits, signed, syntax, way):
    stored = values(bits, signed=signed)
    low, high = int(stored[0, 0]), int(stored[0, 1])
    if "LUT" in way and bits > 8:  # within the table and beyond both of its ends
        near = np.random.default_rng(bits).integers(max(low, -60), 300, stored.shape)
        stored = np.clip(near, low, high).astype(stored.dtype)
    elements, formula = transform(way, -(2 ** (bits - 1)) if signed else 0, 2**bits)
    made = dataset(stored, BitsStored=bits, PhotometricInterpretation=photometric, **elements)
    scan = read_scan(save(tmp_path / "x.dcm", made, syntax))
    wanted = formula(stored.astype(np.float64))
    wanted = 1 - wanted if photometric == "MONOCHROME1" else wanted
    assert np.ptp(wanted) > 0.1, "the expected image shows nothing, so the test would"
    np.testing.assert_allclose(scan.pixels, wanted, atol=2e-6)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", [2, 7, 8, 9, 12, 16, 20, 32])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_bits_signs_and_transforms(tmp_path, dataset, save, photometric, bits, signed, way):
    check(
        tmp_path, dataset, save,
        photometric=photometric, bits=bits, signed=signed, syntax=ExplicitVRLittleEndian, way=way,
    )  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", [8, 14])
@pytest.mark.parametrize("syntax", [*NATIVE, *ENCODED], ids=lambda syntax: syntax.keyword)
def test_syntaxes_and_transforms(tmp_path, dataset, save, syntax, bits, signed, way):
    check(tmp_path, dataset, save, photometric="MONOCHROME1", bits=bits, signed=signed, syntax=syntax, way=way)


@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
def test_32_bits_in_every_syntax_that_holds_them(tmp_path, dataset, save, syntax, signed):
    check(tmp_path, dataset, save, photometric="MONOCHROME2", bits=32, signed=signed, syntax=syntax, way="LINEAR")


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("syntax", NATIVE[:3], ids=lambda syntax: syntax.keyword)
def test_one_bit(tmp_path, dataset, save, syntax, frames):
    """Eight pixels a byte, the first in the lowest bit; frames follow each other without a gap (PS3.5 8.1.1, 8.2)."""
    stored = np.random.default_rng(0).integers(0, 2, (frames, 5, 7)).astype(np.uint8)
    made = dataset(stored[0], BitsStored=1, NumberOfFrames=frames)
    made.BitsAllocated = 1
    packed = np.packbits(stored.ravel(), bitorder="little").tobytes()
    made.PixelData = packed + b"\0" * (len(packed) % 2)
    made["PixelData"].VR = "OB"
    scan = read_scan(save(tmp_path / "x.dcm", made, syntax))
    np.testing.assert_array_equal(scan.pixels, stored if frames > 1 else stored[0])


@pytest.mark.parametrize("planar", [0, 1])
@pytest.mark.parametrize("photometric", ["RGB", "YBR_FULL"])
@pytest.mark.parametrize("syntax", [*NATIVE, RLELossless], ids=lambda syntax: syntax.keyword)
def test_colours(tmp_path, dataset, save, syntax, photometric, planar):
    colours = np.random.default_rng(0).integers(0, 256, (6, 5, 3)).astype(np.uint8)
    if photometric == "YBR_FULL":
        colours[..., 1:] = 128 + colours[..., 1:] // 16 - 8  # near grey, where no colour leaves the cube
        colours[..., 0] = 40 + colours[..., 0] // 2
    ordered = colours if planar == 0 else colours.transpose(2, 0, 1).reshape(6, 5, 3)
    if syntax == RLELossless and planar == 1:
        pytest.skip("RLE has its own order of planes (PS3.5 annex G)")
    made = dataset(ordered, PhotometricInterpretation=photometric, PlanarConfiguration=planar)
    scan = read_scan(save(tmp_path / "x.dcm", made, syntax))
    wanted = colours @ [0.299, 0.587, 0.114] / 255 if photometric == "RGB" else colours[..., 0] / 255
    np.testing.assert_allclose(scan.pixels, wanted, atol=1e-6 if photometric == "RGB" else 1 / 255)


HTJ2K = (
    "/0//UQApQAAAAAASAAAAEAAAAAAAAAAAAAAAEgAAABAAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAIEBEAB/1wACiCI"
    "kJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAANYAAf+TwAAuxP9/Z/n3/F/29/zVvN1eBd+dj7Sf5Unrx+9J"
    "6FT2PrlHfV6+KEe6AH/6y6gfQgAxuwDAABWQAAWpAABWgHdvZfHy+oIjxcJ2ALRTtgKK+48EdC7J9+A4fnIATLgAv1f884V/+sAw"
    "QKZWAMAALdgABdBAAC0wwEAgMDDA+M9//NN//3scMPnvkEfmDvuX1+ELfAD+SZOSkpKW/0jl/SNL/pc0/kea/kROeBHLGMD2WQJ9"
    "AP73/3//f/73/lAMP5jAB+mCewD/2Q=="
)  # made by imagecodecs 2026.3.6 (OpenJPH) of the values below


def test_high_throughput_jpeg_2000(tmp_path, dataset, save):
    stored = np.fromfunction(lambda y, x: (y * 211 + x * 97) % 4096, (16, 18)).astype(np.uint16)
    made = dataset(stored, BitsStored=12, WindowCenter=2048, WindowWidth=4096)
    made.PixelData = encapsulate([b64decode(HTJ2K)])
    made["PixelData"].is_undefined_length = True
    scan = read_scan(save(tmp_path / "x.dcm", made, HTJ2KLossless))
    np.testing.assert_allclose(scan.pixels, stored / 4095, atol=2e-6)
    assert scan.receipt.transfer_syntax == HTJ2KLossless.name
