"""Intervals that know patients: the bootstrap draws whole patients, because cases of one patient are alike."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from statistics import NormalDist
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

DRAWS = 1000
LEVEL = 0.95

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
    some = max(1, CELLS // max(1, len(member)))
    for start in range(0, draws, some):
        chunk = range(start, min(start + some, draws))
        counts = np.empty((len(chunk), len(names)))
        for row, draw in enumerate(chunk):
            drawn = np.random.default_rng((seed, draw)).integers(len(names), size=len(names))
            counts[row] = np.bincount(drawn, minlength=len(names))
        yield counts.take(member, axis=1)


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
    parts = [statistic(weights) for weights in patient_weights(patients, draws=draws, seed=seed)]
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


def centred_interval(values: Float[ndarray, " draws"], *, value: float, level: float = LEVEL) -> tuple[float, float]:
    """The percentile interval moved by the bootstrap's estimate of bias, so that the draws' mean is the value itself.

    For the calibration error: each draw adds its own noise inside the absolute difference of every bin, so the draws
    lie above the value, and the plain percentile interval of a well calibrated model may not even hold it. The bias
    estimate is the draws' mean less the value (Efron & Tibshirani 1993, section 10.2). Never below 0.
    """
    defined = values[~np.isnan(values)]
    if not defined.size:
        return math.nan, math.nan
    low, high = percentile_interval(defined - (defined.mean() - value), level=level)
    return max(0.0, min(low, value)), max(high, value)


def wilson_interval(*, positive: float, total: float, level: float = LEVEL) -> tuple[float, float]:
    """An interval for a fraction that is right also near 0 and 1 and for few cases (Wilson 1927, JASA 22:209-212).

    It takes cases as independent, so it is somewhat narrow where patients have several.
    """
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (positive + z * z / 2) / (total + z * z)
    half = z / (total + z * z) * math.sqrt(positive * (total - positive) / total + z * z / 4)
    return max(0.0, centre - half), min(1.0, centre + half)
