"""Recalibration: a bundle made for one site, calibrated anew for another, if that is better than leaving it alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from medfuse.bundle import Bundle, patient_digest
from medfuse.calibration import CALIBRATORS, calibrate, pattern_of
from medfuse.calibration.calibrator import labelled
from medfuse.calibration.thresholds import fixed_thresholds
from medfuse.calibration.transfer import Transfer, transfer
from medfuse.case import Case
from medfuse.cohort import Cohort
from medfuse.encoders.cache import TokenCache, default_cache
from medfuse.encoders.cases import EncodedCase
from medfuse.errors import CohortError
from medfuse.inference import Predictor
from medfuse.model import decide_all
from medfuse.training.fit import reference_of
from medfuse.training.learning import targets


@dataclass(frozen=True)
class Recalibration:
    """What came of it.

    Attributes:
        bundle: The bundle with its new calibration; None if the old one is no worse.
        transfer: Old against new.
        chosen: The calibrator that was taken; None if the old one stays.
    """

    bundle: Bundle | None
    transfer: Transfer
    chosen: str | None

    @property
    def verdict(self) -> str:
        """In one line."""
        found = self.transfer
        counted = f"{found.cases} cases of {found.patients} patients"
        if found.new is None:
            return f"{counted} are too few to tell whether another calibration is better; bring 10 patients or more"
        compared = (
            f"cross-fitted log loss {found.new:.4f} against {found.old:.4f} of the old calibration"
            f" (gain {found.gain:+.4f}, standard error {found.error:.4f})"
        )
        if self.bundle is None:
            more = "at none of the sizes tried does it gain; the old calibration fits, or many more are needed"
            if found.enough is not None:
                more = f"it gains on average from {found.enough} patients on, but not yet beyond doubt; bring more"
            return f"{counted} do not show that another calibration is better: {compared}; {more}"
        few = f"; fewer than {found.enough} patients would be too few" if found.enough is not None else ""
        return f"{counted}: {self.chosen}, {compared}{few}"


def recalibrate(
    bundle: Bundle | str | Path,
    cohort: Cohort | str | Path,
    *,
    method: str = "auto",
    cache: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Recalibration:
    """Calibrate a bundle anew on labelled cases of another site; the network stays as it is.

    The cases are those of the cohort's calibration split, or all if it has no splits. The new calibration is taken
    only if its log loss on cases that it was not fitted on is lower than the old one's by more than a standard error.
    The old one is kept inside the new bundle, and the cases become the reference that drift is told by. Thresholds of
    the out-of-distribution scores stay: they say what is unlike training.

    Args:
        bundle: The bundle or its folder.
        cohort: The cohort or its folder.
        method: A calibrator's name, or `auto` to choose.
        cache: Where tokens of frozen encoders are kept; None takes the user's cache folder.
        progress: Called with 1 for each case.

    Raises:
        BundleError: If the bundle is damaged.
        CohortError: If a patient was seen in training, or there is no labelled case to calibrate on.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    cohort = cohort if isinstance(cohort, Cohort) else Cohort.load(cohort)
    cases = _cases(bundle, cohort)
    predictor = Predictor(bundle, cache=TokenCache(cache or default_cache()))
    encoded: list[EncodedCase] = []
    known: list[str] = []
    for one in predictor.encoder.stream(cases):
        if bundle.saw(one.contents):
            known.append(one.case.case_id)
        if one.parts:
            encoded.append(one)
        if progress is not None:
            progress(1)
    if known:
        message = (
            f"{cohort.folder}: {len(known)} of {len(cases)} cases hold a scan or note that this bundle was trained or"
            f" calibrated on, under other patients ({', '.join(known[:5])}); calibrating on them would promise too"
            " much, so leave them out"
        )
        raise CohortError(message)
    if not encoded:
        message = f"{cohort.folder}: none of the labelled cases can be read; nothing to calibrate on"
        raise CohortError(message)
    decided = decide_all(bundle.model, [one.parts for one in encoded])
    labels = targets([one.case for one in encoded], bundle.labels).double().numpy()
    patients = [one.case.patient_id for one in encoded]
    seed = bundle.config.seed
    before = bundle.calibration.probability(decided.logits[:, -1], pattern_of(decided.present))
    if bundle.config.hierarchy:  # another calibrator could lift a child above its parent
        method = "temperature"
    kinds = CALIBRATORS if method == "auto" else {method: CALIBRATORS[method]}
    old = np.log(np.maximum(before, np.finfo(float).tiny))
    found = transfer(kinds, old, decided.logits[:, -1], labels, task=bundle.task, patients=patients, seed=seed)
    if not found.better:
        return Recalibration(None, found, None)
    settings = bundle.config.calibration.model_copy(update={"method": method})
    new = calibrate(decided.logits, labels, decided.present, settings, task=bundle.task, patients=patients, seed=seed)
    new = replace(new, previous={**bundle.calibration.to_dict(), "bundle": bundle.digest})
    digests = frozenset(patient_digest(patient) for patient in patients)
    remade = replace(
        bundle,
        config=bundle.config.model_copy(update={"calibration": settings}),
        calibration=new,
        reference=reference_of(bundle.model, new, encoded, decided),
        seen={**bundle.seen, "calibration": bundle.seen.get("calibration", frozenset()) | digests},
        contents=None if bundle.contents is None else bundle.contents.union(*(one.contents for one in encoded)),
        facts={
            **bundle.facts,
            "calibration": dict(new.choice),
            "thresholds": fixed_thresholds(
                probability=new.probability(decided.logits[:, -1], pattern_of(decided.present)),
                truth=labels,
                labels=bundle.labels,
                source="the cases of the new site that calibrated it",
            ),
            "recalibration": {"cohort": cohort.name, "from": bundle.digest, **found.to_dict()},
        },
        digest="",
    )
    return Recalibration(remade, found, new.calibrator.name)


def _cases(bundle: Bundle, cohort: Cohort) -> list[Case]:
    has_splits = any(case.split is not None for case in cohort.cases)
    cases = [case for case in cohort.cases if not has_splits or case.split == "calibration"]
    truth = targets(cases, bundle.labels).double().numpy()
    known = [case for case, counts in zip(cases, labelled(truth, bundle.task), strict=True) if counts]
    seen = {case.patient_id for case in known if bundle.split_of(case.patient_id) is not None}
    if seen:
        message = (
            f"{cohort.folder}: {len(seen)} of {len({case.patient_id for case in known})} patients were seen when this"
            " bundle was trained or calibrated; calibrating on them would promise too much, so leave them out"
        )
        raise CohortError(message)
    if not known:
        where = "in the calibration split" if has_splits else "with a label that the bundle knows"
        message = f"{cohort.folder}: no labelled case {where}; nothing to calibrate on"
        raise CohortError(message)
    return known
