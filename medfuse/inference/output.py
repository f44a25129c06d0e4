"""Predictions to a file: JSON lines, CSV or Parquet, by the file's ending."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from medfuse.case import Prediction
from medfuse.errors import MedfuseError


def record(prediction: Prediction) -> dict[str, Any]:
    """A prediction as the object that `predictions.jsonl` holds."""
    return {
        "case_id": prediction.case_id,
        "probabilities": dict(prediction.probabilities),
        "prediction_set": list(prediction.prediction_set),
        "abstain": prediction.abstain,
        "flagged": list(prediction.flagged),
        "modalities": list(prediction.modalities),
        "contributions": dict(prediction.contributions),
        "warnings": list(prediction.warnings),
        "error": prediction.error,
        "bundle": prediction.bundle,
    }


def write_predictions(
    predictions: Iterable[Prediction], path: str | Path, *, progress: Callable[[int], None] | None = None
) -> list[Prediction]:
    """Write predictions as they come, in one step at the end: a crash leaves no file that looks whole.

    Args:
        predictions: In order.
        path: Ends in `.jsonl`, `.csv` or `.parquet`; CSV and Parquet have one column `p_<label>` a label.
        progress: Called with 1 for each prediction.

    Returns:
        The predictions that have an error or a warning.

    Raises:
        MedfuseError: If the ending is another.
    """
    path = Path(path)
    writers = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    if path.suffix not in writers:
        message = f"{path.name}: predictions are written as {', '.join(writers)}; end the name with one of them"
        raise MedfuseError(message)
    remarkable: list[Prediction] = []

    def watched() -> Iterable[Prediction]:
        for prediction in predictions:
            if prediction.error or prediction.warnings:
                remarkable.append(prediction)
            if progress is not None:
                progress(1)
            yield prediction

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    writers[path.suffix](watched(), partial)
    os.replace(partial, path)
    return remarkable


def _flat(prediction: Prediction) -> dict[str, Any]:
    row = record(prediction)
    probabilities, contributions = row.pop("probabilities"), row.pop("contributions")
    lists = ("prediction_set", "flagged", "modalities", "warnings")
    row |= {key: "|".join(row[key]) for key in lists}
    row |= {f"p_{label}": value for label, value in probabilities.items()}
    return row | {f"contribution_{name}": value for name, value in contributions.items()}


def _jsonl(predictions: Iterable[Prediction], path: Path) -> None:
    with path.open("w", encoding="utf-8") as stream:
        for prediction in predictions:
            stream.write(json.dumps(record(prediction), ensure_ascii=False) + "\n")


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """All columns, in the order of the fullest row; one that failed has no probabilities."""
    return list(max(rows, key=lambda row: len(row), default={"case_id": ""}))


def _csv(predictions: Iterable[Prediction], path: Path) -> None:
    rows = [_flat(prediction) for prediction in predictions]
    columns = _columns(rows)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _parquet(predictions: Iterable[Prediction], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [_flat(prediction) for prediction in predictions]
    columns = _columns(rows)
    table = pa.table({column: [row.get(column) for row in rows] for column in columns})
    pq.write_table(table, path)
