"""What a file is, told from its bytes."""

from __future__ import annotations

import pytest

from medfuse.errors import ScanError
from medfuse.imaging import read_scan


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty; fetch it again"),
        (b"<!DOCTYPE html>\n<html><title>404</title></html>", "HTML page, not an image: a failed download"),
        (b"\xef\xbb\xbf\n <HTML><body>Sign in</body></HTML>", "HTML page"),
        (b'<?xml version="1.0"?><html xmlns="x">', "HTML page"),
        (b"patient went home\nSECRET\n", "text file"),
        (b'{"error": "quota"}', "text file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1", "Git LFS pointer"),
        (b"\x1f\x8b\x08\x00rest", "gzip archive; unpack it"),
        (b"PK\x03\x04rest", "zip archive is damaged"),
        (b"%PDF-1.7", "PDF document"),
        (b"GIF89a", "GIF picture"),
        (b"\0" * 344 + b"n+1\0" + b"\0" * 50, "NIfTI file cannot be read"),
        (b"\x08\x00\x05\x00CS\x0a\x00" + bytes(range(256)), "neither DICOM"),
        (bytes(range(256)), "neither DICOM, NIfTI, PNG, JPEG nor TIFF"),
        (b"\0" * 128 + b"DICM", "cut short"),
    ],
)
def test_what_is_no_image(tmp_path, data, reason):
    path = tmp_path / "scan.dcm"
    path.write_bytes(data)
    with pytest.raises(ScanError) as error:
        read_scan(path)
    message = str(error.value)
    assert reason in message
    assert message.startswith("scan.dcm: ")
    assert "\n" not in message
    assert "SECRET" not in message


def test_a_preamble_that_is_a_tiff_is_still_dicom(tmp_path, dataset, save):
    import numpy as np

    path = save(tmp_path / "x.tif", dataset(np.arange(64, dtype=np.uint8).reshape(8, 8)))
    data = bytearray(path.read_bytes())
    data[:4] = b"II*\0"
    path.write_bytes(data)
    assert read_scan(path).receipt.format == "DICOM"
