"""Predictions to a file: JSON lines, CSV or Parquet, by the file's ending."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from medfuse.case import Prediction
from medfuse.errors import MedfuseError
from medfuse.inference.summary import Summary

_GROUP = 10_000  # rows of a Parquet file that are in memory together


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
) -> Summary:
    """Write predictions as they come, in one step at the end: a crash leaves no file that looks whole.

    Args:
        predictions: In order.
        path: Ends in `.jsonl`, `.csv` or `.parquet`; CSV and Parquet have one column `p_<label>` a label.
        progress: Called with 1 for each prediction.

    Returns:
        How many there were, and what went wrong.

    Raises:
        MedfuseError: If the ending is another.
    """
    path = Path(path)
    writers = {".jsonl": _jsonl, ".csv": _csv, ".parquet": _parquet}
    if path.suffix not in writers:
        message = f"{path.name}: predictions are written as {', '.join(writers)}; end the name with one of them"
        raise MedfuseError(message)
    summary = Summary()

    def watched() -> Iterable[Prediction]:
        for prediction in summary.watch(predictions):
            if progress is not None:
                progress(1)
            yield prediction

    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    writers[path.suffix](watched(), partial)
    os.replace(partial, path)
    return summary


def flat(prediction: Prediction) -> dict[str, Any]:
    """A prediction as a row of a table: one column `p_<label>` a label, lists joined by `|`."""
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


@contextmanager
def _spooled(predictions: Iterable[Prediction], path: Path) -> Iterator[tuple[list[str], Iterator[dict[str, Any]]]]:
    """All columns, in the order of the fullest row (one that failed has no probabilities), and the rows.

    Rows wait on disk until the last has told its columns, so that memory does not grow with their number.
    """
    columns = ["case_id"]
    with TemporaryFile("w+", encoding="utf-8", dir=path.parent) as spool:
        for prediction in predictions:
            row = flat(prediction)
            columns = list(row) if len(row) > len(columns) else columns
            spool.write(json.dumps(row) + "\n")
        spool.seek(0)
        yield columns, map(json.loads, spool)


def _csv(predictions: Iterable[Prediction], path: Path) -> None:
    with _spooled(predictions, path) as (columns, rows), path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def schema_of(columns: Iterable[str]) -> Any:
    """The Arrow schema of these columns of `flat` rows."""
    import pyarrow as pa

    def kind(column: str) -> pa.DataType:
        if column == "abstain":
            return pa.bool_()
        return pa.float64() if column.startswith(("p_", "contribution_")) else pa.string()

    return pa.schema([(column, kind(column)) for column in columns])


def _parquet(predictions: Iterable[Prediction], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    with _spooled(predictions, path) as (columns, rows):
        schema = schema_of(columns)
        with pq.ParquetWriter(path, schema) as writer:
            while group := list(islice(rows, _GROUP)):
                writer.write_table(pa.table({name: [row.get(name) for row in group] for name in columns}, schema))
