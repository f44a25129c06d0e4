"""Abstention: what is gained, and by whom, when the cases that the model is least sure of are left to a reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medfuse.calibration.calibrator import labelled
from medfuse.calibration.choose import clustered_error
from medfuse.cohort import Task

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

KEPT = (0.9, 0.8, 0.7, 0.5)  # shares of the cases at which a curve is looked at for harm
SURE = 1.96  # standard errors; a warning is not given for less
LEAST = 5  # errors of a label below which nothing is said of it


@dataclass(frozen=True)
class RiskCoverage:
    """Error among the cases that are kept, as the least sure ones are left out.

    Attributes:
        coverage: Share of all cases that is kept [N], rising; cases of equal confidence come in together.
        risk: Share of those kept that is wrong [N].
        aurc: Area under it, the mean risk over all coverages.
        by_label: Coverage, risk and area of the cases that truly have each label, in the same order of confidence: a
            label whose risk rises towards low coverage is harmed. None where no case has it.
        warnings: Labels that abstaining harms while it helps the rest, one line each.
    """

    coverage: Float[ndarray, " n"]
    risk: Float[ndarray, " n"]
    aurc: float
    by_label: tuple[tuple[Float[ndarray, " k"], Float[ndarray, " k"], float] | None, ...]
    warnings: tuple[str, ...] = ()


def risk_coverage(
    probability: Float[ndarray, "n c"],
    labels: Float[ndarray, "n c"],
    *,
    names: Sequence[str],
    patients: Sequence[str],
    task: Task,
) -> RiskCoverage:
    r"""The risk-coverage curve over all cases and within each label.

    Multiclass: a case is wrong if its most probable label is not the true one, its confidence is that probability.
    Multilabel: each known answer of each label counts by itself, wrong if $p \ge 0.5$ is not the label, confidence
    $\max(p, 1 - p)$; within a label the positive answers are looked at, whose risk is the share missed.

    Abstaining on low confidence can widen gaps: where a label's cases are mostly wrong, those that the model is sure
    of are wrong more often still. A warning is given where at one of the `KEPT` shares the risk over all falls and
    that within a label rises, both by more than `SURE` standard errors over patients, or where the label keeps less
    than half of the share that all cases keep.

    Args:
        probability: Calibrated probabilities of held-out cases [N, C].
        labels: 1, 0 or NaN (not known) [N, C].
        names: The labels' names [C].
        patients: The patient of each case [N].
        task: `multiclass` or `multilabel`.

    Raises:
        ValueError: If no case is labelled.

    Sources: El-Yaniv & Wiener 2010, On the Foundations of Noise-free Selective Classification (JMLR 11); area as in
    Geifman, Uziel & El-Yaniv 2019, arXiv:1805.08206, section 3; harm as in Jones et al. 2021, Selective Classification
    Can Magnify Disparities Across Groups (ICLR).
    """
    known = labelled(labels, task)
    if not known.any():
        message = "no labelled case to draw a risk-coverage curve from"
        raise ValueError(message)
    probability, labels = probability[known], labels[known]
    who = np.unique(np.asarray(patients, dtype=str), return_inverse=True)[1][known]
    if task == "multiclass":
        confidence, wrong = probability.max(axis=1), probability.argmax(axis=1) != labels.argmax(axis=1)
        of_label = labels.argmax(axis=1)
    else:
        case, place = np.nonzero(~np.isnan(labels))
        p, told, who = probability[case, place], labels[case, place] == 1, who[case]
        confidence, wrong = np.maximum(p, 1 - p), (p >= 0.5) != told
        of_label = np.where(told, place, -1)
    coverage, risk = _curve(confidence, wrong)
    by_label: list[tuple[ndarray, ndarray, float] | None] = []
    warnings: list[str] = []
    for label, name in enumerate(names):
        own = of_label == label
        if not own.any():
            by_label.append(None)
            continue
        curve = _curve(confidence[own], wrong[own])
        by_label.append((*curve, float(curve[1].mean())))
        warnings += _harm(confidence, wrong, own, who, name)
    return RiskCoverage(coverage, risk, float(risk.mean()), tuple(by_label), tuple(warnings))


def _curve(confidence: ndarray, wrong: ndarray) -> tuple[Float[ndarray, " n"], Float[ndarray, " n"]]:
    """Coverage and risk, one point a case; within a tie the risk is that of the whole tie."""
    order = np.argsort(-confidence, kind="stable")
    sure = confidence[order]
    last = np.searchsorted(-sure, -sure, side="right") - 1  # where the tie of each case ends
    risk = (np.cumsum(wrong[order]) / np.arange(1, len(order) + 1))[last]
    return np.arange(1, len(order) + 1) / len(order), risk


def _harm(confidence: ndarray, wrong: ndarray, own: ndarray, who: ndarray, name: str) -> list[str]:
    if wrong[own].sum() < LEAST:
        return []
    for share in KEPT:
        kept = confidence >= np.quantile(confidence, 1 - share, method="lower")
        left = kept & own
        if own.mean() < 0.5 and left.sum() / own.sum() < 0.5 * kept.mean():
            return [
                f"leaving {1 - share:.0%} of the cases to a reader leaves {1 - left.sum() / own.sum():.0%} of {name} to"
                " them: what the model still decides hardly holds that label"
            ]
        if not left.any():
            continue
        all_change, all_error = _change(wrong, kept, np.ones_like(kept), who)
        change, error = _change(wrong, kept, own, who)
        if all_change < -SURE * all_error and change > SURE * error:
            return [
                f"keeping the surest {share:.0%} of the cases lowers the error over all by {-all_change:.3f} and raises"
                f" that of {name} by {change:.3f}: abstaining helps the others at the cost of this label"
            ]
    return []


def _change(wrong: ndarray, kept: ndarray, among: ndarray, who: ndarray) -> tuple[float, float]:
    """Risk among the kept less that among all, and its standard error over patients (by linearisation)."""
    kept, wrong = kept[among].astype(float), wrong[among].astype(float)
    risk, all_risk = (kept * wrong).sum() / kept.sum(), wrong.mean()
    influence = kept * (wrong - risk) / kept.mean() - (wrong - all_risk)
    return float(risk - all_risk), clustered_error(influence, who[among])
