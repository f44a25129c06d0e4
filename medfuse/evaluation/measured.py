"""Values of every metric on labelled cases, with their bootstrap draws and the intervals made of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.cohort import Task
from medfuse.evaluation.binned import Gaps, error_interval, gaps_of
from medfuse.evaluation.delong import delong
from medfuse.evaluation.intervals import (
    bca_interval,
    bootstrap,
    jackknife,
    number,
    percentile_interval,
)
from medfuse.evaluation.metrics import METRICS, SCORED, Scorer, calibrated_ece, categorical_log_loss

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

METHOD = (
    "bias-corrected and accelerated bootstrap over patients (percentile where the bias has no estimate); that of ece "
    "and ece_debiased inverts tests of the size of the true gaps, and that of ece is widened to hold its value"
)
SAME = "every draw gives the same value, so an interval would be false certainty"
ALIKE = "all probabilities are alike, so no case ranks above another"


class Measured:
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
        left_out = jackknife(self._scored, patients=self.patients) if draws else {}
        self.left_out = left_out or {name: np.empty((0, *np.shape(value))) for name, value in self.value.items()}
        self.alike = np.ptp(self.probability, axis=0) == 0 if len(self.probability) else np.zeros(truth.shape[1], bool)

    def _scored(self, weight: Float[ndarray, "b n"]) -> dict[str, ndarray]:
        scored = self.scorer(weight)
        if self.exclusive:
            scored["categorical"] = categorical_log_loss(self.truth, self.probability, weight)
        return scored

    def headline(self) -> dict[str, Any]:
        """The metrics over all labels together, as of `headline` in `summary`."""
        summary: dict[str, Any] = {}
        for name in METRICS:
            value, draws, left_out = self.over_labels(name)
            why = "no labelled case" if not len(self.truth) else "no label has cases with and cases without it"
            ranked = bool((~self.alike & ~np.isnan(self.value[name])).any())
            summary[name] = self._figure(name, value, draws, left_out, why, ranked=ranked)
        gaps = gaps_of(self.truth, self.probability, self.patients)
        summary["ece"], summary["ece_debiased"] = self._error(summary["ece"], gaps)
        chance = calibrated_ece(
            truth=self.truth, probability=self.probability, exclusive=self.exclusive, seed=self.seed
        )
        low, high = percentile_interval(chance)
        summary["ece_if_calibrated"] = {"value": number(chance.mean()), "low": number(low), "high": number(high)}
        return summary | {"n_cases": len(self.truth), "n_patients": self.n_patients}

    def over_labels(self, name: str) -> tuple[float, Float[ndarray, " draws"], Float[ndarray, " groups"]]:
        """A metric's mean over the labels, its draws and its jackknife; the categorical log loss where labels exclude.

        The labels are those that have a value, in each draw the same ones: a draw without one of them is NaN, because
        a mean over other labels is another quantity.
        """
        if name == "log_loss" and self.exclusive:
            return float(self.value["categorical"]), self.draws["categorical"], self.left_out["categorical"]
        defined = ~np.isnan(self.value[name])
        if not defined.any():
            return math.nan, np.empty(0), np.empty(0)
        means = (found[name][:, defined].mean(axis=1) for found in (self.draws, self.left_out))
        return float(self.value[name][defined].mean()), *means

    def of_label(self, index: int) -> dict[str, Any]:
        """Counts and metrics of one label against the rest."""
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
            name: self._figure(
                name,
                self.value[name][index],
                self.draws[name][:, index],
                self.left_out[name][:, index],
                why,
                ranked=not self.alike[index],
            )
            for name in SCORED
        }
        gaps = gaps_of(column[:, None], self.probability[:, index : index + 1], self.patients)
        figures["ece"], figures["ece_debiased"] = self._error(figures["ece"], gaps)
        low, high = delong(column, self.probability[:, index], patients=self.patients).interval()
        figures["auroc_delong"] = {"low": number(low), "high": number(high)}
        return counts | {"prevalence": positive / n if n else None} | figures

    def _error(self, plain: dict[str, Any], gaps: Sequence[Gaps]) -> tuple[dict[str, Any], dict[str, Any]]:
        """The calibration error with its interval, widened to hold the value, and the estimate that it belongs to."""
        if plain["value"] is None or not len(self.draws["ece"]):
            return plain, plain | {"value": None}
        low, middle, high = error_interval(gaps, seed=self.seed)
        value = plain["value"]
        wide = {"value": value, "low": min(low, value), "high": max(high, value)}
        return wide, {"value": middle, "low": low, "high": high}

    def _figure(
        self, name: str, value: float, draws: ndarray, left_out: ndarray, why: str, *, ranked: bool
    ) -> dict[str, Any]:
        """Value and interval, with the reason for whatever is not there."""
        if math.isnan(value):
            return {"value": None, "low": None, "high": None, "reason": why}
        value = float(value)
        if not ranked and name in ("auroc", "auprc", "sensitivity_at_specificity"):
            return {"value": value, "low": None, "high": None, "reason": ALIKE}
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
        if lost < len(draws) and np.nanmin(draws) == np.nanmax(draws):  # such as an AUROC of 1 in every draw
            return {"value": value, "low": None, "high": None, "reason": SAME}
        low, high = bca_interval(draws, value=value, left_out=left_out)
        return {"value": value, "low": low, "high": high} | ({"draws_left_out": lost} if lost else {})
