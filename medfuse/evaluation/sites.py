"""External validation: each site before and after recalibration, and several cohorts side by side."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.calibration import CALIBRATORS
from medfuse.calibration.choose import FOLDS, LEAST_PATIENTS, choose, deal
from medfuse.cohort import Task
from medfuse.evaluation.delong import area_influence, clustered_variance, two_sided, wald
from medfuse.evaluation.intervals import number
from medfuse.evaluation.measured import Measured
from medfuse.evaluation.paired import bootstrap_differences
from medfuse.evaluation.reliability import recalibration

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

Cases = tuple["Float[ndarray, 'n c']", "Float[ndarray, 'n c']", Sequence[str]]  # logits, truth, whose each case is


def recalibrated(
    probability: Float[ndarray, "n c"], tested: Cases, calibrating: Cases | None, *, task: Task, draws: int, seed: int
) -> dict[str, Any]:
    """What recalibration on a site's own cases would give there; no case is judged by a calibrator that saw it.

    With calibration cases of the site, a calibrator is chosen and fitted on them. Without, the tested cases are dealt
    into five folds by patient, and each fold is judged by one that was chosen and fitted on the others.

    Args:
        probability: Of the tested cases, by the calibration that the bundle came with [N, C].
        tested: Logits, truth (1, 0 or NaN) and patients of the cases that are tested; each has a known label.
        calibrating: The same of cases that only calibrate; None or too few of them: cross-fitting.
        task: `multiclass` or `multilabel`.
        draws: Bootstrap draws.
        seed: Of folds and draws.

    Returns:
        `how`; `calibrators`, how often each was chosen; `before` and `after` (metrics with intervals); `change`, after
        less before, paired; `labels`, with slope and intercept before and after. Only `reason` with too few patients.
    """
    logits, truth, patients = tested
    if calibrating is not None and len(set(calibrating[2])) >= LEAST_PATIENTS:
        given, labels, whose = calibrating
        name = choose(CALIBRATORS, given, labels, task=task, patients=list(whose), seed=seed).chosen
        found = CALIBRATORS[name](task).fit(given, labels).predict_proba(logits)
        chosen = Counter([name])
        how = f"fitted on the site's calibration split, {len(given)} cases of {len(set(whose))} patients"
    elif len(set(patients)) >= LEAST_PATIENTS:
        fold, found, chosen = deal(truth, patients, seed=seed), np.empty(logits.shape), Counter()
        for place in np.unique(fold):
            rest, out = fold != place, fold == place
            others = [patient for patient, kept in zip(patients, rest, strict=True) if kept]
            name = choose(CALIBRATORS, logits[rest], truth[rest], task=task, patients=others, seed=seed).chosen
            found[out] = CALIBRATORS[name](task).fit(logits[rest], truth[rest]).predict_proba(logits[out])
            chosen[name] += 1
        how = f"cross-fitted on the tested cases, {FOLDS} folds by patient"
    else:
        return {"reason": f"{len(set(patients))} labelled patients; recalibration needs {LEAST_PATIENTS}"}
    before, after = (Measured(truth, said, patients, task, draws, seed) for said in (probability, found))
    return {
        "how": how,
        "calibrators": dict(chosen.most_common()),
        "before": before.headline(),
        "after": after.headline(),
        "change": bootstrap_differences(after, before),
        "labels": [
            {
                "before": _held_to(truth[:, c], probability[:, c], patients),
                "after": _held_to(truth[:, c], said, patients),
            }
            for c, said in enumerate(found.T)
        ],
    }


def _held_to(truth: ndarray, said: ndarray, patients: Sequence[str]) -> dict[str, Any]:
    known = ~np.isnan(truth)
    member = np.unique(np.asarray(patients, dtype=str)[known], return_inverse=True)[1]
    return recalibration(truth[known], said[known], member)


def area_gap(
    one: tuple[ndarray, ndarray, Sequence[str]], other: tuple[ndarray, ndarray, Sequence[str]]
) -> dict[str, Any]:
    """Mean AUROC of one cohort less that of another, over the labels that both can tell.

    The cohorts are taken as independent, so that the variances of DeLong's components add up.

    Args:
        one: Truth [N, C], probabilities [N, C] and patients [N].
        other: The same of the cohort that it is compared with.
    """
    (value_a, moved_a), (value_b, moved_b) = (area_influence(truth, said) for truth, said, _ in (one, other))
    both = ~np.isnan(value_a) & ~np.isnan(value_b)
    if not both.any():
        reason = "no label has cases with and cases without it in both"
        return {"value": None, "low": None, "high": None, "p": None, "reason": reason}
    gap = float((value_a - value_b)[both].mean())
    parts = ((moved_a, one[2]), (moved_b, other[2]))
    variance = sum(clustered_variance(moved[:, both].mean(axis=1), whose) for moved, whose in parts)
    low, high = wald(gap, variance)
    return {"value": gap, "low": number(low), "high": number(high), "p": number(two_sided(gap, variance))}


def side_by_side(
    metrics: Mapping[str, Mapping[str, Any]], scored: Mapping[str, tuple[ndarray, ndarray, Sequence[str]]]
) -> dict[str, Any]:
    """What the report sets beside each other, by cohort: figures, the gap to the first, recalibration, labels.

    Args:
        metrics: `metrics.json` of each cohort; the first is what the others are compared with.
        scored: Truth, probabilities and patients of each.
    """
    first = next(iter(metrics))
    found: dict[str, Any] = {}
    for name, one in metrics.items():
        again = one.get("recalibration", {})
        labels = {}
        for place, (label, figures) in enumerate(one["labels"].items()):
            operating = one.get("operating", {}).get(label, {})
            after = again["labels"][place]["after"] if "labels" in again else {}
            labels[label] = {
                **{key: figures[key] for key in ("n", "n_positive", "auroc", "brier")},
                **{key: operating.get(key) for key in ("sensitivity", "specificity")},
                **{key: one["calibration"][label][key] for key in ("slope", "intercept")},
                **{f"{key}_after": after.get(key) for key in ("slope", "intercept")},
            }
        found[name] = {
            **{key: value for key, value in one["summary"].items() if key != "best_reachable_auroc"},
            "gap": None if name == first else area_gap(scored[name], scored[first]),
            "recalibration": {key: value for key, value in again.items() if key != "labels"},
            "labels": labels,
            "notes": list(one.get("notes", [])),
        }
    return found


def folder_of(name: str, out: Path) -> Path:
    """Where the evaluation of a further cohort goes, below that of the first."""
    return out / (re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower() or "cohort")
