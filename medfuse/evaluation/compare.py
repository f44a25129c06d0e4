"""Compare evaluations of several models on the same cases."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.bundle import patient_digest
from medfuse.case import Case
from medfuse.cohort import Task
from medfuse.errors import CohortError
from medfuse.evaluation.intervals import DRAWS
from medfuse.evaluation.measured import Measured
from medfuse.evaluation.paired import bootstrap_differences, delong_difference, holm, mcnemar
from medfuse.page import page

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

CASES = "cases.csv"
TEMPLATE = Path(__file__).with_name("comparison.html.j2")


@dataclass(frozen=True)
class Judged:
    """An evaluation as its folder holds it, as far as a comparison needs it.

    Attributes:
        name: Of the folder.
        task: `multiclass` or `multilabel`.
        labels: The labels.
        patients: Digest of each case's patient, by case.
        truth: 1, 0 or NaN (not known) [C], by case.
        thresholds: From which each label counts as predicted [C], by case; NaN where none is known.
        probability: [C] by case; a case that could not be classified is not there.
        bundle: Digest of the bundle.
    """

    name: str
    task: Task
    labels: tuple[str, ...]
    patients: Mapping[str, str]
    truth: Mapping[str, Float[ndarray, " c"]]
    thresholds: Mapping[str, Float[ndarray, " c"]]
    probability: Mapping[str, Float[ndarray, " c"]]
    bundle: str

    @classmethod
    def load(cls, folder: str | Path) -> Judged:
        """Read what `medfuse evaluate` wrote.

        Raises:
            CohortError: If the folder does not hold an evaluation.
        """
        folder = Path(folder)
        try:
            metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            with (folder / CASES).open(newline="", encoding="utf-8") as stream:
                rows = list(csv.DictReader(stream))
            with (folder / "predictions.jsonl").open(encoding="utf-8") as stream:
                said = [json.loads(line) for line in stream]
            labels = tuple(metrics["labels"])
            return cls(
                name=folder.name,
                task=metrics["task"],
                labels=labels,
                patients={row["case_id"]: row["patient"] for row in rows},
                truth={row["case_id"]: _truth(row, metrics["task"], labels) for row in rows},
                thresholds={row["case_id"]: _numbers(row, "threshold", labels) for row in rows},
                probability={
                    one["case_id"]: np.array([one["probabilities"][label] for label in labels])
                    for one in said
                    if one["error"] is None
                },
                bundle=metrics.get("bundle", ""),
            )
        except (OSError, ValueError, KeyError) as error:
            message = f"{folder}: no evaluation that can be compared ({CASES}, predictions.jsonl and metrics.json are "
            message += "needed); run `medfuse evaluate` with this medfuse again"
            raise CohortError(message) from error


def write_cases(
    path: Path, *, cases: Sequence[Case], labels: Sequence[str], thresholds: Sequence[Float[ndarray, " c"]]
) -> None:
    """Write what a later comparison needs: each case's patient (as a digest), truth and thresholds."""
    columns = ["case_id", "patient", *(f"truth:{label}" for label in labels), *(f"threshold:{x}" for x in labels)]
    partial = path.with_name(path.name + ".partial")
    with partial.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(columns)
        for case, at in zip(cases, thresholds, strict=True):
            truth = ("" if (value := case.labels.get(label)) is None else int(value) for label in labels)
            limits = ("" if np.isnan(value) else repr(float(value)) for value in at)
            writer.writerow([case.case_id, patient_digest(case.patient_id), *truth, *limits])
    os.replace(partial, path)


def compare(folders: Sequence[str | Path], *, draws: int = DRAWS, seed: int = 0) -> dict[str, Any]:
    """Every pair of the evaluations, tested on the same cases.

    Args:
        folders: Of `medfuse evaluate`, two or more.
        draws: Of the paired bootstrap.
        seed: Of the draws.

    Returns:
        `n_cases`, `n_patients`, `n_left_out` (a model could not classify them), `models` (by name: `bundle` and the
        metrics) and `pairs`: `first`, `second`, `delong` (AUROC), `bootstrap` (every metric) and `mcnemar`, each with
        `p` and `p_holm`, corrected over the pairs.

    Raises:
        CohortError: If a folder holds no evaluation, or they are not of the same cases, labels and truth.
    """
    judged = _same([Judged.load(folder) for folder in folders])
    first = judged[0]
    labelled = [case for case, truth in first.truth.items() if not np.isnan(truth).all()]
    shared = [case for case in labelled if all(case in one.probability for one in judged)]
    if not shared:
        message = "no labelled case was classified by all of the models; nothing to compare"
        raise CohortError(message)
    truth = np.stack([first.truth[case] for case in shared])
    patients = [first.patients[case] for case in shared]
    said = [np.stack([one.probability[case] for case in shared]) for one in judged]
    measured = [Measured(truth, one, patients, first.task, draws, seed) for one in said]
    names = _names(judged)
    pairs: list[dict[str, Any]] = []
    for a, b in combinations(range(len(judged)), 2):
        right = [_right(truth, said[k], judged[k], shared) for k in (a, b)]
        known = ~np.isnan(truth) if first.task == "multilabel" else np.ones((len(truth), 1), dtype=bool)
        whose = np.repeat(np.array(patients), known.shape[1])[known.ravel()]
        pairs.append(
            {
                "first": names[a],
                "second": names[b],
                "delong": delong_difference(truth, said[a], said[b], patients, first.labels),
                "bootstrap": bootstrap_differences(measured[a], measured[b]),
                "mcnemar": mcnemar(right[0][known], right[1][known], whose),
            }
        )
    for family in (
        [pair["delong"] for pair in pairs],
        [pair["mcnemar"] for pair in pairs],
        *([pair["bootstrap"][metric] for pair in pairs] for metric in pairs[0]["bootstrap"]),
        *([entry for pair in pairs for entry in pair["delong"]["labels"].values()],),
    ):
        for entry, p in zip(family, holm([entry["p"] for entry in family]), strict=True):
            entry["p_holm"] = p
    return {
        "n_cases": len(shared),
        "n_patients": len(set(patients)),
        "n_left_out": len(labelled) - len(shared),
        "draws": draws,
        "seed": seed,
        "models": {
            name: {"bundle": one.bundle, **found.headline()}
            for name, one, found in zip(names, judged, measured, strict=True)
        },
        "pairs": pairs,
    }


def write_comparison(found: Mapping[str, Any], folder: str | Path) -> Path:
    """Write `comparison.json` and `comparison.html`."""
    from medfuse import __version__

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    html = page(TEMPLATE, {"found": found, "version": __version__})
    for name, text in (
        ("comparison.json", json.dumps(found, indent=1, allow_nan=False) + "\n"),
        ("comparison.html", html),
    ):
        partial = folder / f"{name}.partial"
        partial.write_text(text, encoding="utf-8")
        os.replace(partial, folder / name)
    return folder


def _same(judged: Sequence[Judged]) -> Sequence[Judged]:
    if len(judged) < 2:
        message = "a comparison needs two evaluations or more"
        raise CohortError(message)
    first = judged[0]
    for other in judged[1:]:
        apart = len(first.truth.keys() ^ other.truth.keys())
        faults = {
            f"labels {', '.join(other.labels)} instead of {', '.join(first.labels)}": other.labels != first.labels,
            f"a {other.task} task instead of {first.task}": other.task != first.task,
            f"{apart} cases are in one of them only": apart > 0,
            "the same cases have other labels or patients": apart == 0
            and any(
                not np.array_equal(truth, other.truth[case], equal_nan=True)
                or first.patients[case] != other.patients[case]
                for case, truth in first.truth.items()
            ),
        }
        for fault, present in faults.items():
            if present:
                message = f"{other.name} cannot be compared with {first.name}: {fault}; evaluate both on one cohort"
                raise CohortError(message)
    return judged


def _names(judged: Sequence[Judged]) -> list[str]:
    """Names of the folders, numbered where two are alike."""
    plain = [one.name for one in judged]
    return [f"{name} ({place})" if plain.count(name) > 1 else name for place, name in enumerate(plain, start=1)]


def _right(truth: ndarray, said: ndarray, judged: Judged, cases: Sequence[str]) -> ndarray:
    """Whether each decision is right: the most probable label [N, 1], or each label at its threshold [N, C]."""
    if judged.task == "multiclass":
        return np.asarray((truth[np.arange(len(truth)), said.argmax(axis=1)] == 1)[:, None])
    at = np.stack([judged.thresholds[case] for case in cases])
    return np.asarray((said >= np.where(np.isnan(at), 0.5, at)) == (truth == 1))


def _truth(row: Mapping[str, str], task: Task, labels: Sequence[str]) -> Float[ndarray, " c"]:
    """The truth of a case; not known where a multiclass case has none of the labels."""
    values = _numbers(row, "truth", labels)
    return np.full(len(labels), np.nan) if task == "multiclass" and np.nansum(values) != 1 else values


def _numbers(row: Mapping[str, str], kind: str, labels: Sequence[str]) -> Float[ndarray, " c"]:
    cells = (row[f"{kind}:{label}"] for label in labels)
    return np.array([float(cell) if cell else np.nan for cell in cells])
