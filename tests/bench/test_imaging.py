"""The radiographs of the bench are the same image in every syntax, and every side reads them."""

from __future__ import annotations

import numpy as np

from medfuse.bench import Settings, run
from medfuse.bench import imaging as bench
from medfuse.imaging import read_scan


def test_one_image_in_every_syntax(tmp_path) -> None:
    paths = bench.write_all(tmp_path, side=96, seed=0)
    scans = {name: read_scan(path) for name, path in paths.items()}
    assert len({scan.receipt.transfer_syntax for scan in scans.values()}) == len(paths) == 11
    for name, scan in scans.items():
        lossy = name in ("jpeg-2000", "jpeg-12-bit", "jpeg-8-bit")
        np.testing.assert_allclose(scan.pixels, scans["explicit"].pixels, atol=0.04 if lossy else 0, err_msg=name)


def test_every_side_is_measured_and_the_aims_are_named(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(bench, "SIDE", 96)
    report = run("imaging", Settings(rounds=1, work=tmp_path))
    names = {timing.name for timing in report.timings}
    assert {"explicit: medfuse", "explicit: monai", "jpeg-ls: pyjpegls", "htj2k: pylibjpeg"} <= names
    aims = {(one.name, one.than): one.aim for one in report.comparisons}
    assert aims["rle: medfuse", "rle: monai"] == 5.0
    assert aims["jpeg-ls: medfuse", "jpeg-ls: pyjpegls"] == 1.0
