"""`bench evaluate`: every figure of `metrics.json` with its interval, as cases grow to a hundred thousand."""

from __future__ import annotations

import math
import resource
import sys
from collections.abc import Callable
from functools import partial

import numpy as np

from medfuse.bench.harness import Report, Settings, Side, Spread, alternate

CASES = 100_000
LABELS = 14
DRAWS = 2000
SECONDS = 180.0  # that the largest side may take
GIGABYTES = 2.0  # 10⁹ bytes that the process may hold


def run(settings: Settings, progress: Callable[[int], None]) -> Report:
    """Time `evaluation.summary.summarise` on a hundredth of the cases, a tenth and all of them.

    The facts say the slope of log time over log cases between the last two, and the most memory that the process held.
    """
    most = settings.cases or CASES
    sizes = sorted({max(100, most // 100), max(100, most // 10), max(100, most)})
    warm = partial(_summarise, sizes[0], settings.seed)  # imports and first calls
    sides = [
        Side(f"{size} cases", partial(_summarise, size, settings.seed), warm=None if number else warm)
        for number, size in enumerate(sizes)
    ]
    timings = alternate(sides, rounds=settings.rounds or 1, progress=progress)
    medians = [Spread.of(timing.seconds).median for timing in timings]
    unit = 1 if sys.platform == "darwin" else 1024  # what getrusage counts in
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9
    facts = {
        "labels": LABELS,
        "draws": DRAWS,
        "slope": round(math.log(medians[-1] / medians[-2]) / math.log(sizes[-1] / sizes[-2]), 3),
        "within its time": medians[-1] <= SECONDS,
        "most memory, gigabytes": round(held, 2),
        "within its memory": held <= GIGABYTES,
    }
    return Report("evaluate", tuple(timings), facts=facts)


def _summarise(size: int, seed: int) -> None:
    """Two cases a patient, labels of 2 to 40 % and probabilities that are calibrated."""
    from medfuse.evaluation.summary import summarise

    rng = np.random.default_rng(seed)
    logits = rng.normal(np.linspace(-4.0, -0.4, LABELS), 1.3, size=(size, LABELS))
    probability = 1 / (1 + np.exp(-logits))
    truth = (rng.random(probability.shape) < probability).astype(float)
    summarise(
        truth=truth,
        probability=probability,
        patients=[f"p{row // 2}" for row in range(size)],
        labels=[f"label {number}" for number in range(LABELS)],
        task="multilabel",
        draws=DRAWS,
        seed=seed,
    )
