"""Intervals that know patients: the bootstrap draws whole patients, because cases of one patient are alike."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

DRAWS = 1000
LEVEL = 0.95

GROUPS = 250  # of patients that the jackknife leaves out one at a time, where there are more patients than that
CELLS = 250_000  # weights worked on at a time (2 MB of float64): what a core's cache holds, and a bound on memory


def patient_weights(patients: Sequence[str], *, draws: int = DRAWS, seed: int = 0) -> Iterator[Float[ndarray, "b n"]]:
    """How often each case counts in each draw of as many patients as there are, with replacement.

    All cases of a drawn patient come along as often as the patient was drawn (cluster bootstrap: Field & Welsh 2007,
    J. R. Statist. Soc. B 69:369-390). A draw depends on `seed` and its own number only, so the chunks in which the
    draws come change nothing, and two models scored on the same cases with the same seed see the same draws.

    Yields:
        Weights [B, N] for some draws at a time, whole numbers as float64.
    """
    names, member = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    for chunk in _chunks(draws, len(member)):
        yield _drawn(chunk, count=len(names), member=member, seed=seed)


def bootstrap(
    statistic: Callable[[Float[ndarray, "b n"]], Mapping[str, ndarray]],
    *,
    patients: Sequence[str],
    draws: int = DRAWS,
    seed: int = 0,
) -> dict[str, ndarray]:
    """The statistics under every draw.

    Args:
        statistic: Weights [B, N] to values [B, …] by name; NaN where a draw leaves a value undefined.
        patients: Whose each case is [N].
        draws: Number of draws.
        seed: Of the draws.

    Returns:
        Values [draws, …] by name; empty if there are no draws.
    """
    names, member = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    return _gathered(
        lambda chunk: statistic(_drawn(chunk, count=len(names), member=member, seed=seed)), _chunks(draws, len(member))
    )


def jackknife(
    statistic: Callable[[Float[ndarray, "b n"]], Mapping[str, ndarray]], *, patients: Sequence[str]
) -> dict[str, ndarray]:
    """The statistics with one patient left out at a time, or one of `GROUPS` groups of them where there are more.

    Returns:
        Values [patients or groups, …] by name; empty if there are fewer than two patients.
    """
    names, member = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    groups = min(len(names), GROUPS)
    if groups < 2:
        return {}
    # Dealt at random but always alike: names in order may stand for sites or times, whose groups would differ.
    group = (np.random.default_rng(0).permutation(len(names)) % groups)[member]
    return _gathered(
        lambda chunk: statistic((group != np.array(chunk)[:, None]).astype(float)), _chunks(groups, len(member))
    )


def _chunks(draws: int, cases: int) -> list[range]:
    some = max(1, CELLS // max(1, cases))
    return [range(start, min(start + some, draws)) for start in range(0, draws, some)]


def _drawn(chunk: range, *, count: int, member: ndarray, seed: int) -> Float[ndarray, "b n"]:
    """How often each case counts in these draws of `count` patients."""
    counts = np.empty((len(chunk), count))
    for row, draw in enumerate(chunk):
        drawn = np.random.default_rng((seed, draw)).integers(count, size=count)
        counts[row] = np.bincount(drawn, minlength=count)
    return np.asarray(counts.take(member, axis=1))


def _gathered(work: Callable[[range], Mapping[str, ndarray]], chunks: Sequence[range]) -> dict[str, ndarray]:
    """What the chunks give, in their order; numpy works outside Python's lock, so threads share them."""
    with ThreadPoolExecutor(max(1, min(len(chunks), os.cpu_count() or 1))) as pool:
        parts = list(pool.map(work, chunks))
    return {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}


def percentile_interval(values: Float[ndarray, " draws"], *, level: float = LEVEL) -> tuple[float, float]:
    """The middle `level` of the draws (Efron & Tibshirani 1993, An Introduction to the Bootstrap, chapter 13).

    Draws in which the value is undefined (NaN) are left out; without any other, both ends are NaN.
    """
    defined = values[~np.isnan(values)]
    if not defined.size:
        return math.nan, math.nan
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def bca_interval(
    values: Float[ndarray, " draws"],
    *,
    value: float,
    left_out: Float[ndarray, " groups"],
    level: float = LEVEL,
) -> tuple[float, float]:
    r"""The bias-corrected and accelerated interval (Efron 1987, JASA 82:171-185, equations 2.3 and 6.6).

    Its ends are quantiles of the draws at $\Phi(z_0 + (z_0 + z) / (1 - a (z_0 + z)))$, with $z_0$ from the share of
    draws below the value (those equal count half) and $a$ from the skewness of the jackknife over patients.

    Args:
        values: The statistic under each draw; undefined ones (NaN) are left out.
        value: The statistic itself.
        left_out: The statistic with each patient, or group of patients, left out.
        level: Of the interval.

    Returns:
        The percentile interval where every draw lies on one side of the value, so that the bias has no estimate; NaN
        without a defined draw.
    """
    defined = values[~np.isnan(values)]
    if not defined.size:
        return math.nan, math.nan
    normal = NormalDist()
    below = float((defined < value - 1e-12).mean() + (np.abs(defined - value) <= 1e-12).mean() / 2)
    if not 0 < below < 1:
        return percentile_interval(defined, level=level)
    shift = normal.inv_cdf(below)
    known = left_out[~np.isnan(left_out)]
    apart = known.mean() - known if known.size else np.zeros(1)
    spread = float((apart**2).sum())
    bend = float((apart**3).sum()) / (6 * spread**1.5) if spread > 0 else 0.0
    ends = []
    for z in (normal.inv_cdf((1 - level) / 2), normal.inv_cdf((1 + level) / 2)):
        stretched = 1 - bend * (shift + z)
        if stretched <= 0:  # the transformation has no sense so far out
            return percentile_interval(defined, level=level)
        ends.append(normal.cdf(shift + (shift + z) / stretched))
    low, high = np.quantile(defined, ends)
    return float(low), float(high)


def wilson_interval(*, positive: float, total: float, level: float = LEVEL) -> tuple[float, float]:
    """An interval for a fraction that is right also near 0 and 1 and for few cases (Wilson 1927, JASA 22:209-212).

    It takes cases as independent, so it is somewhat narrow where patients have several.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (positive + z * z / 2) / (total + z * z)
    half = z / (total + z * z) * math.sqrt(positive * (total - positive) / total + z * z / 4)
    return max(0.0, centre - half), min(1.0, centre + half)


def number(value: float) -> float | None:
    """A number as JSON has it: None for what is undefined."""
    return None if math.isnan(value) else float(value)
