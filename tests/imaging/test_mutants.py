"""Damaged files by the hundred here, by the thousand with `python -m tests.imaging.mutants 5000`."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless

from tests.imaging.mutants import MEGABYTES, SECONDS

LIMITED = """
import sys
from pathlib import Path
from medfuse.errors import ScanError
from medfuse.imaging import read_scan
import numpy, pydicom, PIL.Image, medfuse.imaging.scanned
def peak():  # not ru_maxrss, which counts the process that started this one too
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
before = peak()
try:
    read_scan(sys.argv[1])
except ScanError as error:
    print((peak() - before) // 1024, error)
"""


def test_every_mutant_is_read_or_refused_soon_and_in_little_memory():
    """In a process of its own, so that a decoder that ends the process is a failure and memory is counted."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.imaging.mutants", "400"], capture_output=True, text=True, check=False, timeout=200
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout)
    assert found["read"] + found["refused"] == 400
    assert found["read"] > 40
    assert found["refused"] > 100
    assert found["slowest_seconds"] < SECONDS
    assert found["peak_megabytes"] < MEGABYTES


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless])
@pytest.mark.parametrize(
    "promise",
    [
        {"Rows": 60000, "Columns": 60000, "NumberOfFrames": 1000},
        {"Rows": 60000, "Columns": 60000},
        {"Rows": 8000, "Columns": 8000},
        {"NumberOfFrames": 60000},
        {"Rows": 30000, "Columns": 2000},
    ],
)
def test_a_bomb_is_refused_before_memory_is_taken(tmp_path, dataset, save, syntax, promise):
    made = dataset(np.zeros((40, 40), np.uint16))
    path = save(tmp_path / "x.dcm", made, syntax)
    from pydicom import dcmread

    bomb = dcmread(path)
    for keyword, value in promise.items():
        setattr(bomb, keyword, value)
    bomb.save_as(path)
    done = subprocess.run([sys.executable, "-c", LIMITED, path], capture_output=True, text=True, check=True)
    megabytes, line = done.stdout.split(" ", 1)
    assert int(megabytes) < 40
    assert line.startswith("x.dcm: ")
    assert line.count("\n") == 1
