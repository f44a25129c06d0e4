"""Every photometric, bit depth, sign and transfer syntax against PS3.3's formulas in plain numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy import ndarray
from pydicom.data import get_testdata_file
from pydicom.uid import (
    MPEG4HP41,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from medfuse.errors import ScanError
from medfuse.imaging import read_scan

SYNTAXES = (
    ImplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    RLELossless,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLosslessSV1,
)
NATIVE = SYNTAXES[:4]


def values(bits: int, *, signed: bool, seed: int = 0) -> ndarray:
    """Stored values [35, 37] over the whole range of so many bits, both ends among them."""
    low = -(2 ** (bits - 1)) if signed else 0
    stored = np.random.default_rng(seed).integers(low, low + 2**bits, (35, 37))
    stored[0, :2] = low, low + 2**bits - 1
    return stored.astype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")


def linear(x: ndarray, centre: float, width: float) -> ndarray:
    """PS3.3 C.11.2.1.2.1 word by word, with 0 and 1 for the ends of the output."""
    ramp = (x - (centre - 0.5)) / (width - 1) + 0.5
    return np.where(x <= centre - 0.5 - (width - 1) / 2, 0, np.where(x > centre - 0.5 + (width - 1) / 2, 1, ramp))


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.keyword)
@pytest.mark.parametrize("signed", [False, True], ids=["unsigned", "signed"])
@pytest.mark.parametrize("bits", [8, 10, 12, 16])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_golden(tmp_path, dataset, save, photometric, bits, signed, syntax):
    stored = values(bits, signed=signed)
    slope, intercept = 2.0, -30.0
    centre, width = (0 if signed else 2**bits) + 7.0, 1.5 * 2**bits
    made = dataset(
        stored,
        BitsStored=bits,
        PhotometricInterpretation=photometric,
        RescaleSlope=slope,
        RescaleIntercept=intercept,
        WindowCenter=centre,
        WindowWidth=width,
    )
    scan = read_scan(save(tmp_path / "x.dcm", made, syntax))
    wanted = linear(stored * slope + intercept, centre, width)
    wanted = 1 - wanted if photometric == "MONOCHROME1" else wanted
    assert scan.pixels.dtype == np.float32
    np.testing.assert_allclose(scan.pixels, wanted, atol=2e-6)
    receipt = scan.receipt
    assert (receipt.format, receipt.rows, receipt.columns, receipt.bits) == ("DICOM", 35, 37, bits)
    assert (receipt.photometric, receipt.inverted) == (photometric, photometric == "MONOCHROME1")
    assert (receipt.transfer_syntax, receipt.rescale) == (syntax.name, (slope, intercept))
    assert (receipt.modality, receipt.warnings) == ("CR", ())


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("syntax", NATIVE, ids=lambda syntax: syntax.keyword)
def test_bits_above_bits_stored_are_no_part_of_the_value(tmp_path, dataset, save, syntax, signed):
    stored = values(12, signed=signed)
    overlay = np.random.default_rng(1).integers(0, 16, stored.shape).astype(np.uint16) << 12
    dirty = ((stored.view(np.uint16) & 0x0FFF) | overlay).view(stored.dtype)
    made = dataset(dirty, BitsStored=12, WindowCenter=0 if signed else 2048, WindowWidth=4096)
    scan = read_scan(save(tmp_path / "x.dcm", made, syntax))
    np.testing.assert_allclose(scan.pixels, linear(stored, 0 if signed else 2048, 4096), atol=2e-6)


def test_high_bit_at_the_top(tmp_path, dataset, save):
    stored = values(12, signed=True)
    made = dataset(stored << 4, BitsStored=12, HighBit=15, WindowCenter=0, WindowWidth=4096)
    scan = read_scan(save(tmp_path / "x.dcm", made))
    np.testing.assert_allclose(scan.pixels, linear(stored, 0, 4096), atol=2e-6)
    assert "lowest bit" in scan.receipt.warnings[0]


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("planar", [0, 1])
def test_colours_as_luminance(tmp_path, dataset, save, bits, planar):
    colours = np.random.default_rng(0).integers(0, 2**bits, (6, 5, 3)).astype(f"u{bits // 8}")
    made = dataset(colours if planar == 0 else colours.transpose(2, 0, 1).reshape(6, 5, 3), PlanarConfiguration=planar)
    scan = read_scan(save(tmp_path / "x.dcm", made))
    np.testing.assert_allclose(scan.pixels, colours @ [0.299, 0.587, 0.114] / (2**bits - 1), atol=1e-6)
    assert scan.receipt.voi == "colours as luminance"


def test_luma_of_ybr(tmp_path, dataset, save):
    colours = np.full((6, 5, 3), 128, np.uint8)
    colours[..., 0] = np.arange(30).reshape(6, 5) * 8
    scan = read_scan(save(tmp_path / "x.dcm", dataset(colours, PhotometricInterpretation="YBR_FULL")))
    np.testing.assert_allclose(scan.pixels, colours[..., 0] / 255, atol=1e-6)


@pytest.mark.parametrize("entries", [256, 300])
def test_palette(tmp_path, dataset, save, entries):
    stored = np.arange(304).astype(np.uint16).reshape(16, 19)
    tables = np.random.default_rng(0).integers(0, 256, (3, entries)).astype(np.uint16)
    made = dataset(stored, PhotometricInterpretation="PALETTE COLOR")
    for colour, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        setattr(made, f"{colour}PaletteColorLookupTableDescriptor", [entries, 2, 8])
        packed = table.astype(np.uint8).tobytes()
        setattr(made, f"{colour}PaletteColorLookupTableData", packed)
    scan = read_scan(save(tmp_path / "x.dcm", made))
    luminance = np.array([0.299, 0.587, 0.114]) @ tables / 255
    np.testing.assert_allclose(scan.pixels, luminance[np.clip(stored.astype(int) - 2, 0, entries - 1)], atol=1e-6)


@pytest.mark.parametrize("keyword", ["FloatPixelData", "DoubleFloatPixelData"])
def test_float_pixels(tmp_path, dataset, save, keyword):
    stored = np.linspace(-1, 3, 30).reshape(5, 6).astype("f4" if keyword == "FloatPixelData" else "f8")
    stored[0, 0] = np.nan
    made = dataset(np.zeros((5, 6), np.uint16), PixelData=None, BitsStored=16, VOILUTFunction="LINEAR_EXACT")
    made.BitsAllocated = 8 * stored.itemsize
    made.WindowCenter, made.WindowWidth = 1, 2
    setattr(made, keyword, stored.tobytes())
    scan = read_scan(save(tmp_path / "x.dcm", made))
    np.testing.assert_allclose(scan.pixels, np.nan_to_num(np.clip((stored - 1) / 2 + 0.5, 0, 1)), atol=1e-6)


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("skip", [0, 132])
def test_without_preamble_or_meta(tmp_path, dataset, save, syntax, skip):
    stored = values(12, signed=False)
    path = save(tmp_path / "x", dataset(stored, BitsStored=12, WindowCenter=2048, WindowWidth=4096), syntax)
    data = path.read_bytes()
    start = 132 if skip else 132 + 12 + int.from_bytes(data[140:144], "little")  # after the prefix, or after group 0002
    path.write_bytes(data[start:])
    scan = read_scan(path)
    np.testing.assert_allclose(scan.pixels, linear(stored, 2048, 4096), atol=2e-6)
    assert scan.receipt.transfer_syntax == syntax.name
    assert bool(scan.receipt.warnings) == (skip == 0)


def test_receipt_tells_no_patient_data(tmp_path, dataset, save):
    path = save(tmp_path / "x.dcm", dataset(values(8, signed=False), ViewPosition="PA"))
    scan = read_scan(path)
    assert "Secret" not in repr(scan).title()
    assert scan.receipt.view == "PA"


@pytest.mark.parametrize(
    "name",
    [
        "693_J2KI.dcm",
        "CT_small.dcm",
        "ExplVR_BigEnd.dcm",
        "J2K_pixelrep_mismatch.dcm",
        "JPEG2000.dcm",
        "JPGExtended.dcm",
        "MR_small_padded.dcm",
        "SC_rgb_jls_lossy_line.dcm",
        "SC_rgb_jpeg_gdcm.dcm",
        "SC_rgb_rle_16bit.dcm",
        "SC_ybr_full_422_uncompressed.dcm",
        "examples_jpeg2k.dcm",
        "examples_overlay.dcm",
        "examples_palette.dcm",
        "image_dfl.dcm",
        "rtdose_rle_1frame.dcm",
    ],
)
def test_reads_pydicoms_own_files(name):
    scan = read_scan(get_testdata_file(name, download=False))
    assert scan.pixels.shape == (scan.receipt.rows, scan.receipt.columns)
    assert 0 <= scan.pixels.min() < scan.pixels.max() <= 1


@pytest.mark.parametrize(
    "name",
    ["MR_small_RLE", "MR_small_bigendian", "MR_small_implicit", "MR_small_jp2klossless", "MR_small_jpeg_ls_lossless"],
)
def test_one_image_in_many_syntaxes_is_one_image(name):
    reference = read_scan(get_testdata_file("MR_small.dcm", download=False))
    scan = read_scan(get_testdata_file(f"{name}.dcm", download=False))
    np.testing.assert_array_equal(scan.pixels, reference.pixels)
    assert scan.receipt.transfer_syntax != reference.receipt.transfer_syntax


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("MR_truncated.dcm", "8130 of 8192 bytes of pixels"),
        ("rtplan_truncated.dcm", "cut short"),
        ("rtplan.dcm", "RT Plan Storage) holds no image"),
        ("test-SR.dcm", "Comprehensive SR Storage) holds no image"),
        ("liver_1frame.dcm", "this is a segmentation"),
        ("JPEG2000-embedded-sequence-delimiter.dcm", "another size"),
        ("meta_missing_tsyntax.dcm", "lacks Rows"),
    ],
)
def test_refuses_pydicoms_own_files(name, reason):
    with pytest.raises(ScanError) as error:
        read_scan(get_testdata_file(name, download=False))
    assert reason in str(error.value)
    assert str(error.value).startswith(f"{name}: ")


def refusal(path: Path) -> str:
    with pytest.raises(ScanError) as error:
        read_scan(path)
    message = str(error.value)
    assert "\n" not in message
    assert "SECRET" not in message.upper()
    return message.removeprefix(f"{path.name}: ")


def test_refuses_what_is_cut_short(tmp_path, dataset, save):
    path = save(tmp_path / "x.dcm", dataset(values(12, signed=False), BitsStored=12))
    data = path.read_bytes()
    for length in (len(data) - 1, len(data) - 300, len(data) - 450, 200, 133):
        path.write_bytes(data[:length])
        assert "cut short" in refusal(path) or "lacks" in refusal(path)
    path = save(path, dataset(values(12, signed=False), BitsStored=12), JPEG2000Lossless)
    path.write_bytes(path.read_bytes()[:-40])
    assert "cut short" in refusal(path)


@pytest.mark.parametrize(
    ("elements", "reason"),
    [
        ({"Rows": 65535, "Columns": 65535}, "promises 65535 x 65535 pixels in 1 frames"),
        ({"NumberOfFrames": 2**31 - 1}, "above the bound"),
        ({"NumberOfFrames": 3}, "2590 of 7770 bytes"),
        ({"Rows": 0}, "no size"),
        ({"Rows": None}, "lacks Rows"),
        ({"BitsAllocated": None}, "lacks BitsAllocated"),
        ({"BitsAllocated": 12}, "do not fit"),
        ({"BitsStored": 17}, "do not fit"),
        ({"PixelData": None}, "cut short"),
        ({"PhotometricInterpretation": "HSV"}, "photometric interpretation"),
        ({"PhotometricInterpretation": "RGB"}, "photometric interpretation"),
        ({"PhotometricInterpretation": "PALETTE COLOR"}, "palette is broken"),
        ({"FloatPixelData": b"\0" * 8}, "cut short"),
    ],
)
def test_refuses_impossible_headers(tmp_path, dataset, save, elements, reason):
    made = dataset(values(16, signed=False))
    for keyword, value in elements.items():
        setattr(made, keyword, value) if value is not None else delattr(made, keyword)
    assert reason in refusal(save(tmp_path / "x.dcm", made))


@pytest.mark.parametrize(
    "keyword", ["PhotometricInterpretation", "SamplesPerPixel", "PixelRepresentation", "BitsStored"]
)
def test_says_what_it_takes_for_missing_elements(tmp_path, dataset, save, keyword):
    stored = values(16, signed=False)
    made = dataset(stored, WindowCenter=2**15, WindowWidth=2**16)
    delattr(made, keyword)
    scan = read_scan(save(tmp_path / "x.dcm", made))
    np.testing.assert_allclose(scan.pixels, linear(stored, 2**15, 2**16), atol=2e-6)
    assert scan.receipt.warnings or keyword == "SamplesPerPixel"


def test_refuses_other_transfer_syntaxes(tmp_path, dataset, save):
    path = save(tmp_path / "x.dcm", dataset(values(8, signed=False)))
    data = path.read_bytes()
    explicit, video = b"1.2.840.10008.1.2.1\0", str(MPEG4HP41).encode()
    length = len(data) - 132 - 12 - int.from_bytes(data[140:144], "little")
    assert explicit in data

    def with_syntax(uid: bytes) -> None:
        uid += b"\0" * (len(uid) % 2)
        meta = data[: len(data) - length].replace(
            b"UI" + len(explicit).to_bytes(2, "little") + explicit, b"UI" + len(uid).to_bytes(2, "little") + uid
        )
        path.write_bytes(meta + data[len(data) - length :])

    with_syntax(video)
    assert "holds video" in refusal(path)
    with_syntax(b"1.2.3.4.5")
    assert "a private transfer syntax is not read" in refusal(path)
    with_syntax(str(RLELossless).encode())
    assert "cannot be decoded" in refusal(path)
    with_syntax(str(DeflatedExplicitVRLittleEndian).encode())
    assert "header cannot be read" in refusal(path)


def test_refuses_a_deflated_bomb(tmp_path, dataset, save, monkeypatch):
    path = save(tmp_path / "x.dcm", dataset(np.zeros((900, 900), np.uint16)), DeflatedExplicitVRLittleEndian)
    monkeypatch.setattr("medfuse.imaging.inflate.MAX_BYTES", 2**20)
    assert "inflates to more than" in refusal(path)


def test_refuses_a_compressed_image_of_another_size(tmp_path, dataset, save):
    path = save(tmp_path / "x.dcm", dataset(values(8, signed=False)), JPEG2000Lossless)
    data = bytearray(path.read_bytes())
    at = data.find(b"\xff\x4f\xff\x51")
    data[at + 8 : at + 16] = b"\x00\x00\xff\xff" * 2
    path.write_bytes(data)
    assert "another size" in refusal(path)
