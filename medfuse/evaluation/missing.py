"""What remains as scans, notes or values go missing at random, beside what could remain where the truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.case import Modality
from medfuse.evaluation.delong import clustered_variance, wald
from medfuse.evaluation.intervals import number
from medfuse.evaluation.metrics import ece
from medfuse.evaluation.reliance import Area

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

RATES = (0.0, 0.25, 0.5, 0.75, 1.0)
REPETITIONS = 10  # draws of who lacks it; a figure is the mean over them


def missing_curves(
    *,
    truth: Float[ndarray, "n c"],
    every: Float[ndarray, "n p c"],
    modalities: Sequence[Modality],
    patients: Sequence[str],
    best: Float[ndarray, "n p c"] | None = None,
    seed: int = 0,
) -> dict[str, list[dict[str, Any]]]:
    """AUROC and ECE as one modality is withheld from more and more of the cases, drawn at random.

    A case that lacks it at one rate lacks it at every higher one, so that a curve does not jump by chance. A case of
    which nothing is left gets what the model says of nothing, about the prior.

    Args:
        truth: 1, 0 or NaN (not known) [N, C].
        every: Probabilities for every pattern of modalities [N, P, C], the last with all.
        modalities: The model's, in the order of the patterns' bits.
        patients: Whose each case is [N].
        best: True posterior for every pattern [N, P, C], as of `reachable`; None where it is not known.
        seed: Of the draws.

    Returns:
        By modality of a model with several, from rate 0 to 1: `rate`, `auroc` with its interval and the paired `change`
        against rate 0, `ece` (mean over labels), and with `best` `best_reachable_auroc`, `share` of it, and
        `posterior_distance`.
    """
    rows = np.flatnonzero(~np.isnan(truth).all(axis=1))
    if len(modalities) < 2:
        return {}
    truth, every = truth[rows], every[rows]
    whose = [patients[int(row)] for row in rows]
    best = None if best is None else best[rows]
    full = (1 << len(modalities)) - 1
    base = Area.of(truth, [every[:, full]], whose)
    found: dict[str, list[dict[str, Any]]] = {}
    for place, name in enumerate(modalities):
        chance = np.random.default_rng((seed, place)).random((REPETITIONS, len(rows)))
        curve = []
        for rate in RATES:
            drawn = chance if 0 < rate < 1 else chance[:1]  # at the ends every draw is the same
            left = np.where(drawn < rate, full - (1 << place), full)
            versions = [every[np.arange(len(rows)), one] for one in left]
            point = {"rate": rate, "auroc": Area.of(truth, versions, whose).against(base), "ece": _ece(truth, versions)}
            if best is not None:
                ideal = [best[np.arange(len(rows)), one] for one in left]
                point |= _beside(truth, versions, ideal, whose)
            curve.append(point)
        found[str(name)] = curve
    return found


def _ece(truth: ndarray, versions: Sequence[ndarray]) -> float | None:
    values = np.mean([ece(truth, version) for version in versions], axis=0)
    return number(values[~np.isnan(values)].mean()) if (~np.isnan(values)).any() else None


def _beside(
    truth: ndarray, versions: Sequence[ndarray], ideal: Sequence[ndarray], patients: Sequence[str]
) -> dict[str, Any]:
    """What was reached beside what could be."""
    reached, reachable_ = (Area.of(truth, one, patients).value for one in (versions, ideal))
    apart = [posterior_distance(*pair, patients)["value"] for pair in zip(versions, ideal, strict=True)]
    return {
        "best_reachable_auroc": number(reachable_),
        "share": number(reached / reachable_),
        "posterior_distance": number(float(np.mean(apart))),
    }


def posterior_distance(
    said: Float[ndarray, "n c"], posterior: Float[ndarray, "n c"], patients: Sequence[str] | ndarray
) -> dict[str, Any]:
    """Mean absolute distance of probabilities to the true posterior over cases and labels, as a figure."""
    apart = np.abs(said - posterior).mean(axis=1)
    middle = float(apart.mean())
    low, high = wald(middle, clustered_variance((apart - middle) / len(apart), list(patients)), bounds=(0.0, 1.0))
    return {"value": middle, "low": number(low), "high": number(high)}


def reachable(
    best: Mapping[str, Float[ndarray, "n c"]], modalities: Sequence[Modality]
) -> Float[ndarray, "n p c"] | None:
    r"""The true posterior for every pattern of modalities, of cohorts whose modalities are independent given the label.

    $p(y | S) ∝ π(y)^{1 - |S|} \prod_{m ∈ S} p(y | m)$. The prior π is what $p(y | all)$ and the posteriors of the
    single modalities leave open: $π^{M-1} ∝ \prod_m p(y | m) / p(y | all)$, its median over the cases.

    Args:
        best: True posterior by evidence; one a modality and `all`.
        modalities: The model's, in the order of the patterns' bits.

    Returns:
        Posteriors [N, P, C]; None if they are not known for every case and modality.
    """
    alone = {name: table for name, table in best.items() if name != "all"}
    if "all" not in best or len(alone) < 2 or any(name not in alone for name in modalities):
        return None
    if any(np.isnan(table).any() for table in best.values()):
        return None
    logs = {name: np.log(np.maximum(table, 1e-9)) for name, table in best.items()}  # the file holds nine decimals
    prior = (sum(logs[name] for name in alone) - logs["all"]) / (len(alone) - 1)
    sure = np.all([table.min(axis=1) > 1e-5 for table in best.values()], axis=0)  # where rounding is no matter
    if not sure.any():
        return None
    prior = np.median((prior - prior[:, :1])[sure], axis=0)
    said = np.stack([logs[name] - prior for name in modalities], axis=1)
    count = len(modalities)
    kept = (np.arange(1 << count)[:, None] >> np.arange(count) & 1).astype(float)  # as `medfuse.model.patterns` counts
    joint = prior + np.einsum("nmc,pm->npc", said, kept)
    weight = np.exp(joint - joint.max(axis=2, keepdims=True))
    return np.asarray(weight / weight.sum(axis=2, keepdims=True))
