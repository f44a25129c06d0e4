"""What `metrics.json` says: figures with intervals for all labels together and for each, confusion, reliability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.cohort import Task
from medfuse.evaluation.intervals import DRAWS, LEVEL, number, wilson_interval
from medfuse.evaluation.measured import METHOD, Measured
from medfuse.evaluation.metrics import BINS, Scorer
from medfuse.evaluation.operating import at_threshold, decision_curve
from medfuse.evaluation.reliability import reliability_of, top_label_error

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

THRESHOLD = 0.5  # from which a multilabel confusion table counts a label as predicted


def summarise(
    *,
    truth: Float[ndarray, "n c"],
    probability: Float[ndarray, "n c"],
    patients: Sequence[str],
    labels: Sequence[str],
    task: Task,
    draws: int = DRAWS,
    seed: int = 0,
    thresholds: Float[ndarray, "n c"] | None = None,
    best: Mapping[str, Float[ndarray, "n c"]] | None = None,
) -> dict[str, Any]:
    """All that is measured from truth and probabilities, ready for JSON (what is undefined is None, with a reason).

    Cases without any known label are left out and counted.

    Args:
        truth: 1, 0 or NaN (not known) [N, C].
        probability: Probability of each label [N, C].
        patients: Whose each case is [N].
        labels: Names of the labels [C].
        task: `multiclass` or `multilabel`.
        draws: Bootstrap draws; 0 for no intervals.
        seed: Of the draws. The same seed and cases give the same draws to every model.
        thresholds: From which each label counts as predicted, fixed on other cases than these [N, C]; NaN where none
            could be. None leaves out what needs them.
        best: True posterior of the same cases by evidence (`image`, `text`, `tabular`, `all`), where it is known.

    Returns:
        `summary` first, as of `headline` with `n_unlabelled`, `ece_most_probable` (multiclass) and
        `best_reachable_auroc`; then `task`; `interval` (how
        intervals were made); `labels` (by label: `n`, `n_positive`, `n_negative`, `prevalence` and the metrics);
        `confusion`; `reliability` (by label: bins with `mean_predicted`, `observed`, `n`, `low`, `high`); `calibration`
        (by label, as of `reliability_of`), `operating` (by label, as of `at_threshold`) and `decision_curves` (by
        label, as of `decision_curve`).

    Raises:
        ValueError: If shapes or values are not as said.
    """
    truth, probability = np.asarray(truth, dtype=float), np.asarray(probability, dtype=float)
    if truth.ndim != 2 or truth.shape != (len(patients), len(labels)):
        message = f"truth is {truth.shape}; {len(patients)} cases with {len(labels)} labels were expected"
        raise ValueError(message)
    measured = Measured(truth, probability, patients, task, draws, seed)
    summary = measured.headline() | {"n_unlabelled": len(truth) - len(measured.truth)}
    if undefined := [label for label, value in zip(labels, measured.value["auroc"], strict=True) if math.isnan(value)]:
        summary["labels_without_auroc"] = undefined
    if measured.exclusive:
        summary["ece_most_probable"] = top_label_error(measured.truth, measured.probability)
    if best:
        summary["best_reachable_auroc"] = {
            evidence: _best(measured.truth, np.asarray(posterior, dtype=float)[measured.known])
            for evidence, posterior in best.items()
        }
    return {
        "summary": summary,
        "task": task,
        "interval": {
            "level": LEVEL,
            "draws": draws,
            "seed": seed,
            "method": METHOD,
        },
        "labels": {label: measured.of_label(index) for index, label in enumerate(labels)},
        "confusion": _confusion(measured.truth, measured.probability, labels=labels, task=task),
        "reliability": dict(zip(labels, map(_reliability, measured.scorer.bins()), strict=True)),
    } | _by_label(measured, labels, None if thresholds is None else np.asarray(thresholds)[measured.known])


def headline(
    *,
    truth: Float[ndarray, "n c"],
    probability: Float[ndarray, "n c"],
    patients: Sequence[str],
    task: Task,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Any]:
    """The metrics over all labels together, for a whole test set or a part of it. Arguments as in `summarise`.

    AUROC, AUPRC, Brier and ECE are means over the labels for which they are defined (macro averages); so is log loss
    in a multilabel task, and in a multiclass task it is the categorical one.

    Returns:
        Each metric as `value`, `low` and `high`, with `reason` where one of them is None and `draws_left_out` where a
        draw lacked what the metric needs; `ece_if_calibrated`, what chance alone would give a perfectly calibrated
        model on these cases; `n_cases` and `n_patients`.
    """
    truth, probability = np.asarray(truth, dtype=float), np.asarray(probability, dtype=float)
    return Measured(truth, probability, patients, task, draws, seed).headline()


def _by_label(
    measured: Measured, labels: Sequence[str], thresholds: Float[ndarray, "n c"] | None
) -> dict[str, dict[str, Any]]:
    """Calibration, figures at the fixed thresholds and net benefit, from the cases for which a label is known."""
    found: dict[str, dict[str, Any]] = {"calibration": {}, "operating": {}, "decision_curves": {}}
    patients = np.array(measured.patients, dtype=str)
    for c, label in enumerate(labels):
        rows = np.flatnonzero(~np.isnan(measured.truth[:, c]))
        answer, said, whose = measured.truth[rows, c], measured.probability[rows, c], patients[rows]
        found["calibration"][label] = reliability_of(answer, said, whose)
        found["decision_curves"][label] = decision_curve(answer, said, whose)
        if thresholds is not None:
            told = ~np.isnan(thresholds[rows, c])
            at = thresholds[rows, c][told]
            found["operating"][label] = {
                "threshold": float(at[0]) if at.size and (at == at[0]).all() else None,
                "n_without_threshold": int((~told).sum()),
                **at_threshold(answer[told], said[told], at, whose[told]),
            }
    return found if thresholds is not None else {k: v for k, v in found.items() if k != "operating"}


def _best(truth: ndarray, posterior: ndarray) -> float | None:
    """Macro AUROC of the true posterior; None unless it is known for every case."""
    if not len(truth) or np.isnan(posterior).any():
        return None
    values = Scorer(truth=truth, probability=posterior)()["auroc"]
    return number(values[~np.isnan(values)].mean()) if (~np.isnan(values)).any() else None


def _confusion(truth: ndarray, probability: ndarray, *, labels: Sequence[str], task: Task) -> dict[str, Any]:
    """Counts of cases, rows by truth and columns by prediction."""
    if task == "multiclass":
        counts = np.zeros((len(labels), len(labels)), dtype=int)
        told = np.nansum(truth, axis=1) == 1
        if told.any():
            np.add.at(counts, (np.nanargmax(truth[told], axis=1), probability[told].argmax(axis=1)), 1)
        return {"rows": "truth", "columns": "most probable label", "labels": list(labels), "counts": counts.tolist()}
    tables = {}
    for index, label in enumerate(labels):
        known = ~np.isnan(truth[:, index])
        counts = np.zeros((2, 2), dtype=int)
        predicted = probability[known, index] >= THRESHOLD
        np.add.at(counts, (truth[known, index].astype(int), predicted.astype(int)), 1)
        tables[label] = counts.tolist()
    return {"rows": "truth (absent, present)", "columns": "predicted", "threshold": THRESHOLD, "by_label": tables}


def _reliability(bins: Float[ndarray, "bins 3"]) -> list[dict[str, Any]]:
    """Each of at most `BINS` bins, with a Wilson interval for the observed fraction."""
    points = []
    for mean, positive, n in bins.tolist()[:BINS]:
        low, high = wilson_interval(positive=positive, total=n)
        points.append({"mean_predicted": mean, "observed": positive / n, "n": int(n), "low": low, "high": high})
    return points
