"""Held-out cases and what was said of them, over one or several folds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from medfuse.bundle import Bundle
from medfuse.case import Case, Modality, Prediction
from medfuse.encoders.cases import EncodedCase
from medfuse.errors import CohortError
from medfuse.evaluation.alterations import BLOCK, Alteration, alterations
from medfuse.evaluation.baselines import Baselines
from medfuse.inference import Predictor

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy import ndarray

Progress = Callable[[int], None]


@dataclass
class Held:
    """What was collected; the lists have one entry a case.

    Attributes:
        cases: The cases.
        predictions: What a user would be told.
        probability: For every pattern of modalities [P, C].
        present: The modalities that each case has.
        baselines: Probabilities [C] of each reference.
        thresholds: From which each label counts as predicted [C]; NaN where none is known.
        altered: By alteration and row, the probabilities [K, C] under it.
        absent: Whether the absence of each label cannot be excluded [C].
        promised: Thresholds that were to keep a stated sensitivity [C]; NaN where there is none.
        logits: With all modalities, before calibration [C].
    """

    cases: list[Case] = field(default_factory=list)
    predictions: list[Prediction] = field(default_factory=list)
    probability: list[Float[ndarray, "p c"]] = field(default_factory=list)
    present: list[tuple[Modality, ...]] = field(default_factory=list)
    baselines: dict[str, list[Float[ndarray, " c"]]] = field(default_factory=dict)
    thresholds: list[Float[ndarray, " c"]] = field(default_factory=list)
    altered: dict[Alteration, dict[int, Float[ndarray, "k c"]]] = field(default_factory=dict)
    absent: list[Bool[ndarray, " c"]] = field(default_factory=list)
    promised: list[Float[ndarray, " c"]] = field(default_factory=list)
    logits: list[Float[ndarray, " c"]] = field(default_factory=list)


def collect(
    predictor: Predictor,
    cases: Iterable[Case],
    held: Held,
    *,
    thresholds: Mapping[str, float | None] | None = None,
    admits: Callable[[EncodedCase], bool] | None = None,
    progress: Progress | None = None,
) -> None:
    """Classify cases and add what was said of them: for every pattern of modalities, and with evidence altered.

    Args:
        predictor: Of the bundle.
        cases: The held-out cases.
        held: What is added to.
        thresholds: By label, fixed on other cases; None takes those that training left in the bundle.
        admits: Whether a case that was read is held-out at all; None takes every case.
        progress: Called with the number of cases that are done.
    """
    bundle = predictor.bundle
    at = stored_thresholds(bundle) if thresholds is None else thresholds
    row = np.array([np.nan if (value := at.get(label)) is None else value for label in bundle.labels])
    stated = bundle.calibration.sensitivity
    promised = np.full(len(bundle.labels), np.nan) if stated is None else stated.limits()
    block: list[EncodedCase] = []
    for read, has, logits in predictor.logits(cases):
        if progress is not None:
            progress(len(read))
        rows = [place for place, one in enumerate(read) if admits is None or admits(one)]
        batch, probability = [read[place] for place in rows], predictor.calibrated(has[:, rows], logits[:, rows])
        held.thresholds += [row] * len(batch)
        block += batch
        if len(block) >= BLOCK:
            _alter(predictor, block, held, start=len(held.cases) + len(batch) - len(block))
            block = []
        held.cases += [one.case for one in batch]
        held.predictions += predictor.predictions(batch, probability)
        held.probability += list(probability.transpose(1, 0, 2))
        held.present += [tuple(one.parts) for one in batch]
        held.absent += list(bundle.conformal.allows_absence(probability[-1], has[-1, rows]))
        held.promised += [promised] * len(batch)
        held.logits += list(logits[-1, rows])
    _alter(predictor, block, held, start=len(held.cases) - len(block))


def _alter(predictor: Predictor, block: Sequence[EncodedCase], held: Held, *, start: int) -> None:
    for alteration, rows, said in alterations(predictor, block, seed=predictor.bundle.config.seed):
        known = held.altered.setdefault(alteration, {})
        known |= {start + row: said[:, place] for place, row in enumerate(rows)}


def stored_thresholds(bundle: Bundle) -> dict[str, float | None]:
    """The thresholds that training or recalibration fixed; empty for a bundle that has none."""
    found = bundle.facts.get("thresholds", {}).get("by_label", {})
    return {label: entry.get("threshold") for label, entry in found.items()}


def fit_baselines(
    predictor: Predictor, known: Sequence[Case], cases: Sequence[Case], held: Held, *, progress: Progress | None = None
) -> None:
    """Fit every reference on the known cases and add what it says of the held-out ones."""
    bundle = predictor.bundle
    labelled = [case for case in known if case.labelled]
    if not labelled:
        message = "baselines need the cases that the bundle was trained on; this cohort has none of them"
        raise CohortError(message)
    references = Baselines(task=bundle.task, labels=bundle.labels, config=bundle.config, seed=bundle.config.seed)
    references.fit(predictor.encoder.stream(labelled))
    for name, probability in references.predict(predictor.encoder.stream(cases)).items():
        held.baselines.setdefault(name, []).extend(probability)
    if progress is not None:
        progress(0)
