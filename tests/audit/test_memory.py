"""What an audit holds in memory: of each case and file little, of pixels and of the table's rows nothing."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medfuse.audit.files import scan_facts
from medfuse.case import Case, Scan
from medfuse.cohort import Cohort

SIDE = 300


def held(work: Callable[[], object]) -> tuple[int, int]:
    """Bytes that are kept by what `work` gives, and the most that it took meanwhile."""
    tracemalloc.start()
    try:
        result = work()
        kept, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    del result
    return kept, most


@pytest.mark.slow
def test_memory_stays_flat_while_scans_are_read(tmp_path: Path) -> None:
    cases = []
    for number in range(80):
        path = tmp_path / f"{number}.png"
        Image.fromarray(np.random.default_rng(number).integers(0, 255, (SIDE, SIDE), dtype=np.uint8)).save(path)
        cases.append(Case(f"c{number}", f"p{number}", scans=(Scan(path),)))
    list(scan_facts(tuple(cases[:2]), tmp_path, pixels=True))  # what is imported once
    few = held(lambda: list(scan_facts(tuple(cases[:20]), tmp_path, pixels=True)))
    many = held(lambda: list(scan_facts(tuple(cases), tmp_path, pixels=True)))
    pixels = SIDE * SIDE * 4  # of one scan as it is decoded
    assert many[0] - few[0] < 60 * 8_000  # a thumbnail and a few words each
    assert many[1] - few[1] < 60 * 8_000 + 4 * pixels  # not 60 scans, however two threads fall together


@pytest.mark.slow
def test_loading_a_cohort_keeps_no_second_copy_of_its_table(tmp_path: Path) -> None:
    labels = tuple(f"label{number}" for number in range(14))
    cases = tuple(
        Case(f"case{row}", f"patient{row // 2}", time="2020-01-01", labels=dict.fromkeys(labels, row % 2))
        for row in range(3000)
    )
    Cohort(tmp_path, "x", "multilabel", labels, cases).save()
    Cohort.load(tmp_path)
    kept, most = held(lambda: Cohort.load(tmp_path))
    assert most < 1.25 * kept
