"""Damaged DICOM files by the thousand: each must be read or refused in one line, soon, and in little memory.

    python -m tests.imaging.mutants 5000

prints what happened as JSON; the seed is fixed, so the same files come every time.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom.data
from pydicom.dataset import Dataset
from pydicom.uid import (
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
from tests.imaging.conftest import _dataset, _save

SECONDS = 2.0  # that one file may take
MEGABYTES = 1024  # that the process may take
_ALL_ONES = (
    b"\xff\xff\xff\xff",
    b"\xff\xff",
    b"\x00\x00\x00\x80",
    b"\xff\xff\xff\x7f",
    b"\x00\x00",
    b"\x00\x00\x00\x00",
)


def peak_kilobytes() -> int:
    """The most memory this program had (Linux); `ru_maxrss` would count the process that started it too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0])


def originals(folder: Path) -> list[bytes]:
    """pydicom's own images up to 700 kB, and one made in each syntax and in several frames; all can be read."""
    test_files = Path(pydicom.data.__file__).parent / "test_files"
    found = [path.read_bytes() for path in sorted(test_files.glob("*.dcm")) if path.stat().st_size < 700_000]
    stored = np.random.default_rng(0).integers(0, 4096, (64, 48)).astype(np.uint16)
    for syntax in (
        ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian,
        RLELossless, JPEG2000Lossless, JPEGLSLossless, JPEGLosslessSV1,
    ):  # fmt: skip
        made = _dataset(stored, BitsStored=12, RescaleSlope=2, RescaleIntercept=-9, PixelPaddingValue=0)
        made.WindowCenter, made.WindowWidth, made.VOILUTFunction = [2000, 9], [3000, 8], "LINEAR"
        made.PixelSpacing, made.ViewPosition = [0.2, 0.2], "PA"
        found.append(_save(folder / "x", made, syntax).read_bytes())
    made = _dataset(stored, BitsStored=12, NumberOfFrames=3)
    made.PixelData = made.PixelData * 3
    made.PerFrameFunctionalGroupsSequence = []
    for place in range(3):
        frame, position = Dataset(), Dataset()
        position.ImagePositionPatient = [0, 0, place]
        frame.PlanePositionSequence = [position]
        made.PerFrameFunctionalGroupsSequence.append(frame)
    found.append(_save(folder / "x", made).read_bytes())
    return [data for data in found if _readable(folder / "x", data)]


def _readable(path: Path, data: bytes) -> bool:
    path.write_bytes(data)
    try:
        return read_scan(path).pixels is not None
    except ScanError:
        return False


def mutants(count: int, folder: Path, *, seed: int = 0) -> Iterator[bytes]:
    """Files with bytes changed, cut off, taken out, doubled, or numbers set to their extremes."""
    rng = np.random.default_rng(seed)
    originals_ = originals(folder)
    for number in range(count):
        data = bytearray(originals_[number % len(originals_)])
        pixels = max(data.rfind(b"\xe0\x7f\x10\x00"), 0)
        # A third in the header, a third where pixels and their codestream begin, a third anywhere.
        low, high = [(0, min(1500, len(data))), (pixels, min(pixels + 200, len(data))), (0, len(data))][number % 3]
        for _ in range(int(rng.geometric(0.4))):
            at = int(rng.integers(low, high))
            kind = rng.integers(0, 6)
            if kind <= 1:
                data[at : at + 1] = rng.bytes(1)
            elif kind == 2:
                ones = _ALL_ONES[rng.integers(len(_ALL_ONES))]
                data[at : at + len(ones)] = ones
            elif kind == 3:
                del data[at : at + int(rng.integers(1, 40))]
            elif kind == 4:
                data[at:at] = data[at : at + int(rng.integers(1, 400))]
            elif rng.random() < 0.2:
                del data[at:]
            high = min(high, len(data))
            if high <= low:
                break
        yield bytes(data)


def run(count: int) -> dict[str, object]:
    """Read that many mutants; what is neither read nor refused in one line raises."""
    outcome, slowest, times = {"read": 0, "refused": 0}, 0.0, []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mutant.dcm"
        before = peak_kilobytes()
        for data in mutants(count, Path(folder)):
            path.write_bytes(data)
            start = time.process_time()
            try:
                scan = read_scan(path)
            except ScanError as error:
                if "\n" in str(error) or not str(error).startswith("mutant.dcm: "):
                    raise
                outcome["refused"] += 1
            else:
                if scan.pixels is None or not np.isfinite(scan.pixels).all():
                    message = "pixels that are no numbers"
                    raise AssertionError(message)
                outcome["read"] += 1
            times.append(time.process_time() - start)
            slowest = max(slowest, times[-1])
    peak = peak_kilobytes() // 1024
    return {
        **outcome,
        "slowest_seconds": round(slowest, 3),
        "median_seconds": round(float(np.median(times)), 4),
        "peak_megabytes": peak,
        "megabytes_before": before // 1024,
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(run(int(sys.argv[1]) if len(sys.argv) > 1 else 5000)) + "\n")
