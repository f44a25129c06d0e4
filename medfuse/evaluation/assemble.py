"""What was said of held-out cases, measured: one evaluation, as `metrics.json` and the report hold it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.bundle import Bundle
from medfuse.calibration.outliers import UNLIKE
from medfuse.case import Case, Modality, Prediction
from medfuse.cohort import Cohort
from medfuse.errors import CohortError
from medfuse.evaluation.baselines import BASELINES
from medfuse.evaluation.compare import CASES, write_cases
from medfuse.evaluation.held import Held
from medfuse.evaluation.missing import missing_curves, posterior_distance, reachable
from medfuse.evaluation.mistakes import worst_cases
from medfuse.evaluation.reliance import altered_areas, interplay, mean_shapley, verdicts
from medfuse.evaluation.report import evaluated_card, write_report
from medfuse.evaluation.sets import abstention, alarms, coverage, found_at
from medfuse.evaluation.subgroups import columns_of, subgroups
from medfuse.evaluation.summary import headline, summarise
from medfuse.inference import write_predictions

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray


@dataclass(frozen=True)
class Evaluation:
    """What held-out cases say of a model.

    Attributes:
        metrics: What `metrics.json` holds.
        predictions: One a case, in order.
        title: For the report.
        cases: The cases, in the order of the predictions.
        thresholds: From which each label counts as predicted, one row a case.
        card: The bundle's model card, which what was measured is added to; empty where there is no one bundle.
        scored: Truth [N, C], probabilities [N, C] and patients [N] of the cases that were measured.
    """

    metrics: Mapping[str, Any]
    predictions: Sequence[Prediction]
    title: str = "Evaluation"
    cases: Sequence[Case] = ()
    thresholds: Sequence[Float[ndarray, " c"]] = ()
    card: str = ""
    scored: tuple[Float[ndarray, "n c"], Float[ndarray, "n c"], Sequence[str]] | None = None

    def save(self, folder: str | Path, *, public: bool = False) -> Path:
        """Write `metrics.json`, `report.html`, `MODEL_CARD.md`, `predictions.jsonl` and `.parquet` and `cases.csv`.

        Args:
            folder: Where to; it is made if need be.
            public: Leave out all that is said of single cases: predictions, errors, and the lines that name a case.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        if public:
            self._save_metrics(folder, _without_cases(self.metrics))
            return folder
        write_predictions(self.predictions, folder / "predictions.jsonl")
        write_predictions(self.predictions, folder / "predictions.parquet")
        labels = tuple(self.metrics["labels"])
        write_cases(folder / CASES, cases=self.cases, labels=labels, thresholds=self.thresholds)
        self._save_metrics(folder, self.metrics)
        return folder

    def _save_metrics(self, folder: Path, metrics: Mapping[str, Any]) -> None:
        write_report(metrics, folder / "report.html", title=self.title, notes=metrics.get("notes", ()))
        files = {"metrics.json": json.dumps(metrics, indent=1, allow_nan=False) + "\n"}
        if self.card:
            files["MODEL_CARD.md"] = evaluated_card(self.card, metrics, self.title)
        for name, text in files.items():
            partial = folder / f"{name}.partial"
            partial.write_text(text, encoding="utf-8")
            os.replace(partial, folder / name)


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
    truth = np.array([truth_of(held.cases[row], bundle) for row in scored]).reshape(len(scored), len(bundle.labels))
    if not scored or np.isnan(truth).all():
        message = f"{cohort.folder}: no labelled case to evaluate on"
        raise CohortError(message)
    patients = [held.cases[row].patient_id for row in scored]
    every = np.stack([held.probability[row] for row in scored])  # [N, patterns, C]
    thresholds = np.stack([held.thresholds[row] for row in scored])
    present = [held.present[row] for row in scored]
    shared: dict[str, Any] = {"patients": patients, "task": bundle.task, "draws": draws}
    best = _best(held, scored, bundle, cohort)
    metrics = summarise(
        truth=truth,
        probability=every[:, -1],
        labels=bundle.labels,
        thresholds=thresholds,
        best=best,
        **shared,
    )
    ideal = None if best is None else reachable(best, bundle.model.modalities)
    if ideal is not None:
        metrics["summary"]["posterior_distance"] = posterior_distance(every[:, -1], ideal[:, -1], patients)
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
    metrics["missing"] = missing_curves(**same, best=ideal, seed=bundle.config.seed)
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
    said: dict[str, Any] = {"patients": patients, "labels": bundle.labels}
    predictions = [held.predictions[row] for row in scored]
    metrics["conformal"] = coverage(
        truth,
        np.array([[label in p.prediction_set for label in bundle.labels] for p in predictions]),
        np.stack([held.absent[row] for row in scored]),
        np.array([p.abstain for p in predictions]),
        present=present,
        task=bundle.task,
        nominal=bundle.conformal.coverage,
        **said,
    )
    metrics["abstention"] = abstention(truth, every[:, -1], task=bundle.task, **said)
    if (promise := bundle.calibration.sensitivity) is not None:
        at = np.stack([held.promised[row] for row in scored])
        given: dict[str, Any] = {"stated": promise.sensitivity, "confidence": promise.confidence}
        metrics["sensitivity"] = found_at(truth, every[:, -1], at, **given, **said)
    if bundle.outliers is not None:
        flagged = np.array([any(line.startswith(UNLIKE) for line in p.warnings) for p in predictions])
        own = cohort.name == bundle.facts.get("cohort")
        metrics["outliers"] = alarms(flagged, patients=patients, nominal=bundle.outliers.false_alarms, own=own)
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
    return Evaluation(
        metrics, held.predictions, title, held.cases, held.thresholds, scored=(truth, every[:, -1], patients)
    )


def _without_cases(metrics: Mapping[str, Any]) -> dict[str, Any]:
    lines = [line for line in metrics["problems"] if not line.startswith("case ")]
    named = len(metrics["problems"]) - len(lines)
    more = [f"{named} lines about single cases are left out of this public report"] if named else []
    return {**metrics, "errors": [], "problems": [*lines, *more]}


def truth_of(case: Case, bundle: Bundle) -> list[float]:
    """1, 0 or NaN (not known) by the bundle's labels; all NaN where a multiclass case has not exactly one."""
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
