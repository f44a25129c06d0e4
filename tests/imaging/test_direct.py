"""Frames straight from their decoders, and run-length headers that are looked at before."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGLosslessSV1, RLELossless
from rle.utils import encode_frame

from medfuse import read_scan
from medfuse.errors import ScanError
from medfuse.imaging.direct import check_runs, decoded
from tests.imaging.conftest import jpeg_lossless

STORED = np.random.default_rng(0).integers(0, 4096, (24, 20)).astype(np.uint16)
FRAME = bytes(encode_frame(STORED.tobytes(), 24, 20, 1, 16, "<"))


def write(tmp_path, dataset, save, frame: bytes, syntax: str):
    made = dataset(STORED, BitsStored=12, WindowCenter=2048, WindowWidth=4096)
    made.PixelData = encapsulate([frame])
    made["PixelData"].is_undefined_length = True
    made["PixelData"].VR = "OB"
    path = tmp_path / "x.dcm"
    save(path, made)
    data = path.read_bytes()
    wrong, right = (f"{uid}\0".encode() if len(uid) % 2 else uid.encode() for uid in ("1.2.840.10008.1.2.1", syntax))
    at = data.index(b"UI", data.index(b"\x02\x00\x10\x00")) + 2
    group = int.from_bytes(data[140:144], "little") + len(right) - len(wrong)
    data = data[:140] + group.to_bytes(4, "little") + data[144:]
    path.write_bytes(data[:at] + struct.pack("<H", len(right)) + right + data[at + 2 + len(wrong) :])
    return path


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ((1, 64), "number of segments"),
        ((16, 64), "number of segments"),
        ((2, 65, 500), "offsets"),
        ((2, 64, 64), "offsets"),
        ((2, 64, 2**32 - 1), "offsets"),
        ((2, 64, 0), "offsets"),
    ],
)
def test_headers_of_runs_that_make_no_sense(tmp_path, dataset, save, capfd, header, reason):
    broken = struct.pack(f"<{len(header)}I", *header).ljust(64, b"\0") + FRAME[64:]
    with pytest.raises(ValueError, match=reason):
        check_runs(broken, segments=2)
    with pytest.raises(ScanError, match="cannot be decoded"):
        read_scan(write(tmp_path, dataset, save, broken, RLELossless))
    assert capfd.readouterr() == ("", "")


def test_sound_headers_of_runs_pass(tmp_path, dataset, save):
    check_runs(FRAME, segments=2)
    scan = read_scan(write(tmp_path, dataset, save, FRAME, RLELossless))
    np.testing.assert_allclose(scan.pixels, STORED / 4095, atol=2e-6)
    with pytest.raises(ValueError, match="shorter"):
        check_runs(FRAME[:40], segments=2)


@pytest.mark.parametrize("samples", [1, 3])
def test_damaged_runs_are_read_or_refused_and_print_nothing(tmp_path, dataset, save, capfd, samples):
    rng = np.random.default_rng(0)
    shape = (12, 10) if samples == 1 else (12, 10, 3)
    stored = rng.integers(0, 4096, shape).astype(np.uint16)
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    path = tmp_path / "x.dcm"
    save(path, dataset(stored, **(colour if samples == 3 else {})), RLELossless)
    sound = path.read_bytes()
    begins = sound.rindex(b"\xfe\xff\x00\xe0") + 8 + 64  # the frame's item, its header of segments, then runs
    read_scan(path)
    for _ in range(120):
        broken = bytearray(sound)
        broken[int(rng.integers(begins, len(sound) - 8))] = int(rng.integers(256))
        path.write_bytes(broken)
        with contextlib.suppress(ScanError):  # damage that leaves enough values is not seen
            assert read_scan(path).pixels.shape == (12, 10)
    assert capfd.readouterr() == ("", "")


def test_a_jpeg_that_ends_too_early_is_refused(tmp_path, dataset, save):
    stream = jpeg_lossless(STORED, 12)
    values = decoded(stream, JPEGLosslessSV1, rows=24, columns=20, bits_allocated=16)
    np.testing.assert_array_equal(values, STORED)
    cut = stream[: len(stream) // 2]
    with pytest.raises(ValueError, match="no end"):
        decoded(cut, JPEGLosslessSV1, rows=24, columns=20, bits_allocated=16)
    with pytest.raises(ScanError, match="cannot be decoded"):
        read_scan(write(tmp_path, dataset, save, cut, JPEGLosslessSV1))


def test_what_is_for_pydicom():
    assert decoded(FRAME, RLELossless, rows=24, columns=21, bits_allocated=16) is None
    assert decoded(b"\xff\xd8nothing\xff\xd9", JPEGLosslessSV1, rows=24, columns=20, bits_allocated=16) is None
