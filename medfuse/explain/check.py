"""How far explanations can be trusted: measured over the cases of a cohort that the model has not seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np

from medfuse.case import Case
from medfuse.cohort import Cohort
from medfuse.errors import MedfuseError
from medfuse.explain.curves import as_probability, curves, in_any_order
from medfuse.explain.explain import METHOD, aim_of, scan_in_place
from medfuse.explain.image import METHODS
from medfuse.explain.localisation import localisation, mask_of
from medfuse.explain.sanity import check as sanity_of
from medfuse.explain.whatif import WhatIf
from medfuse.inference import Predictor


@dataclass(frozen=True)
class Trust:
    """What was measured of one way to make heat maps.

    Attributes:
        method: The way.
        maps: How many maps.
        passed: Share of them that passed the sanity check.
        similarity: Mean rank correlation with maps of shuffled networks.
        deletion: Mean probability of the explained label while the scan is taken away in the map's order.
        insertion: The same while it is brought in.
        deletion_random: The same in a random order.
        insertion_random: The same in a random order.
        localised: Maps that could be laid on a known finding.
        localisation: Pointing game and energy of `map`, `other scan`, `centre` and `chance`; empty if none.
    """

    method: str
    maps: int
    passed: float
    similarity: float
    deletion: float
    insertion: float
    deletion_random: float
    insertion_random: float
    localised: int
    localisation: Mapping[str, Mapping[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {**vars(self), "localisation": {name: dict(row) for name, row in self.localisation.items()}}


def check(
    predictor: Predictor,
    cohort: Cohort,
    *,
    methods: Sequence[str] = (METHOD,),
    cases: int = 40,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> list[Trust]:
    """Measure heat maps on cases with a scan and a known label of patients that the bundle has not seen.

    The true label is explained: in a multilabel task the first that is 1. Where the cohort has a folder `masks`, the
    first scan's map is laid on its finding.

    Args:
        predictor: Classifies.
        cohort: The cases.
        methods: Ways to make maps.
        cases: Most cases that are used, the first of the cohort.
        seed: Decides the shuffling of weights and the random order.
        progress: Called with 1 for each case.

    Raises:
        MedfuseError: If no case can be used, or a method is not known.
    """
    for method in methods:
        if method not in METHODS:
            message = f"method '{method}' is not known; there are {', '.join(METHODS)}"
            raise MedfuseError(message)
    rows: dict[str, list[_Measured]] = {method: [] for method in methods}
    for case in islice(_usable(predictor, cohort), cases):
        variants = WhatIf(predictor, case)
        if not variants.scans():
            continue
        label = next(name for name, value in case.labels.items() if value == 1)
        aim = aim_of(variants, predictor.bundle.labels.index(label), "logit")
        place = variants.scans()[0]
        scan = scan_in_place(variants, place, aim)
        shape = (scan.placement.rows, scan.placement.columns)
        mask = None if scan.volume else mask_of(cohort.folder, case.scans[place].path, shape)
        said = as_probability(scan.seen)
        chance = in_any_order(said, seed=seed)
        for method in methods:
            heat = METHODS[method](scan.seen)
            sanity = sanity_of(scan.seen, METHODS[method], heat, seed=seed)
            own = curves(said, heat)
            figures = (
                sanity.passed, sanity.similarity, own.deletion, own.insertion, chance.deletion, chance.insertion,
            )  # fmt: skip
            on_scan = None if mask is None else scan.placement.back(heat[0].numpy())
            rows[method].append(_Measured(np.array(figures, dtype=float), on_scan, mask))
        if progress is not None:
            progress(1)
    if not any(rows.values()):
        message = "no case with a scan and a known label is of a patient that the bundle has not seen; add such cases"
        raise MedfuseError(message)
    return [_trust(method, found) for method, found in rows.items()]


@dataclass(frozen=True)
class _Measured:
    figures: np.ndarray
    heat: np.ndarray | None
    mask: np.ndarray | None


def _usable(predictor: Predictor, cohort: Cohort) -> Any:
    def usable(case: Case) -> bool:
        return (
            bool(case.scans)
            and any(value == 1 for value in case.labels.values())
            and predictor.bundle.split_of(case.patient_id) in (None, "test")
        )

    return filter(usable, cohort.cases)


def _trust(method: str, found: Sequence[_Measured]) -> Trust:
    on_finding = [(one.heat, one.mask) for one in found if one.heat is not None and one.mask is not None]
    lies = localisation([heat for heat, _ in on_finding], [mask for _, mask in on_finding]) if on_finding else {}
    means = np.mean([one.figures for one in found], axis=0).tolist()
    passed, similarity, deletion, insertion, deletion_random, insertion_random = means
    return Trust(
        method, len(found), passed, similarity, deletion, insertion, deletion_random, insertion_random,
        len(on_finding), lies,
    )  # fmt: skip
