"""How far new cases are from the reference, with the chance of seeing that if nothing had changed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.drift.inputs import Fact
from medfuse.drift.reference import SAMPLE, Reference

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy import ndarray

PSI = 0.2  # population stability index from which a shift is called large (Siddiqi 2006, Credit Risk Scorecards)
KS = 0.15  # largest gap between two distribution functions that is let pass
GAP = 0.05  # of the mean probability from the share of cases that have the label
CHANCE = 0.05  # that any check at all is called drift if nothing has changed
DRAWS = 2000


@dataclass(frozen=True)
class Check:
    """One comparison.

    Attributes:
        what: The fact or label.
        kind: `input`, `output` or `calibration`.
        statistic: `psi`, `ks`, `mmd` or `observed - expected`.
        value: Its value.
        threshold: Least size that matters.
        p: Chance of such a value if nothing has changed.
        adjusted: The same, corrected for the number of checks (Holm 1979).
        drift: Whether the value matters and is not chance.
        new: Shares by bin among the new cases, for inputs.
        old: Shares by bin in the reference.
        bins: What each bin holds.
    """

    what: str
    kind: str
    statistic: str
    value: float
    threshold: float
    p: float
    adjusted: float = 1.0
    drift: bool = False
    new: tuple[float, ...] = ()
    old: tuple[float, ...] = ()
    bins: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return asdict(self)


def compare(
    reference: Reference,
    facts: Sequence[Mapping[str, Fact]],
    probability: Float[ndarray, "n c"],
    labels: Float[ndarray, "n c"],
    *,
    names: Sequence[str],
    seed: int = 0,
) -> list[Check]:
    r"""All checks of new cases, one case a patient, against the reference.

    Inputs: population stability index $\sum_k (q_k - p_k) \ln (q_k / p_k)$ over the reference's bins, with half a case
    added to each bin; its p-value from `DRAWS` pairs of samples of the same sizes from the pooled shares. Outputs: the
    Kolmogorov-Smirnov distance of each label's probability, and the maximum mean discrepancy of the probability
    vectors (Gretton et al. 2012, JMLR 13; Gaussian kernel with the median distance as width) with its
    p-value by permutation. Calibration, where labels are known: the share of cases with the label less the mean
    probability, against $\sqrt{\sum p (1 - p)} / n$ (calibration in the large, Cox 1958).

    Drift is what reaches its threshold and has an adjusted p-value below `CHANCE`: with few cases the size alone says
    nothing, with many the p-value alone does not.

    Args:
        reference: What the bundle holds.
        facts: By name of each new case.
        probability: Calibrated probabilities of the new cases [N, C].
        labels: 1, 0 or NaN (not known) [N, C].
        names: The labels' names [C].
        seed: Decides the draws.
    """
    rng = np.random.default_rng(seed)
    found = []
    for what, bins in reference.inputs.items():
        old, new = np.array(bins.counts), bins.count([one.get(what) for one in facts])
        value = float(stability(old[None], new[None])[0])
        found.append(
            Check(
                what, "input", "psi", value, PSI, _p_of_stability(old, new, value, rng),
                new=_shares(new), old=_shares(old), bins=tuple(bins.labels),
            )
        )  # fmt: skip
    if len(reference.probability) and len(probability):
        found += _outputs(reference.probability, probability, names, rng)
    told = [_large(probability[:, place], labels[:, place], name) for place, name in enumerate(names)]
    return _adjusted([*found, *(check for check in told if check is not None)])


def stability(old: Int[ndarray, "d k"], new: Int[ndarray, "d k"]) -> Float[ndarray, " d"]:
    """Population stability index of pairs of counts."""
    p, q = ((counts + 0.5) / (counts + 0.5).sum(axis=1, keepdims=True) for counts in (old, new))
    return np.asarray(((q - p) * np.log(q / p)).sum(axis=1))


def discrepancy(
    one: Float[ndarray, "n c"], other: Float[ndarray, "m c"], rng: np.random.Generator, *, draws: int = 500
) -> tuple[float, float]:
    """Squared maximum mean discrepancy (the biased estimate, never negative) and its p-value by permutation."""
    joined = np.concatenate([one, other])
    squared = ((joined[:, None] - joined[None]) ** 2).sum(axis=2)
    width = np.median(squared[squared > 0]) if (squared > 0).any() else 1.0
    kernel = np.exp(-squared / (2 * width))
    n, m = len(one), len(other)
    signs = np.tile(np.concatenate([np.full(n, 1 / n), np.full(m, -1 / m)]), (draws + 1, 1))
    signs[1:] = rng.permuted(signs[1:], axis=1)
    values = np.einsum("di,di->d", signs @ kernel, signs)
    return float(values[0]), float((1 + (values[1:] >= values[0] - 1e-12).sum()) / (draws + 1))


def _p_of_stability(old: ndarray, new: ndarray, value: float, rng: np.random.Generator) -> float:
    if not old.sum() or not new.sum():
        return 1.0
    pooled = (old + new) / (old + new).sum()
    drawn = stability(rng.multinomial(old.sum(), pooled, DRAWS), rng.multinomial(new.sum(), pooled, DRAWS))
    return float((1 + (drawn >= value - 1e-12).sum()) / (DRAWS + 1))


def _outputs(old: ndarray, new: ndarray, names: Sequence[str], rng: np.random.Generator) -> list[Check]:
    from scipy.stats import ks_2samp

    found = []
    for place, name in enumerate(names):
        test = ks_2samp(old[:, place], np.round(new[:, place], 4))
        found.append(Check(name, "output", "ks", float(test.statistic), KS, float(test.pvalue)))
    few = new[rng.permutation(len(new))[:SAMPLE]]
    value, p = discrepancy(old, few, rng)
    return [*found, Check("all labels together", "output", "mmd", value, 0.0, p)]


def _large(probability: ndarray, labels: ndarray, name: str) -> Check | None:
    from scipy.stats import norm

    known = ~np.isnan(labels)
    if not known.any():
        return None
    p = probability[known]
    gap = float((labels[known] - p).mean())
    error = math.sqrt((p * (1 - p)).sum()) / len(p)
    chance = 2 * float(norm.sf(abs(gap) / error)) if error else float(gap == 0)
    return Check(name, "calibration", "observed - expected", gap, GAP, chance)


def _adjusted(checks: Sequence[Check]) -> list[Check]:
    order = sorted(range(len(checks)), key=lambda place: checks[place].p)
    highest, found = 0.0, list(checks)
    for rank, place in enumerate(order):
        one = checks[place]
        highest = max(highest, min(1.0, one.p * (len(checks) - rank)))
        drift = abs(one.value) >= one.threshold and highest < CHANCE
        found[place] = Check(**{**one.__dict__, "adjusted": highest, "drift": drift})
    return found


def _shares(counts: ndarray) -> tuple[float, ...]:
    return tuple((counts / max(counts.sum(), 1)).round(4).tolist())
