"""What a model does at a threshold: sensitivity, specificity, predictive values, likelihood ratios, net benefit."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.evaluation.delong import wald
from medfuse.evaluation.intervals import number, wilson_interval

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

SHARES = ("sensitivity", "specificity", "ppv", "npv")
PREFERENCES = tuple(round(0.02 * step, 2) for step in range(1, 50))  # threshold probabilities of a decision curve

Totals = Callable[["Float[ndarray, '4']"], float]


def at_threshold(
    answer: ndarray,
    probability: Float[ndarray, " n"],
    threshold: float | Float[ndarray, " n"],
    patients: Sequence[str] | ndarray,
) -> dict[str, Any]:
    """Every figure of the two by two table of one label, with intervals over patients.

    Shares have Wilson intervals at the effective number of cases, that is divided by the design effect of cases of one
    patient (Rao & Scott 1992, Biometrics 48:577-585). F1 and MCC have normal intervals and the likelihood ratios
    log-normal ones (Simel et al. 1991, J. Clin. Epidemiol. 44:763-770), by the delta method over patients.

    Args:
        answer: 1 or 0 [N].
        probability: [N].
        threshold: From which the label counts as predicted: one, or one a case (as in cross-validation).
        patients: Whose each case is [N].

    Returns:
        `counts` (`tp`, `fp`, `fn`, `tn`) and each figure as `value`, `low`, `high`, with `reason` where it is None.
    """
    answer, said = np.asarray(answer) == 1, np.asarray(probability) >= threshold
    names, member = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    cells = (answer & said, ~answer & said, answer & ~said, ~answer & ~said)
    by_patient = np.stack([np.bincount(member, weights=cell, minlength=len(names)) for cell in cells], axis=1)
    tp, fp, fn, tn = total = by_patient.sum(axis=0)
    of = {"sensitivity": ((0,), (0, 2)), "specificity": ((3,), (1, 3)), "ppv": ((0,), (0, 1)), "npv": ((3,), (2, 3))}
    found: dict[str, Any] = {"counts": {"tp": int(tp), "fp": int(fp), "fn": int(fn), "tn": int(tn)}}
    why = {
        "sensitivity": "no case with this label",
        "specificity": "no case without this label",
        "ppv": "no case was predicted to have it",
        "npv": "no case was predicted not to have it",
    }
    for name, (above, below) in of.items():
        found[name] = share_interval(by_patient[:, above].sum(axis=1), by_patient[:, below].sum(axis=1), why[name])
    found["f1"] = _delta(by_patient, _f1, bounds=(0, 1), why="no case with this label, predicted or true")
    found["mcc"] = _delta(by_patient, _mcc, bounds=(-1, 1), why="a row or a column of the table is empty")
    lacking = "undefined with an empty class or a share of exactly 0 or 1"
    for name, ratio in (("lr_positive", _log_lr_positive), ("lr_negative", _log_lr_negative)):
        found[name] = _exponential(_delta(by_patient, ratio, bounds=(-math.inf, math.inf), why=lacking))
    found["counts"]["n"] = int(total.sum())
    return found


def decision_curve(
    answer: ndarray, probability: Float[ndarray, " n"], patients: Sequence[str] | ndarray
) -> list[dict[str, Any]]:
    r"""Net benefit of acting on the model, with its interval over patients, beside acting on all.

    $\frac{TP}{n} - \frac{FP}{n} \frac{p_t}{1 - p_t}$ at each threshold probability $p_t$ (Vickers & Elkin 2006,
    Medical Decision Making 26:565-574); acting on nobody gives 0.

    Returns:
        One entry a threshold: `threshold`, `model`, `low`, `high`, `all`; empty without a case.
    """
    answer, probability = np.asarray(answer) == 1, np.asarray(probability)
    if not len(answer):
        return []
    names, member = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    sizes = np.bincount(member, minlength=len(names))
    n, base, curve = len(answer), float(answer.mean()), []
    for preference in PREFERENCES:
        odds = preference / (1 - preference)
        gain = np.where(probability >= preference, np.where(answer, 1.0, -odds), 0.0)
        value = float(gain.mean())
        low = high = math.nan
        if len(names) > 1:
            spread = np.bincount(member, weights=gain, minlength=len(names)) - value * sizes
            low, high = wald(value, float((spread**2).sum()) / n**2 * len(names) / (len(names) - 1))
        curve.append(
            {
                "threshold": preference,
                "model": value,
                "low": number(low),
                "high": number(high),
                "all": base - (1 - base) * odds,
            }
        )
    return curve


def share_interval(above: Float[ndarray, " g"], below: Float[ndarray, " g"], why: str) -> dict[str, Any]:
    """A share with a Wilson interval at the effective number of cases (Rao & Scott 1992).

    Args:
        above: What is counted, by patient [G].
        below: Out of how many, by patient [G].
        why: The reason to give where there is nothing to count.
    """
    total, positive = float(below.sum()), float(above.sum())
    if not total:
        return _nothing(why)
    share = positive / total
    patients = int((below > 0).sum())
    if patients < 2:
        return {"value": share, "low": None, "high": None, "reason": "one patient gives no interval"}
    if 0 < share < 1:
        spread = float(((above - share * below) ** 2).sum()) / total**2 * patients / (patients - 1)
        effect = spread / (share * (1 - share) / total)
    else:
        effect = float((below**2).sum()) / total  # no spread was seen: as if cases of a patient were all alike
    effective = total / max(1.0, effect)
    low, high = wilson_interval(positive=share * effective, total=effective)
    return {"value": share, "low": min(low, share), "high": max(high, share)}


def _delta(
    by_patient: Float[ndarray, "g 4"], figure: Totals, *, bounds: tuple[float, float], why: str
) -> dict[str, Any]:
    """A smooth function of the four totals with a normal interval: its gradient times each patient's counts."""
    total = by_patient.sum(axis=0)
    value = figure(total)
    if not math.isfinite(value):
        return _nothing(why)
    step = 1e-4 * max(1.0, total.sum())
    ahead, behind = (np.array([figure(total + sign * step * axis) for axis in np.eye(4)]) for sign in (1e-3, -1e-3))
    gradient = (ahead - behind) / (2e-3 * step)
    patients = len(by_patient)
    low = high = math.nan
    if patients > 1 and np.isfinite(gradient).all():
        moved = by_patient @ gradient
        low, high = wald(value, float((moved**2).sum()) * patients / (patients - 1), bounds=bounds)
    lacking = {} if not math.isnan(low) else {"reason": "no spread between patients was seen"}
    return {"value": value, "low": number(low), "high": number(high)} | lacking


def _f1(cells: ndarray) -> float:
    tp, fp, fn, _ = cells
    return float(2 * tp / (2 * tp + fp + fn)) if 2 * tp + fp + fn > 0 else math.nan


def _mcc(cells: ndarray) -> float:
    tp, fp, fn, tn = cells
    margin = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return float((tp * tn - fp * fn) / math.sqrt(margin)) if margin > 0 else math.nan


def _log_lr_positive(cells: ndarray) -> float:
    tp, fp, fn, tn = cells
    return math.log(tp / (tp + fn)) - math.log(fp / (fp + tn)) if min(tp, fp) > 0 else math.nan


def _log_lr_negative(cells: ndarray) -> float:
    tp, fp, fn, tn = cells
    return math.log(fn / (tp + fn)) - math.log(tn / (fp + tn)) if min(fn, tn) > 0 else math.nan


def _exponential(figure: dict[str, Any]) -> dict[str, Any]:
    return {key: math.exp(value) if isinstance(value, float) else value for key, value in figure.items()}


def _nothing(why: str) -> dict[str, Any]:
    return {"value": None, "low": None, "high": None, "reason": why}
