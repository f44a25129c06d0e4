"""PNG, JPEG and TIFF: depth, colour, alpha, orientation, and what is refused."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from medfuse.errors import ScanError
from medfuse.imaging import read_scan

GREY = np.arange(240, dtype=np.uint8).reshape(12, 20)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_eight_bits_as_they_are(tmp_path, kind):
    Image.fromarray(GREY).save(tmp_path / "x.jpg", kind)  # by content, not by ending
    scan = read_scan(tmp_path / "x.jpg")
    np.testing.assert_allclose(scan.pixels, GREY / 255, atol=1e-6)
    receipt = scan.receipt
    assert (receipt.format, receipt.rows, receipt.columns, receipt.bits) == (kind, 12, 20, 8)
    assert (receipt.photometric, receipt.transfer_syntax, scan.spacing) == ("L", None, None)
    assert receipt.warnings == ()


def test_jpeg(tmp_path):
    Image.fromarray(np.repeat(np.repeat(GREY, 8, 0), 8, 1)).save(tmp_path / "x", "JPEG", quality=95)
    scan = read_scan(tmp_path / "x")
    assert scan.receipt.format == "JPEG"
    np.testing.assert_allclose(scan.pixels[4::8, 4::8], GREY / 255, atol=0.02)


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_sixteen_bits_are_spread_and_it_says_so(tmp_path, kind):
    stored = np.linspace(100, 4000, 4096).astype(np.uint16).reshape(64, 64)
    Image.fromarray(stored).save(tmp_path / "x", kind)
    scan = read_scan(tmp_path / "x")
    low, high = np.quantile(stored, (0.005, 0.995), method="inverted_cdf")
    np.testing.assert_allclose(scan.pixels, np.clip((stored - float(low)) / (float(high) - low), 0, 1), atol=1e-6)
    assert scan.receipt.bits == 16
    assert "assumed" in scan.receipt.warnings[0]


def test_big_endian_tiff_and_float_tiff(tmp_path):
    stored = np.linspace(100, 4000, 4096).astype(np.uint16).reshape(64, 64)
    Image.fromarray(stored).save(tmp_path / "little", "TIFF")
    reference = read_scan(tmp_path / "little").pixels
    Image.frombytes("I;16B", (64, 64), stored.byteswap().tobytes()).save(tmp_path / "big", "TIFF")
    Image.fromarray(stored.astype(np.float32)).save(tmp_path / "float", "TIFF")
    np.testing.assert_array_equal(read_scan(tmp_path / "big").pixels, reference)
    np.testing.assert_allclose(read_scan(tmp_path / "float").pixels, reference, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_white_is_zero_tiff(tmp_path, dtype):
    stored = np.arange(256, dtype=dtype).reshape(16, 16)
    image = Image.fromarray(stored)
    image.save(tmp_path / "x", "TIFF")
    data = bytearray((tmp_path / "x").read_bytes())
    at = data.find(struct.pack("<HHI", 262, 3, 1))
    data[at + 8 : at + 10] = b"\0\0"
    (tmp_path / "x").write_bytes(data)
    scan = read_scan(tmp_path / "x")
    assert scan.receipt.inverted
    assert scan.pixels[0, 0] == 1
    assert scan.pixels[-1, -1] == 0


def test_colours_and_alpha(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (9, 7, 4)).astype(np.uint8)
    Image.fromarray(colours[..., :3]).save(tmp_path / "rgb", "PNG")
    Image.fromarray(colours).save(tmp_path / "rgba", "PNG")
    luma = colours[..., :3] @ [0.299, 0.587, 0.114] / 255
    np.testing.assert_allclose(read_scan(tmp_path / "rgb").pixels, luma, atol=0.005)
    np.testing.assert_allclose(read_scan(tmp_path / "rgba").pixels, luma * colours[..., 3] / 255, atol=0.01)


@pytest.mark.parametrize("mode", ["1", "P", "LA", "PA", "CMYK", "YCbCr"])
def test_other_modes(tmp_path, mode):
    image = Image.fromarray(np.where(GREY > 120, 255, 0).astype(np.uint8))
    kind = "JPEG" if mode in ("CMYK", "YCbCr") else "TIFF" if mode == "PA" else "PNG"
    image.convert("L" if mode == "1" else "RGB").convert(mode).save(
        tmp_path / "x", kind, **({"quality": 100} if kind == "JPEG" else {})
    )
    np.testing.assert_allclose(read_scan(tmp_path / "x").pixels, GREY > 120, atol=0.2)


def test_sixteen_bit_colours_warn(tmp_path):
    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    pixels = b"".join(b"\0" + bytes([row * 20, 7] * 3 * 4) for row in range(12))
    header = struct.pack(">IIBBBBB", 4, 12, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")
    (tmp_path / "x.png").write_bytes(data)
    scan = read_scan(tmp_path / "x.png")
    np.testing.assert_allclose(scan.pixels[:, 0], np.arange(12) * 20 / 255, atol=1e-6)
    assert scan.receipt.warnings == ("16-bit colours were read at 8 bits",)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
def test_exif_orientation(tmp_path, kind):
    stored = np.zeros((16, 24), np.uint8)
    stored[:8, :12] = 255  # top left
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    Image.fromarray(stored).save(tmp_path / "x", kind, exif=exif)
    scan = read_scan(tmp_path / "x")
    assert scan.pixels.shape == (24, 16)
    assert scan.pixels[4, 12] > 0.9  # top right now
    assert scan.pixels[20, 4] < 0.1
    assert scan.receipt.warnings == ("turned upright as its EXIF orientation says",)


def refusal(path) -> str:
    with pytest.raises(ScanError) as error:
        read_scan(path)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
def test_cut_short(tmp_path, kind):
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 60)).astype(np.uint8))
    image.save(tmp_path / "x", kind, **({"compression": "tiff_lzw"} if kind == "TIFF" else {}))
    data = (tmp_path / "x").read_bytes()
    for length in (len(data) // 2, 20):
        (tmp_path / "x").write_bytes(data[:length])
        assert f"this {kind} cannot be decoded" in refusal(tmp_path / "x")


def test_several_pages(tmp_path):
    pages = [Image.fromarray(GREY) for _ in range(3)]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    assert "3 frames" in refusal(tmp_path / "x.tif")


@pytest.mark.parametrize("side", [12000, 60000])  # above our bound; above Pillow's own too
def test_a_picture_that_promises_too_much(tmp_path, side):
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))
    body = b"IDAT" + zlib.compress(b"\0" * 100)
    data += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    (tmp_path / "x.png").write_bytes(data)
    assert "promises more than" in refusal(tmp_path / "x.png")
