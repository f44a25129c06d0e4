"""Reading predictions from JSON lines: one bad line costs only itself."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from medfuse.case import MODALITIES, Prediction
from medfuse.errors import MedfuseError

_KEYS = ("case_id", "probabilities", "prediction_set", "abstain", "modalities", "contributions", "warnings", "error")


class _LineError(ValueError):
    """What is wrong with a line, told without quoting it."""


def read_predictions(path: str | Path) -> tuple[dict[str, Prediction], tuple[str, ...]]:
    """The predictions by case, and what was wrong with the file's lines.

    Args:
        path: JSON lines, as `medfuse classify` writes them.

    Returns:
        Predictions by `case_id` in the file's order, and one message for each line that was left out.

    Raises:
        MedfuseError: If the file cannot be read at all.
    """
    path = Path(path)
    try:
        lines = path.read_bytes().split(b"\n")  # not splitlines: a note's odd line ends are no line ends here
    except OSError as error:
        message = f"{path}: the predictions cannot be read: {error.strerror}; `medfuse classify` writes them"
        raise MedfuseError(message) from error
    predictions: dict[str, Prediction] = {}
    problems: list[str] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            prediction = _prediction_of(json.loads(line))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            # Errors of the parsers may quote the line, so they are not passed on.
            reason = str(error) if isinstance(error, _LineError) else "not a prediction in JSON"
            problems.append(f"{path.name} line {number}: {reason}; the line is left out")
            continue
        if prediction.case_id in predictions:
            problems.append(f"{path.name} line {number}: its case stands there twice; the first counts")
            continue
        predictions[prediction.case_id] = prediction
    return predictions, tuple(problems)


def _prediction_of(entry: Any) -> Prediction:
    absent = [key for key in _KEYS if key not in entry]
    if absent:
        message = f"it lacks {', '.join(absent)}"
        raise _LineError(message)
    probabilities = {str(label): float(value) for label, value in entry["probabilities"].items()}
    contributions = {str(name): float(value) for name, value in entry["contributions"].items()}
    error = entry["error"]
    faults = {
        "case_id is not a text": not isinstance(entry["case_id"], str) or not entry["case_id"],
        "a probability is not within 0 and 1": not all(0 <= value <= 1 for value in probabilities.values()),
        "neither probabilities nor an error": not probabilities and not error,
        "error is neither null nor a text": error is not None and not isinstance(error, str),
        "the prediction set names a label without a probability": not set(entry["prediction_set"])
        <= set(probabilities),
        f"a modality is none of {', '.join(MODALITIES)}": (
            not set(entry["modalities"]) | set(contributions) <= set(MODALITIES)
        ),
        "a contribution is not a number": not all(map(math.isfinite, contributions.values())),
    }
    for fault, present in faults.items():
        if present:
            raise _LineError(fault)
    return Prediction(
        case_id=entry["case_id"],
        probabilities=probabilities,
        prediction_set=tuple(entry["prediction_set"]),
        abstain=bool(entry["abstain"]),
        modalities=tuple(entry["modalities"]),
        contributions=contributions,
        warnings=tuple(str(warning) for warning in entry["warnings"]),
        error=error or None,
        bundle=str(entry.get("bundle") or ""),
    )
