"""Evaluate a bundle on cases that it has not seen."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.bundle import Bundle
from medfuse.calibration.thresholds import fixed_thresholds
from medfuse.case import Case, Modality, Prediction
from medfuse.cohort import Cohort
from medfuse.encoders.cache import TokenCache, default_cache
from medfuse.errors import CohortError
from medfuse.evaluation.baselines import BASELINES
from medfuse.evaluation.compare import CASES, write_cases
from medfuse.evaluation.held import Held, Progress, collect, fit_baselines, stored_thresholds
from medfuse.evaluation.mistakes import worst_cases
from medfuse.evaluation.overlap import Overlap, Rule
from medfuse.evaluation.reliance import altered_areas, interplay, mean_shapley, verdicts
from medfuse.evaluation.report import write_report
from medfuse.evaluation.sites import recalibrated, side_by_side
from medfuse.evaluation.stress import stress
from medfuse.evaluation.subgroups import columns_of, subgroups
from medfuse.evaluation.summary import headline, summarise
from medfuse.inference import Predictor, write_predictions

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

__all__ = ["Evaluation", "Held", "assemble", "collect", "evaluate", "evaluate_cohorts", "fit_baselines"]


@dataclass(frozen=True)
class Evaluation:
    """What held-out cases say of a model.

    Attributes:
        metrics: What `metrics.json` holds.
        predictions: One a case, in order.
        title: For the report.
        cases: The cases, in the order of the predictions.
        thresholds: From which each label counts as predicted, one row a case.
        scored: Truth [N, C], probabilities [N, C] and patients [N] of the cases that were measured.
    """

    metrics: Mapping[str, Any]
    predictions: Sequence[Prediction]
    title: str = "Evaluation"
    cases: Sequence[Case] = ()
    thresholds: Sequence[Float[ndarray, " c"]] = ()
    scored: tuple[Float[ndarray, "n c"], Float[ndarray, "n c"], Sequence[str]] | None = None

    def save(self, folder: str | Path) -> Path:
        """Write `metrics.json`, `predictions.jsonl`, `predictions.parquet`, `cases.csv` and `report.html`."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        write_predictions(self.predictions, folder / "predictions.jsonl")
        write_predictions(self.predictions, folder / "predictions.parquet")
        labels = tuple(self.metrics["labels"])
        write_cases(folder / CASES, cases=self.cases, labels=labels, thresholds=self.thresholds)
        write_report(self.metrics, folder / "report.html", title=self.title, notes=self.metrics.get("notes", ()))
        partial = folder / "metrics.json.partial"
        partial.write_text(json.dumps(self.metrics, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        os.replace(partial, folder / "metrics.json")
        return folder


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
        truth = np.array([_truth(case, bundle) for case in cases]).reshape(len(cases), len(bundle.labels))
        more["stress"] = stress(bundle, cases, truth=truth, seed=bundle.config.seed, progress=progress)
    return replace(found, metrics={**found.metrics, **more})


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


def assemble(
    held: Held,
    *,
    bundle: Bundle,
    cohort: Cohort,
    problems: Sequence[str],
    draws: int,
    title: str,
    by: Sequence[str] = (),
) -> Evaluation:
    """Measure what was collected. Cases that could not be classified are counted, not scored."""
    finite = [bool(np.isfinite(one).all()) for one in held.probability]
    scored = [row for row, one in enumerate(held.predictions) if one.error is None and finite[row]]
    failed = [p for p, good in zip(held.predictions, finite, strict=True) if p.error is not None or not good]
    reasons = (p.error or "the model gave a probability that is not a number" for p in failed)
    told = [
        *problems,
        *(f"case {p.case_id} could not be classified: {r}" for p, r in zip(failed, reasons, strict=True)),
    ]
    for prediction in held.predictions:
        if prediction.error is None:
            told += [f"case {prediction.case_id}: {line}" for line in prediction.unreadable]
    truth = np.array([_truth(held.cases[row], bundle) for row in scored]).reshape(len(scored), len(bundle.labels))
    if not scored or np.isnan(truth).all():
        message = f"{cohort.folder}: no labelled case to evaluate on"
        raise CohortError(message)
    patients = [held.cases[row].patient_id for row in scored]
    every = np.stack([held.probability[row] for row in scored])  # [N, patterns, C]
    thresholds = np.stack([held.thresholds[row] for row in scored])
    present = [held.present[row] for row in scored]
    shared: dict[str, Any] = {"patients": patients, "task": bundle.task, "draws": draws}
    metrics = summarise(
        truth=truth,
        probability=every[:, -1],
        labels=bundle.labels,
        thresholds=thresholds,
        best=_best(held, scored, bundle, cohort),
        **shared,
    )
    place = {row: number for number, row in enumerate(scored)}
    altered = {
        what: {place[row]: said for row, said in rows.items() if row in place} for what, rows in held.altered.items()
    }
    metrics["reliance"] = altered_areas(
        truth=truth,
        every=every,
        altered={what: rows for what, rows in altered.items() if rows},
        modalities=bundle.model.modalities,
        patients=patients,
    )
    same: dict[str, Any] = {"truth": truth, "every": every, "modalities": bundle.model.modalities, "patients": patients}
    metrics["use"] = {
        "verdicts": verdicts(metrics["reliance"], bundle.model.modalities),
        "shapley": mean_shapley(**same),
        "interplay": interplay(**same, present=present, task=bundle.task, thresholds=thresholds),
    }
    metrics["patterns"] = _patterns(present, truth, every[:, -1], shared)
    metrics["subgroups"] = subgroups(
        truth=truth,
        probability=every[:, -1],
        patients=patients,
        columns=columns_of([held.cases[row] for row in scored], groups=cohort.groups, by=by),
        labels=bundle.labels,
        thresholds=thresholds,
        draws=draws,
    )
    metrics["conformal"] = _coverage(truth, [held.predictions[row] for row in scored], bundle)
    if held.baselines:
        metrics["baselines"] = {
            BASELINES[name]: headline(truth=truth, probability=np.array(found)[scored], **shared)
            for name, found in held.baselines.items()
        }
    metrics["errors"] = worst_cases(
        truth=truth,
        probability=every[:, -1],
        case_ids=[held.cases[row].case_id for row in scored],
        labels=bundle.labels,
        task=bundle.task,
        thresholds=thresholds,
    )
    metrics["n_failed"] = len(failed)
    metrics["bundle"] = bundle.digest
    metrics["problems"] = told
    return Evaluation(metrics, held.predictions, title, held.cases, held.thresholds, (truth, every[:, -1], patients))


def _thresholds(predictor: Predictor, cohort: Cohort) -> dict[str, float | None]:
    """Those of training; for a bundle that has none, from its validation patients as far as the cohort has them."""
    bundle = predictor.bundle
    if stored := stored_thresholds(bundle):
        return stored
    cases = [case for case in cohort.cases if case.labelled and bundle.split_of(case.patient_id) == "validation"]
    found = [(batch, said[-1]) for batch, _, said in predictor.probabilities(cases)]
    if not found:
        return {}
    truth = np.array([_truth(one.case, bundle) for batch, _ in found for one in batch])
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
    truth = np.array([_truth(case, bundle) for case in held.cases])
    said = np.array([probability[-1] for probability in held.probability])
    rows = np.flatnonzero(~np.isnan(truth).all(axis=1) & np.isfinite(said).all(axis=1))
    rows = np.array([row for row in rows if held.predictions[row].error is None], dtype=int)
    tested = (np.array(held.logits)[rows], truth[rows], [held.cases[row].patient_id for row in rows])
    own = [c for c in cohort.in_split("calibration") if c.labelled and bundle.split_of(c.patient_id) is None]
    read = [(one, z) for batch, _, logits in predictor.logits(own) for one, z in zip(batch, logits[-1], strict=True)]
    read = [(one, z) for one, z in read if one.parts and not bundle.saw(one.contents)]
    labels = np.array([_truth(one.case, bundle) for one, _ in read]).reshape(len(read), len(bundle.labels))
    known = np.flatnonzero(~np.isnan(labels).all(axis=1))
    calibrating = None
    if known.size:
        z = np.array([logits for _, logits in read])
        calibrating = (z[known], labels[known], [read[row][0].case.patient_id for row in known])
    return recalibrated(said[rows], tested, calibrating, task=bundle.task, draws=draws, seed=bundle.config.seed)


def _truth(case: Case, bundle: Bundle) -> list[float]:
    values = [np.nan if (value := case.labels.get(label)) is None else float(value) for label in bundle.labels]
    if bundle.task == "multiclass" and sum(value == 1 for value in values) != 1:
        return [np.nan] * len(values)
    return values


def _best(held: Held, scored: Sequence[int], bundle: Bundle, cohort: Cohort) -> dict[str, Float[ndarray, "n c"]] | None:
    """The true posterior of the scored cases, where the cohort knows it for all of them."""
    truth = cohort.truth()
    if truth is None or cohort.labels != bundle.labels:
        return None
    ids = [held.cases[row].case_id for row in scored]
    return {
        str(evidence): np.array([posterior[case_id] for case_id in ids])
        for evidence, posterior in truth.items()
        if all(case_id in posterior for case_id in ids)
    }


def _patterns(
    present: Sequence[tuple[Modality, ...]],
    truth: Float[ndarray, "n c"],
    probability: Float[ndarray, "n c"],
    shared: Mapping[str, Any],
) -> dict[str, Any]:
    """The metrics by which modalities the cases really had."""
    found = {}
    for pattern in sorted(set(present), key=lambda p: (-len(p), p)):
        rows = [row for row, has in enumerate(present) if has == pattern]
        part = {**shared, "patients": [shared["patients"][row] for row in rows]}
        if not np.isnan(truth[rows]).all():
            found[" + ".join(pattern)] = headline(truth=truth[rows], probability=probability[rows], **part)
    return found


def _coverage(truth: Float[ndarray, "n c"], predictions: Sequence[Prediction], bundle: Bundle) -> dict[str, Any]:
    """How often the prediction set held the true labels, and how often the model abstained."""
    inside = np.array([[label in p.prediction_set for label in bundle.labels] for p in predictions])
    rows = (truth == 1).any(1)
    covered = ((truth != 1) | inside).all(1)[rows]
    return {
        "nominal": bundle.conformal.coverage,
        "covered": float(covered.mean()) if len(covered) else None,
        "n": int(rows.sum()),
        "abstained": float(np.mean([p.abstain for p in predictions])),
        "mean_set_size": float(inside.sum(1).mean()),
    }
