"""Whether a model is as good for one group of cases as for another."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.case import Case
from medfuse.errors import CohortError
from medfuse.evaluation.binned import error_interval, gaps_of
from medfuse.evaluation.intervals import DRAWS, bca_interval, bootstrap, jackknife, number
from medfuse.evaluation.metrics import METRICS, Scorer

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

FEWEST = 10  # patients of a group, and cases with and without some label, below which nothing is said of it
MOST = 20  # groups of a column; the rest is taken together
GAPS = ("auroc", "brier", "log_loss")  # ECE and AUPRC depend on the group's size and prevalence, not on the model alone
AGES = (0, 18, 40, 65, 80)  # where an age band begins, years
OTHERS = "(other groups)"
_ALWAYS = ("sex", "gender", "age")  # tabular columns that are reported without being asked for


def columns_of(cases: Sequence[Case], *, groups: Sequence[str], by: Sequence[str] = ()) -> dict[str, list[str]]:
    """The group of each case by column, `""` where it is not known.

    Args:
        cases: The cases.
        groups: The cohort's group columns; they are reported in any case, and so are sex and age.
        by: Further columns, of groups or of tabular values. Numbers are cut into bands: ages at `AGES`, others into
            thirds of the cases.

    Raises:
        CohortError: If no case has such a column.
    """
    values = {name for case in cases for name in case.values}
    known = {*groups, *(name for case in cases for name in case.groups)}
    if unknown := [name for name in by if name not in known | values]:
        message = f"no column '{unknown[0]}' to report by; there are {', '.join(sorted(known | values)) or 'none'}"
        raise CohortError(message)
    wanted = [*groups, *(name for name in sorted(values) if name.lower() in _ALWAYS), *by]
    found = {}
    for name in dict.fromkeys(wanted):
        cells = [case.groups.get(name) if name in known else case.values.get(name) for case in cases]
        numbers = [cell for cell in cells if isinstance(cell, float | int)]
        banded = bool(numbers) and len(set(numbers)) > 5
        limits = _limits(name, numbers) if banded else []
        found[name] = [_band(cell, limits) if banded else "" if cell is None else str(cell) for cell in cells]
    return found


def subgroups(
    *,
    truth: Float[ndarray, "n c"],
    probability: Float[ndarray, "n c"],
    patients: Sequence[str],
    columns: Mapping[str, Sequence[str]],
    labels: Sequence[str],
    thresholds: Float[ndarray, "n c"] | None = None,
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, Any]:
    """The metrics of each group, and how far it is from the largest one.

    Args:
        truth: 1, 0 or NaN (not known) [N, C].
        probability: [N, C].
        patients: Whose each case is [N].
        columns: Group of each case [N] by column; `""` for not known.
        labels: Names of the labels [C].
        thresholds: From which each label counts as predicted [N, C]; NaN or None leaves the disparities out.
        draws: Bootstrap draws of patients, the same for all groups, so that gaps are paired.
        seed: Of the draws.

    Returns:
        By column: `reference` (the largest group), `n_unknown`, `groups` (by name: `n_cases`, `n_patients` and either
        `too_few`, a statement, or the metrics as means over labels and `gap`: `auroc`, `brier`, `log_loss` less those
        of the reference, over the labels that both have), and `disparities` by label, as of fairlearn.
    """
    known = ~np.isnan(truth).all(axis=1)
    truth, probability = truth[known], probability[known]
    whose = [patient for patient, there in zip(patients, known, strict=True) if there]
    at = None if thresholds is None else thresholds[known]
    found = {}
    for column, cells in columns.items():
        names = _largest([cell for cell, there in zip(cells, known, strict=True) if there])
        found[column] = _of_column(truth, probability, whose, names, draws=draws, seed=seed)
        if at is not None:
            enough = [name for name, entry in found[column]["groups"].items() if "too_few" not in entry]
            found[column]["disparities"] = _disparities(truth, probability, at, names, enough, labels)
    return found


def _of_column(
    truth: ndarray, probability: ndarray, patients: Sequence[str], names: Sequence[str], *, draws: int, seed: int
) -> dict[str, Any]:
    sizes = Counter(name for name in names if name)
    place = np.asarray(names, dtype=str)
    falling = sorted(sizes, key=lambda name: (-sizes[name], name))
    rows = {name: np.flatnonzero(place == name) for name in falling}
    told = {name: _too_few(truth[part], [patients[row] for row in part.tolist()]) for name, part in rows.items()}
    scorers = {
        name: Scorer(truth=truth[part], probability=probability[part]) for name, part in rows.items() if not told[name]
    }

    def scored(weight: Float[ndarray, "b n"]) -> dict[str, ndarray]:
        parts = {name: scorer(weight[:, rows[name]]) for name, scorer in scorers.items()}
        return {f"{metric} {name}": part[metric] for name, part in parts.items() for metric in METRICS}

    value = {key: found[0] for key, found in scored(np.ones((1, len(truth)))).items()}
    drawn = bootstrap(scored, patients=patients, draws=draws, seed=seed) if scorers else {}
    left_out = jackknife(scored, patients=patients) if drawn else {}
    reference = next(iter(scorers), None)
    groups = {}
    for name, part in rows.items():
        entry: dict[str, Any] = {"n_cases": len(part), "n_patients": len({patients[row] for row in part.tolist()})}
        if told[name]:
            groups[name] = entry | {"too_few": told[name]}
            continue
        for metric in METRICS:
            entry[metric] = _figure((value, drawn, left_out), f"{metric} {name}")
        if drawn:
            gaps = gaps_of(truth[part], probability[part], [patients[row] for row in part.tolist()])
            low, _, high = error_interval(gaps, seed=seed)
            plain = entry["ece"]["value"]
            entry["ece"] |= {"low": min(low, plain), "high": max(high, plain)}
        if name != reference:
            entry["gap"] = {
                metric: _figure((value, drawn, left_out), f"{metric} {name}", f"{metric} {reference}")
                for metric in GAPS
            }
        groups[name] = entry
    return {"reference": reference, "n_unknown": sum(not name for name in names), "groups": groups}


def _figure(found: tuple[Mapping[str, ndarray], ...], key: str, less: str | None = None) -> dict[str, Any]:
    """A mean over labels, or the difference of two over the labels that both have, with its interval."""
    value, drawn, left_out = found
    defined = ~np.isnan(value[key]) if less is None else ~np.isnan(value[key] - value[less])
    if not defined.any():
        return {"value": None, "low": None, "high": None, "reason": "no label has cases with and cases without it"}

    def mean(values: Mapping[str, ndarray]) -> Float[ndarray, " b"]:
        part = values[key] if less is None else values[key] - values[less]
        return np.asarray(part[..., defined].mean(axis=-1))

    middle = float(mean(value))
    if not drawn:
        return {"value": middle, "low": None, "high": None, "reason": "no draws"}
    low, high = bca_interval(mean(drawn), value=middle, left_out=mean(left_out))
    return {"value": middle, "low": number(low), "high": number(high), "n_labels": int(defined.sum())}


def _too_few(truth: Float[ndarray, "n c"], patients: Sequence[str]) -> str:
    """Why nothing can be said of a group; empty where something can."""
    count = len(set(patients))
    if count < FEWEST:
        return f"{count} patients are too few to say anything"
    fewer = np.minimum((truth == 1).sum(axis=0), (truth == 0).sum(axis=0)).max(initial=0)
    if fewer < FEWEST:
        return f"no label has {FEWEST} cases with and {FEWEST} without it, too few to say anything"
    return ""


def _disparities(
    truth: ndarray,
    probability: ndarray,
    thresholds: ndarray,
    names: Sequence[str],
    enough: Sequence[str],
    labels: Sequence[str],
) -> dict[str, Any]:
    """Fairlearn's disparities at the fixed thresholds, over the groups that have both classes of a label.

    With few cases the largest difference between groups is above 0 by chance alone.
    """
    from fairlearn import metrics

    place = np.asarray(names, dtype=str)
    found: dict[str, dict[str, Any]] = {}
    for c, label in enumerate(labels):
        rows = ~np.isnan(truth[:, c]) & ~np.isnan(thresholds[:, c])
        both = [
            name
            for name in enough
            if min((truth[rows & (place == name), c] == value).sum() for value in (0, 1)) >= FEWEST
        ]
        if len(both) < 2:
            found[label] = {"too_few": f"fewer than two groups have {FEWEST} cases with and {FEWEST} without it"}
            continue
        rows &= np.isin(place, both)
        given: dict[str, Any] = {
            "y_true": truth[rows, c].astype(int),
            "y_pred": (probability[rows, c] >= thresholds[rows, c]).astype(int),
            "sensitive_features": place[rows],
        }
        found[label] = {
            "groups": both,
            "demographic_parity_difference": float(metrics.demographic_parity_difference(**given)),
            "equal_opportunity_difference": float(metrics.equal_opportunity_difference(**given)),
            "equalized_odds_difference": float(metrics.equalized_odds_difference(**given)),
        }
    return found


def _largest(names: Sequence[str]) -> list[str]:
    """The names, with all but the `MOST` largest groups taken together."""
    kept = {name for name, _ in Counter(name for name in names if name).most_common(MOST)}
    return [name if name in kept or not name else OTHERS for name in names]


def _limits(name: str, numbers: Sequence[float]) -> list[float]:
    if name.lower() == "age":
        return list(AGES[1:])
    return sorted({float(limit) for limit in np.quantile(numbers, (1 / 3, 2 / 3))})


def _band(cell: Any, limits: Sequence[float]) -> str:
    if cell is None or isinstance(cell, str):
        return ""
    place = sum(cell >= limit for limit in limits)
    if place == 0:
        return f"below {limits[0]:g}"
    return f"{limits[-1]:g} and above" if place == len(limits) else f"{limits[place - 1]:g} to below {limits[place]:g}"
