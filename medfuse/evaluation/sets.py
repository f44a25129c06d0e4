"""Whether the promises of calibration held: coverage of prediction sets, sensitivity, false alarms, and abstention."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.calibration import risk_coverage
from medfuse.calibration.calibrator import labelled
from medfuse.case import Modality
from medfuse.cohort import Task
from medfuse.evaluation.operating import share_interval

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy import ndarray

POINTS = 60  # of a risk-coverage curve, so that the report stays small


def coverage(
    truth: Float[ndarray, "n c"],
    inside: Bool[ndarray, "n c"],
    absent: Bool[ndarray, "n c"],
    abstained: Bool[ndarray, " n"],
    *,
    present: Sequence[tuple[Modality, ...]],
    patients: Sequence[str],
    labels: Sequence[str],
    task: Task,
    nominal: float,
) -> dict[str, Any]:
    """How often the prediction sets held what is true, with intervals over patients.

    Multiclass: a case is covered if its true label is in its set. Multilabel: the promise is of each known answer,
    present or absent, and that is what `coverage` counts.

    Args:
        truth: 1, 0 or NaN (not known) [N, C].
        inside: Whether the label cannot be excluded [N, C].
        absent: Whether its absence cannot be excluded; only looked at in a multilabel task [N, C].
        abstained: Whether the set names no single answer [N].
        present: The modalities of each case.
        patients: Whose each case is [N].
        labels: Their names [C].
        task: `multiclass` or `multilabel`.
        nominal: The coverage that was promised.

    Returns:
        `nominal`; `coverage` as a figure, `by_label` of the cases that have the label (`n` and a figure) and
        `by_pattern` of modalities; `abstained` and `mean_set_size`; `covered` and `n`, the share of cases whose set
        holds all of their true labels.
    """
    known = ~np.isnan(truth)
    if task == "multiclass":
        known = known & (truth == 1)
    right = known & np.where(truth == 1, inside, absent)
    whose = np.asarray(patients, dtype=str)
    every = np.ones(len(truth), dtype=bool)
    patterns = np.array([" + ".join(names) for names in present], dtype=str)
    rows = (truth == 1).any(axis=1)
    whole = ((truth != 1) | inside).all(axis=1)[rows]
    return {
        "nominal": nominal,
        "coverage": _share(right, known, whose, every),
        "by_label": {
            label: {"n": int((truth[:, c] == 1).sum())} | _share(inside[:, [c]], truth[:, [c]] == 1, whose, every)
            for c, label in enumerate(labels)
        },
        "by_pattern": {
            name: {"n": int((patterns == name).sum())} | _share(right, known, whose, patterns == name)
            for name in sorted(set(patterns.tolist()))
        },
        "covered": float(whole.mean()) if len(whole) else None,
        "n": int(rows.sum()),
        "abstained": float(abstained.mean()),
        "mean_set_size": float(inside.sum(axis=1).mean()),
    }


def found_at(
    truth: Float[ndarray, "n c"],
    probability: Float[ndarray, "n c"],
    thresholds: Float[ndarray, "n c"],
    *,
    patients: Sequence[str],
    labels: Sequence[str],
    stated: float,
    confidence: float,
) -> dict[str, Any]:
    """Sensitivity and the share flagged at the thresholds that were to keep a stated sensitivity.

    Args:
        truth: 1, 0 or NaN (not known) [N, C].
        probability: [N, C].
        thresholds: Of each case [N, C]; NaN where calibration had too few cases to promise anything.
        patients: Whose each case is [N].
        labels: Their names [C].
        stated: The sensitivity that was promised.
        confidence: And how sure it was.

    Returns:
        `stated`, `confidence` and `labels`: `threshold` (None: none, or it differs by fold), `n_without_threshold`,
        `sensitivity` and `specificity` as figures.
    """
    whose = np.asarray(patients, dtype=str)
    found = {}
    for c, label in enumerate(labels):
        told = ~np.isnan(thresholds[:, c]) & ~np.isnan(truth[:, c])
        at = thresholds[told, c]
        flagged = (probability[:, c] >= np.nan_to_num(thresholds[:, c], nan=2.0))[:, None]
        found[label] = {
            "threshold": float(at[0]) if at.size and (at == at[0]).all() else None,
            "n_without_threshold": int((~told & ~np.isnan(truth[:, c])).sum()),
            "sensitivity": _share(flagged, truth[:, [c]] == 1, whose, told),
            "specificity": _share(~flagged, truth[:, [c]] == 0, whose, told),
        }
    return {"stated": stated, "confidence": confidence, "labels": found}


def alarms(flagged: Bool[ndarray, " n"], *, patients: Sequence[str], nominal: float, own: bool) -> dict[str, Any]:
    """The share of held-out cases that were flagged as unlike those of training, beside what it was to be at most.

    Returns:
        `nominal`, `flagged` as a figure, `n`, and `own`: whether the cases are of the cohort of training, so that the
        share is one of false alarms.
    """
    every = np.ones(len(flagged), dtype=bool)
    share = _share(flagged[:, None], every[:, None], np.asarray(patients, dtype=str), every)
    return {"nominal": nominal, "flagged": share, "n": len(flagged), "own": own}


def abstention(
    truth: Float[ndarray, "n c"],
    probability: Float[ndarray, "n c"],
    *,
    patients: Sequence[str],
    labels: Sequence[str],
    task: Task,
) -> dict[str, Any]:
    """The risk-coverage curves of `medfuse.calibration.risk_coverage`, thinned and ready for JSON.

    Returns:
        `aurc`, `curve` (points `coverage` and `risk`), `by_label` (the same of the cases that have each label, None
        where no case has it) and `warnings`, one line for each label that abstaining harms; empty without a label.
    """
    if not labelled(truth, task).any():
        return {}
    found = risk_coverage(probability, truth, names=labels, patients=patients, task=task)
    return {
        "aurc": found.aurc,
        "curve": _thinned(found.coverage, found.risk),
        "by_label": {
            label: None if one is None else {"aurc": one[2], "curve": _thinned(one[0], one[1])}
            for label, one in zip(labels, found.by_label, strict=True)
        },
        "warnings": list(found.warnings),
    }


def _thinned(kept: ndarray, risk: ndarray) -> list[dict[str, float]]:
    rows = np.unique(np.linspace(0, len(kept) - 1, min(POINTS, len(kept))).round().astype(int))
    return [{"coverage": float(kept[row]), "risk": float(risk[row])} for row in rows]


def _share(event: ndarray, known: ndarray, patients: ndarray, rows: Bool[ndarray, " n"]) -> dict[str, Any]:
    names, member = np.unique(patients, return_inverse=True)
    counted = (part & rows[:, None] for part in (event & known, known))
    above, below = (np.bincount(member, weights=part.sum(axis=1), minlength=len(names)) for part in counted)
    return share_interval(above, below, "no case to count")
