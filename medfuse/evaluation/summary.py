"""What `metrics.json` says: figures with intervals for all labels together and for each, confusion, reliability."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.cohort import Task
from medfuse.evaluation.intervals import (
    DRAWS,
    LEVEL,
    bootstrap,
    centred_interval,
    percentile_interval,
    wilson_interval,
)
from medfuse.evaluation.metrics import BINS, METRICS, Scorer, calibrated_ece, categorical_log_loss

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
        best: True posterior of the same cases by evidence (`image`, `text`, `tabular`, `all`), where it is known.

    Returns:
        `summary` first, as of `headline` with `n_unlabelled` and `best_reachable_auroc`; then `task`; `interval` (how
        intervals were made); `labels` (by label: `n`, `n_positive`, `n_negative`, `prevalence` and the metrics);
        `confusion`; `reliability` (by label: bins with `mean_predicted`, `observed`, `n`, `low`, `high`).

    Raises:
        ValueError: If shapes or values are not as said.
    """
    truth, probability = np.asarray(truth, dtype=float), np.asarray(probability, dtype=float)
    if truth.ndim != 2 or truth.shape != (len(patients), len(labels)):
        message = f"truth is {truth.shape}; {len(patients)} cases with {len(labels)} labels were expected"
        raise ValueError(message)
    measured = _Measured(truth, probability, patients, task, draws, seed)
    summary = measured.headline() | {"n_unlabelled": len(truth) - len(measured.truth)}
    if undefined := [label for label, value in zip(labels, measured.value["auroc"], strict=True) if math.isnan(value)]:
        summary["labels_without_auroc"] = undefined
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
            "method": "percentile bootstrap over patients; that of ece is moved so that its draws' mean is the value",
        },
        "labels": {label: measured.of_label(index) for index, label in enumerate(labels)},
        "confusion": _confusion(measured.truth, measured.probability, labels=labels, task=task),
        "reliability": dict(zip(labels, map(_reliability, measured.scorer.bins()), strict=True)),
    }


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
    return _Measured(truth, probability, patients, task, draws, seed).headline()


class _Measured:
    """Values and bootstrap draws of every metric on the labelled cases."""

    def __init__(
        self, truth: ndarray, probability: ndarray, patients: Sequence[str], task: Task, draws: int, seed: int
    ) -> None:
        self.known = ~np.isnan(truth).all(axis=1)
        self.truth, self.probability = truth[self.known], probability[self.known]
        self.patients = [patient for patient, known in zip(patients, self.known, strict=True) if known]
        self.n_patients = len(set(self.patients))
        self.exclusive = task == "multiclass"
        self.seed = seed
        self.scorer = Scorer(truth=self.truth, probability=self.probability)
        self.value = {name: value[0] for name, value in self._scored(np.ones((1, len(self.truth)))).items()}
        if self.n_patients < 2:  # every draw would be the sample itself, and its interval a false certainty
            draws = 0
        drawn = bootstrap(self._scored, patients=self.patients, draws=draws, seed=seed)
        self.draws = drawn or {name: np.empty((0, *np.shape(value))) for name, value in self.value.items()}

    def _scored(self, weight: Float[ndarray, "b n"]) -> dict[str, ndarray]:
        scored = self.scorer(weight)
        if self.exclusive:
            scored["categorical"] = categorical_log_loss(self.truth, self.probability, weight)
        return scored

    def headline(self) -> dict[str, Any]:
        summary: dict[str, Any] = {}
        for name in METRICS:
            if name == "log_loss" and self.exclusive:
                value, draws = self.value["categorical"], self.draws["categorical"]
            else:
                # The labels that have a value, in each draw the same ones: a draw without one of them is left out,
                # because a mean over other labels is another quantity.
                defined = ~np.isnan(self.value[name])
                value = self.value[name][defined].mean() if defined.any() else np.nan
                draws = self.draws[name][:, defined].mean(axis=1) if defined.any() else np.empty(0)
            why = "no labelled case" if not len(self.truth) else "no label has cases with and cases without it"
            summary[name] = self._figure(name, value, draws, why)
        chance = calibrated_ece(
            truth=self.truth, probability=self.probability, exclusive=self.exclusive, seed=self.seed
        )
        low, high = percentile_interval(chance)
        summary["ece_if_calibrated"] = {"value": _number(chance.mean()), "low": _number(low), "high": _number(high)}
        return summary | {"n_cases": len(self.truth), "n_patients": self.n_patients}

    def of_label(self, index: int) -> dict[str, Any]:
        column = self.truth[:, index]
        n, positive = int((~np.isnan(column)).sum()), int((column == 1).sum())
        why = (
            "no case for which it is known"
            if n == 0
            else "no case with this label"
            if positive == 0
            else "no case without this label"
        )
        counts = {"n": n, "n_positive": positive, "n_negative": n - positive}
        figures = {
            name: self._figure(name, self.value[name][index], self.draws[name][:, index], why) for name in METRICS
        }
        return counts | {"prevalence": positive / n if n else None} | figures

    def _figure(self, name: str, value: float, draws: Float[ndarray, " draws"], why: str) -> dict[str, Any]:
        """Value and interval, with the reason for whatever is not there."""
        if math.isnan(value):
            return {"value": None, "low": None, "high": None, "reason": why}
        value = float(value)
        lost = int(np.isnan(draws).sum())
        if lost == len(draws):
            why = (
                "one patient gives no interval"
                if self.n_patients < 2
                else "no draw has what the metric needs"
                if lost
                else "no draws were asked for"
            )
            return {"value": value, "low": None, "high": None, "reason": why}
        low, high = centred_interval(draws, value=value) if name == "ece" else percentile_interval(draws)
        return {"value": value, "low": low, "high": high} | ({"draws_left_out": lost} if lost else {})


def _best(truth: ndarray, posterior: ndarray) -> float | None:
    """Macro AUROC of the true posterior; None unless it is known for every case."""
    if not len(truth) or np.isnan(posterior).any():
        return None
    values = Scorer(truth=truth, probability=posterior)()["auroc"]
    return _number(values[~np.isnan(values)].mean()) if (~np.isnan(values)).any() else None


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


def _number(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
