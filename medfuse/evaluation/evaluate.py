"""Evaluate a bundle on cases that it has not seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.bundle import Bundle
from medfuse.calibration.thresholds import fixed_thresholds
from medfuse.case import Case
from medfuse.cohort import Cohort
from medfuse.encoders.cache import TokenCache, default_cache
from medfuse.errors import CohortError
from medfuse.evaluation.assemble import Evaluation, assemble, truth_of
from medfuse.evaluation.held import Held, Progress, collect, fit_baselines, stored_thresholds
from medfuse.evaluation.overlap import Overlap, Rule
from medfuse.evaluation.sites import recalibrated, side_by_side
from medfuse.evaluation.stress import stress
from medfuse.inference import Predictor

if TYPE_CHECKING:
    pass

__all__ = ["Evaluation", "evaluate", "evaluate_cohorts"]


def evaluate(
    bundle: Bundle | str | Path,
    cohort: Cohort | str | Path,
    *,
    baselines: bool = False,
    by: Sequence[str] = (),
    stressed: bool = False,
    overlap: Rule = "refuse",
    draws: int = 1000,
    cache: Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Evaluate a bundle on the test cases of a cohort.

    The cases are those of the cohort's test split, or of all splits if it has none; what the bundle has seen is left
    out of the cohort that it was trained on, and refused in any other (see `Overlap`).

    Args:
        bundle: The bundle or its folder.
        cohort: The cohort or its folder.
        baselines: Whether to fit and report the plain references on the patients that the bundle was trained on.
        by: Columns to report subgroups by, beside the cohort's group columns, sex and age.
        stressed: Whether to run the stress suite, which encodes up to 200 cases some forty times.
        overlap: What to do with cases that the bundle has seen: `refuse`, `leave-out` or `keep`.
        draws: Bootstrap draws of the intervals; 0 for none.
        cache: Where tokens of frozen encoders are kept; None takes the user's cache folder.
        progress: Called with 1 for each case.

    Raises:
        BundleError: If the bundle is damaged.
        CohortError: If no case is left to evaluate on, or one is refused.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    cohort = cohort if isinstance(cohort, Cohort) else Cohort.load(cohort)
    seen = Overlap(bundle, cohort, overlap)
    candidates = seen.candidates()
    _require_labelled(candidates, cohort)
    predictor = Predictor(bundle, cache=TokenCache(cache or default_cache()))
    held = Held()
    at = _thresholds(predictor, cohort)
    collect(predictor, candidates, held, thresholds=at, admits=seen.admits, progress=progress)
    cases = held.cases
    _require_labelled(cases, cohort)
    if baselines:
        known = [case for case in cohort.cases if bundle.split_of(case.patient_id) is not None]
        fit_baselines(predictor, known, cases, held, progress=progress)
    title = f"{bundle.config.name} on {cohort.name}"
    problems = [*cohort.problems, *_unknown_labels(bundle, cohort), *seen.problems()]
    found = assemble(held, bundle=bundle, cohort=cohort, problems=problems, draws=draws, title=title, by=by)
    more: dict[str, Any] = {
        "external": not seen.own,
        "notes": seen.notes(),
        "recalibration": _recalibrated(predictor, held, cohort, draws=draws),
    }
    if stressed:
        truth = np.array([truth_of(case, bundle) for case in cases]).reshape(len(cases), len(bundle.labels))
        more["stress"] = stress(bundle, cases, truth=truth, seed=bundle.config.seed, progress=progress)
    return replace(found, metrics={**found.metrics, **more}, card=bundle.card())


def evaluate_cohorts(
    bundle: Bundle | str | Path, cohorts: Sequence[Cohort | str | Path], **options: Any
) -> dict[str, Evaluation]:
    """Evaluate a bundle on several cohorts; the first one's evaluation sets all of them side by side.

    Args:
        bundle: The bundle or its folder.
        cohorts: The cohorts or their folders; the others are compared with the first.
        **options: As of `evaluate`.

    Returns:
        By name of the cohort (with that of its folder where two are called alike), in the order given.
    """
    bundle = bundle if isinstance(bundle, Bundle) else Bundle.load(bundle)
    read = [cohort if isinstance(cohort, Cohort) else Cohort.load(cohort) for cohort in cohorts]
    alike = Counter(cohort.name for cohort in read)
    names = [one.name if alike[one.name] == 1 else f"{one.name} ({one.folder.name})" for one in read]
    if len(set(names)) < len(names):
        message = f"two cohorts are called {alike.most_common(1)[0][0]} and lie in folders of one name; rename one"
        raise CohortError(message)
    found = {name: evaluate(bundle, cohort, **options) for name, cohort in zip(names, read, strict=True)}
    if len(found) > 1:
        scored = {name: one.scored for name, one in found.items() if one.scored is not None}
        beside = side_by_side({name: one.metrics for name, one in found.items()}, scored)
        first = found[names[0]]
        title = f"{bundle.config.name} on {', '.join(names[:-1])} and {names[-1]}"
        found[names[0]] = replace(first, title=title, metrics={**first.metrics, "cohorts": beside})
    return found


def _thresholds(predictor: Predictor, cohort: Cohort) -> dict[str, float | None]:
    """Those of training; for a bundle that has none, from its validation patients as far as the cohort has them."""
    bundle = predictor.bundle
    if stored := stored_thresholds(bundle):
        return stored
    cases = [case for case in cohort.cases if case.labelled and bundle.split_of(case.patient_id) == "validation"]
    found = [(batch, said[-1]) for batch, _, said in predictor.probabilities(cases)]
    if not found:
        return {}
    truth = np.array([truth_of(one.case, bundle) for batch, _ in found for one in batch])
    probability = np.concatenate([said for _, said in found])
    fixed = fixed_thresholds(probability=probability, truth=truth, labels=bundle.labels, source="the validation split")
    return {label: entry["threshold"] for label, entry in fixed["by_label"].items()}


def _unknown_labels(bundle: Bundle, cohort: Cohort) -> list[str]:
    unknown = [label for label in cohort.labels if label not in bundle.labels]
    return (
        [f"label {', '.join(unknown)} is unknown to the bundle; cases with it count as unlabelled"] if unknown else []
    )


def _require_labelled(cases: Sequence[Case], cohort: Cohort) -> None:
    if not any(case.labelled for case in cases):
        message = f"{cohort.folder}: no labelled case of a patient that training has not seen; nothing to evaluate on"
        raise CohortError(message)


def _recalibrated(predictor: Predictor, held: Held, cohort: Cohort, *, draws: int) -> dict[str, Any]:
    """What recalibration on the cohort's own cases gives, on its calibration split if that is new to the bundle."""
    bundle = predictor.bundle
    truth = np.array([truth_of(case, bundle) for case in held.cases])
    said = np.array([probability[-1] for probability in held.probability])
    rows = np.flatnonzero(~np.isnan(truth).all(axis=1) & np.isfinite(said).all(axis=1))
    rows = np.array([row for row in rows if held.predictions[row].error is None], dtype=int)
    tested = (np.array(held.logits)[rows], truth[rows], [held.cases[row].patient_id for row in rows])
    own = [c for c in cohort.in_split("calibration") if c.labelled and bundle.split_of(c.patient_id) is None]
    read = [(one, z) for batch, _, logits in predictor.logits(own) for one, z in zip(batch, logits[-1], strict=True)]
    read = [(one, z) for one, z in read if one.parts and not bundle.saw(one.contents)]
    labels = np.array([truth_of(one.case, bundle) for one, _ in read]).reshape(len(read), len(bundle.labels))
    known = np.flatnonzero(~np.isnan(labels).all(axis=1))
    calibrating = None
    if known.size:
        z = np.array([logits for _, logits in read])
        calibrating = (z[known], labels[known], [read[row][0].case.patient_id for row in known])
    return recalibrated(said[rows], tested, calibrating, task=bundle.task, draws=draws, seed=bundle.config.seed)
