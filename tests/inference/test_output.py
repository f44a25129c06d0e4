"""Rows are written as they come, whatever the first of them lacks."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from medfuse.case import Prediction
from medfuse.inference import output, write_predictions


def made(count: int) -> Iterator[Prediction]:
    for number in range(count):
        if number < 3:
            yield Prediction(f"c{number}", error="no scan", bundle="b")
        else:
            p = number / count
            yield Prediction(
                f"c{number}", {"ill": p, "well": 1 - p}, ("ill",), contributions={"image": 0.1}, bundle="b"
            )


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_of_later_rows_are_there_and_none_is_lost_between_groups(
    ending: str, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(output, "_GROUP", 4)
    path = tmp_path / f"p.{ending}"
    failed = write_predictions(made(11), path)
    table = pd.read_csv(path) if ending == "csv" else pd.read_parquet(path)
    assert list(table.case_id) == [f"c{number}" for number in range(11)]
    assert list(table.p_ill.isna()) == [True] * 3 + [False] * 8
    assert list(table.p_ill[3:]) == pytest.approx([number / 11 for number in range(3, 11)])
    assert list(table.error[:3]) == ["no scan"] * 3
    assert (failed.cases, failed.failed, failed.remarkable) == (11, 3, 3)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_nothing_to_write_is_a_file_without_rows(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"p.{ending}"
    assert write_predictions([], path).cases == 0
    assert path.exists()


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_memory_does_not_grow_with_the_rows(ending: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(output, "_GROUP", 100)
    write_predictions(made(100), tmp_path / f"warm.{ending}")  # imports are not counted
    peaks = []
    for count in (400, 4000):
        tracemalloc.start()
        write_predictions(made(count), tmp_path / f"{count}.{ending}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0] + 200_000
