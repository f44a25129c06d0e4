"""Every image among pydicom's own test files, shown by medfuse and by dcmtk, is the same image."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pydicom.data
import pytest

from medfuse.case import ScanReceipt
from medfuse.errors import ScanError
from medfuse.imaging import read_scan

FILES = sorted((Path(pydicom.data.__file__).parent / "test_files").glob("*.dcm"))
PROGRAMS = {"JPEG-LS": "dcml2pnm", "JPEG": "dcmj2pnm"}  # dcmtk's by what it decodes; the rest dcm2pnm
EXACT = 4 / 65535  # dcmtk writes 16 bits
TOLERANCES = {
    "JPGExtended": (1.01 / 112, "lossy JPEG of 12 bits: two inverse cosine transforms differ by one stored value"),
    "SC_ybr_full_422_uncompressed": (0.6 / 255, "dcmtk rounds red, green and blue to 8 bits before the luminance"),
}
EXCEPTIONS = {
    "SC_rgb_jpeg": "dcmtk finds the end of the file too early; two more files here hold the same picture",
    "rtdose_expb": "dcmtk swaps big endian values of 32 bits as words of 16; compared with the little endian file",
    "rtdose_expb_1frame": "the same",
}


def by_dcmtk(path: Path, out: Path, receipt: ScanReceipt) -> np.ndarray | None:
    """The first shown frame as dcmtk shows it with the same window, colours as luminance; None if it shows none."""
    voi, syntax = receipt.voi, receipt.transfer_syntax
    program = next((program for name, program in PROGRAMS.items() if syntax.startswith(name)), "dcm2pnm")
    options = []
    if voi.startswith("window"):
        centre, width = (float(part) for part in voi.split()[1].split("/"))
        options = ["+Ww", f"{centre}", f"{width}"]
    elif voi.startswith("full range of 8 bits"):
        options = ["+Ww", "128", "256"]
    elif "(" in voi:  # a range: PS3.3 C.11.2.1.2.1 solved for centre and width
        low, high = (float(part) for part in voi.split("(")[1].rstrip(")").split(" to "))
        options = ["+Ww", f"{(low + high) / 2 + 0.5}", f"{high - low + 1}"]
    done = subprocess.run(
        [program, "-O", "+F", f"{receipt.shown[0]}", "+opw", *options, path, out], capture_output=True, check=False
    )
    if done.returncode or not out.exists():
        return None
    lines = [line for line in out.read_text().splitlines() if not line.startswith("#")]
    kind, columns, rows, top, *values = " ".join(lines).split()
    shape = (int(rows), int(columns), 3) if kind == "P3" else (int(rows), int(columns))
    array = np.array(values, float).reshape(shape) / float(top)
    return array @ [0.299, 0.587, 0.114] if kind == "P3" else array


@pytest.mark.skipif(shutil.which("dcm2pnm") is None, reason="dcm2pnm is not installed (Debian package dcmtk)")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_shown_as_dcmtk_shows_it(tmp_path, path):
    try:
        scan = read_scan(path)
    except ScanError:
        pytest.skip("refused; see test_dicom.py")
    if scan.receipt.transfer_syntax.startswith("JPEG 2000"):
        pytest.skip("dcmtk decodes no JPEG 2000")
    ours = scan.pixels if scan.pixels.ndim == 2 else scan.pixels[0]
    theirs = by_dcmtk(path, tmp_path / "x.pnm", scan.receipt)
    if path.stem in EXCEPTIONS:  # if dcmtk learns it, the exception goes
        assert theirs is None or np.abs(ours - theirs).max() > 0.5
        return
    assert theirs is not None
    np.testing.assert_allclose(ours, theirs, atol=TOLERANCES.get(path.stem, (EXACT,))[0])


@pytest.mark.parametrize("name", ["rtdose_expb", "rtdose_expb_1frame"])
def test_big_endian_dose_is_the_little_endian_one(name):
    paths = [path for path in FILES if path.stem in (name, name.replace("_expb", ""))]
    one, other = (read_scan(path).pixels for path in paths)
    np.testing.assert_array_equal(one, other)
