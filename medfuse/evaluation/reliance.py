"""Does the model use both? What altering each kind of evidence costs, and what fusion adds to its parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from math import factorial
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.case import Modality
from medfuse.cohort import Task
from medfuse.evaluation.alterations import Alteration
from medfuse.evaluation.delong import area_influence, clustered_variance, two_sided, wald
from medfuse.evaluation.intervals import number
from medfuse.evaluation.operating import share_interval
from medfuse.evaluation.paired import holm

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy import ndarray

MARGIN = 0.02  # of AUROC: evidence that moves it by less, with 95 % confidence, counts as ignored
WORDS = {"image": "image", "text": "notes", "tabular": "values"}

Altered = Mapping[Alteration, Mapping[int, "Float[ndarray, 'k c']"]]


def altered_areas(
    *,
    truth: Float[ndarray, "n c"],
    every: Float[ndarray, "n p c"],
    altered: Altered,
    modalities: Sequence[Modality],
    patients: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """AUROC under each alteration, beside its change against the unaltered cases.

    The intervals are normal ones from the structural components of the mean AUROC over labels, summed by patient
    (DeLong et al. 1988; Obuchowski 1997), and paired: the same cases stand on both sides of a change.

    Args:
        truth: 1, 0 or NaN (not known) [N, C].
        every: Probabilities for every pattern of modalities [N, P, C], the last with all.
        altered: By alteration, the probabilities [K, C] of the rows that it concerns; all others stay as they are.
        modalities: The model's, in the order of the patterns' bits.
        patients: Whose each case is [N].

    Returns:
        By what was done (`without image`, `image alone`, `image shuffled`, `image as noise`, `without section
        HISTORY`): `value`, `low`, `high`, `n_altered`, and `change` as `value`, `low`, `high`, `p` and `p_holm`
        (corrected for all alterations); below 0 the alteration costs.
    """
    base = Area.of(truth, [every[:, -1]], patients)
    found: dict[str, dict[str, Any]] = {}
    full = (1 << len(modalities)) - 1
    if len(modalities) > 1:
        for place, name in enumerate(modalities):
            for what, pattern in ((f"without {name}", full - (1 << place)), (f"{name} alone", 1 << place)):
                found[what] = Area.of(truth, [every[:, pattern]], patients).against(base) | {"n_altered": len(truth)}
    for alteration, rows in sorted(altered.items(), key=lambda item: _place(item[0], modalities)):
        repetitions = max(len(said) for said in rows.values())
        versions = []
        for k in range(repetitions):
            version = every[:, -1].copy()
            for row, said in rows.items():
                version[row] = said[min(k, len(said) - 1)]
            versions.append(version)
        found[_title(alteration)] = Area.of(truth, versions, patients).against(base) | {"n_altered": len(rows)}
    corrected = holm([one["change"]["p"] for one in found.values()])
    for one, p in zip(found.values(), corrected, strict=True):
        one["change"]["p_holm"] = p
    return found


def _place(alteration: Alteration, modalities: Sequence[Modality]) -> tuple[int, str]:
    """Modalities in their order, then sections by name."""
    names: list[str] = list(modalities)
    return (len(names), alteration.what) if alteration.kind == "section removed" else (names.index(alteration.what), "")


def _title(alteration: Alteration) -> str:
    patterns = {"shuffled": "{} shuffled", "noise": "{} as noise", "section removed": "without section {}"}
    return patterns[alteration.kind].format(alteration.what)


def verdicts(areas: Mapping[str, Mapping[str, Any]], modalities: Sequence[Modality]) -> dict[str, dict[str, str]]:
    """By modality `verdict` (`used`, `ignored`, `harmful` or `not shown`) and a sentence that says why.

    What decides is the change of AUROC when every case gets the evidence of another patient: evidence whose content
    does not matter to the model can be exchanged at no cost.
    """
    found: dict[str, dict[str, str]] = {}
    for name in map(str, modalities):
        change = areas.get(f"{name} shuffled", {}).get("change", {})
        low, high, word = change.get("low"), change.get("high"), WORDS[name]
        if low is None or high is None:
            reason = "too few patients have it, or AUROC is undefined"
            found[name] = {
                "verdict": "not shown",
                "sentence": f"Whether the model uses the {word} is not known: {reason}.",
            }
            continue
        figures = f"changes by {change['value']:+.3f} (95 % interval {low:+.3f} to {high:+.3f})".replace("-", "−")
        given = f"given another patient's {word}, its AUROC {figures}"
        if high < 0:
            verdict, sentence = "used", f"The model uses the {word}: {given}."
        elif low > -MARGIN:
            if low > 0:
                verdict, sentence = "harmful", f"The {word} mislead the model: {given}, which is better than its own."
            else:
                verdict, sentence = "ignored", f"The model ignores the {word}: {given}, less than {MARGIN}."
        else:
            verdict, sentence = "not shown", f"These cases do not show that the model uses the {word}: {given}."
        found[name] = {"verdict": verdict, "sentence": sentence}
    return found


def mean_shapley(
    *,
    truth: Float[ndarray, "n c"],
    every: Float[ndarray, "n p c"],
    modalities: Sequence[Modality],
    patients: Sequence[str],
) -> dict[str, dict[str, Any]]:
    """Shapley values of the modalities on the probabilities, averaged over the cases.

    Returns:
        By modality: `toward_truth`, how far it moves the probability of what is true in the mean (over known labels,
        with the sign turned where the label is absent), with its interval over patients; and `share`, its part of the
        mean absolute value over all modalities and labels.
    """
    count = len(modalities)
    known = ~np.isnan(truth)
    sign = np.where(known, 2 * np.nan_to_num(truth) - 1, 0.0)
    rows = known.any(axis=1)
    values = {}
    for place, name in enumerate(modalities):
        value = np.zeros(truth.shape)
        for pattern in range(1 << count):
            if not pattern >> place & 1:
                size = pattern.bit_count()
                weight = factorial(size) * factorial(count - size - 1) / factorial(count)
                value += weight * (every[:, pattern | 1 << place] - every[:, pattern])
        values[str(name)] = value
    whole = sum(np.abs(value).mean() for value in values.values()) if len(truth) else 0.0
    whose = np.asarray(patients, dtype=str)[rows]
    return {
        name: {
            "toward_truth": _mean((value * sign)[rows].sum(axis=1) / known[rows].sum(axis=1), whose),
            "share": float(np.abs(value).mean() / whole) if whole > 0 else None,
        }
        for name, value in values.items()
    }


def interplay(
    *,
    truth: Float[ndarray, "n c"],
    every: Float[ndarray, "n p c"],
    present: Sequence[Sequence[Modality]],
    modalities: Sequence[Modality],
    patients: Sequence[str],
    task: Task,
    thresholds: Float[ndarray, "n c"] | None,
) -> dict[str, Any]:
    """How often the fused prediction is right where each single modality is wrong, and the reverse.

    Counted over the cases with two or more modalities; in a multilabel task over their known labels.

    Returns:
        `n`, and as shares with intervals `fused_alone_right`, `fused_alone_wrong` (each single one is right),
        `fused_right` and `any_single_right`.
    """
    has = np.array([[name in parts for name in modalities] for parts in present], dtype=bool).reshape(
        -1, len(modalities)
    )
    rows = np.flatnonzero((has.sum(axis=1) > 1) & ~np.isnan(truth).all(axis=1))
    if not rows.size:
        return {"n": 0}
    at = np.full(truth.shape, 0.5) if thresholds is None else np.where(np.isnan(thresholds), 0.5, thresholds)
    fused, known = _right(truth[rows], every[rows, -1], at[rows], task)
    alone = [1 << place for place in range(len(modalities))]
    singles = np.stack([_right(truth[rows], every[rows, pattern], at[rows], task)[0] for pattern in alone])
    there = has[rows].T[:, :, None]
    any_right, all_right = (singles & there).any(axis=0), (singles | ~there).all(axis=0)
    whose = np.asarray(patients, dtype=str)[rows]
    events = {
        "fused_alone_right": fused & ~any_right,
        "fused_alone_wrong": ~fused & all_right,
        "fused_right": fused,
        "any_single_right": any_right,
    }
    shares = {name: _share_of(event & known, known, whose) for name, event in events.items()}
    return {"n": int(known.sum()), **shares}


def _right(truth: ndarray, said: ndarray, at: ndarray, task: Task) -> tuple[Bool[ndarray, "n d"], Bool[ndarray, "n d"]]:
    """Whether each decision is right, and which are known: one a case (multiclass) or one a label."""
    if task == "multiclass":
        known = np.nansum(truth, axis=1) == 1
        return (truth[np.arange(len(truth)), said.argmax(axis=1)] == 1)[:, None], known[:, None]
    known = ~np.isnan(truth)
    return ((said >= at) == (truth == 1)) & known, known


def _share_of(event: ndarray, known: ndarray, patients: ndarray) -> dict[str, Any]:
    names, member = np.unique(patients, return_inverse=True)
    sums = [np.bincount(member, weights=part.sum(axis=1), minlength=len(names)) for part in (event, known)]
    return share_interval(sums[0], sums[1], "no case with a known label")


def _mean(values: Float[ndarray, " n"], patients: ndarray) -> dict[str, Any]:
    if not len(values):
        return {"value": None, "low": None, "high": None, "reason": "no labelled case"}
    middle = float(values.mean())
    low, high = wald(middle, clustered_variance((values - middle) / len(values), patients))
    return {"value": middle, "low": number(low), "high": number(high)}


class Area:
    """A mean AUROC over labels (and over repetitions) with the influence of each case on it."""

    def __init__(self, value: float, influence: Float[ndarray, " n"], patients: Sequence[str]) -> None:
        self.value, self.influence, self.patients = value, influence, patients

    @classmethod
    def of(cls, truth: ndarray, versions: Sequence[ndarray], patients: Sequence[str]) -> Area:
        """Of one or several repetitions [N, C] of the same thing."""
        found = [area_influence(truth, version) for version in versions]
        defined = ~np.isnan(found[0][0])
        if not defined.any():
            return cls(math.nan, np.zeros(len(truth)), patients)
        value = float(np.mean([areas[defined].mean() for areas, _ in found]))
        return cls(value, np.mean([moved[:, defined].mean(axis=1) for _, moved in found], axis=0), patients)

    def against(self, base: Area) -> dict[str, Any]:
        """`value`, `low`, `high`, and `change` against the base, paired, with `p`."""
        if math.isnan(self.value):
            nothing = {"value": None, "low": None, "high": None, "reason": "AUROC is undefined on these cases"}
            return nothing | {"change": nothing | {"p": None}}
        low, high = wald(self.value, clustered_variance(self.influence, self.patients), bounds=(0.0, 1.0))
        gap = self.value - base.value
        variance = clustered_variance(self.influence - base.influence, self.patients)
        least, most = wald(gap, variance)
        change = {"value": gap, "low": number(least), "high": number(most), "p": number(two_sided(gap, variance))}
        return {"value": self.value, "low": number(low), "high": number(high), "change": change}
