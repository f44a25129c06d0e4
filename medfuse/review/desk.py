"""The desk: everything that a reader's session has at hand, opened once."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from medfuse.case import Case, Prediction
from medfuse.cohort import Cohort
from medfuse.config import ImageConfig
from medfuse.errors import MedfuseError
from medfuse.review.predictions import read_predictions
from medfuse.review.store import ReviewStore
from medfuse.review.worklist import predicted_cases


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the dashboard finds its input; written to and read from its command line.

    Attributes:
        cohort: The cohort's folder.
        predictions: The JSON lines that `medfuse classify` wrote.
        store: The file or database URL of the decisions.
        evaluation: The folder that `medfuse evaluate` wrote, if there is one.
        bundle: The bundle's folder, for reasons and for cases that are dropped in; None only reviews.
        image: How scans were fitted for the network.
        login: Whether a login is asked for.
        openid: Whether there is a provider of OpenID Connect to sign in at.
    """

    cohort: Path
    predictions: Path
    store: str
    evaluation: Path | None = None
    bundle: Path | None = None
    image: ImageConfig = field(default_factory=ImageConfig)
    login: bool = False
    openid: bool = False

    def arguments(self) -> list[str]:
        """The places as command-line arguments."""
        given = ["--cohort", str(self.cohort), "--predictions", str(self.predictions), "--store", self.store]
        given += ["--image", self.image.model_dump_json()]
        given += ["--bundle", str(self.bundle)] if self.bundle else []
        given += [*(["--login"] if self.login else []), *(["--openid"] if self.openid else [])]
        return given if self.evaluation is None else [*given, "--evaluation", str(self.evaluation)]

    @classmethod
    def of_arguments(cls, arguments: Sequence[str]) -> Places:
        """Read what `arguments` wrote; exits as argparse does if they are wrong."""
        parser = argparse.ArgumentParser(prog="dashboard", allow_abbrev=False)
        parser.add_argument("--cohort", type=Path, required=True)
        parser.add_argument("--predictions", type=Path, required=True)
        parser.add_argument("--store", required=True)
        parser.add_argument("--evaluation", type=Path)
        parser.add_argument("--bundle", type=Path)
        parser.add_argument("--image", type=ImageConfig.model_validate_json, default=ImageConfig())
        parser.add_argument("--login", action="store_true")
        parser.add_argument("--openid", action="store_true")
        return cls(**vars(parser.parse_args(arguments)))

    def stamp(self) -> tuple[int, ...]:
        """Changes when a file of the input changes, so that a cache notices."""
        files = [self.cohort / "cohort.yaml", self.cohort / "cases.csv", self.predictions]
        if self.evaluation:
            files.append(self.evaluation / "metrics.json")
        return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)


@dataclass(frozen=True, kw_only=True)
class Desk:
    """The opened input of the dashboard.

    Attributes:
        cohort: The cases.
        cases: The cases by id.
        predictions: By case id.
        table: One row a predicted case (`predicted_cases`), made once.
        problems: What was wrong with the predictions' file, one line each.
        store: The decisions.
        metrics: The evaluation's `metrics.json`; None if there is no evaluation.
        report: The evaluation's `report.html`; None if there is none.
        evaluation: The evaluation's folder; None if there is none.
        bundle: The bundle's folder; None in a desk that only reviews.
        image: How scans were fitted for the network.
    """

    cohort: Cohort
    cases: Mapping[str, Case]
    predictions: Mapping[str, Prediction]
    table: pd.DataFrame
    problems: tuple[str, ...]
    store: ReviewStore
    metrics: Mapping[str, Any] | None = None
    report: Path | None = None
    evaluation: Path | None = None
    bundle: Path | None = None
    image: ImageConfig = field(default_factory=ImageConfig)

    @classmethod
    def open(cls, places: Places) -> Desk:
        """Open everything.

        Raises:
            MedfuseError: If the cohort, the predictions, the store or a given evaluation cannot be read.
        """
        cohort = Cohort.load(places.cohort)
        predictions, problems = read_predictions(places.predictions)
        cases = {case.case_id: case for case in cohort.cases}
        strange = sum(case_id not in cases for case_id in predictions)
        if strange:
            problems += (f"{strange} predictions are of cases that this cohort does not have; they are left out",)
        predictions = {case_id: found for case_id, found in predictions.items() if case_id in cases}
        report = places.evaluation / "report.html" if places.evaluation else None
        return cls(
            cohort=cohort,
            cases=cases,
            predictions=predictions,
            table=predicted_cases(cohort, predictions),
            problems=problems,
            store=ReviewStore(places.store, cohort=cohort.name, labels=cohort.labels, task=cohort.task),
            metrics=_metrics(places.evaluation) if places.evaluation else None,
            report=report if report and report.is_file() else None,
            evaluation=places.evaluation,
            bundle=places.bundle,
            image=places.image,
        )

    def previous(self, case: Case) -> tuple[Case, ...]:
        """Other cases of the patient, the newest first where times are known."""
        others = [one for one in self._of_patient.get(case.patient_id, ()) if one.case_id != case.case_id]
        return tuple(sorted(others, key=lambda one: one.time or "", reverse=True))

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The predicted cases in the order of the table."""
        return tuple(self.table["case_id"].tolist())

    @cached_property
    def sites(self) -> tuple[str, ...]:
        """Where the predicted cases are from, as far as that is known."""
        return tuple(sorted(set(self.table["site"].unique()) - {""}))

    @cached_property
    def _of_patient(self) -> Mapping[str, list[Case]]:
        found: dict[str, list[Case]] = {}
        for case in self.cohort.cases:
            found.setdefault(case.patient_id, []).append(case)
        return found


def _metrics(folder: Path) -> Mapping[str, Any]:
    path = folder / "metrics.json"
    try:
        metrics = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        message = f"{path}: cannot be read: {error.strerror}; `medfuse evaluate` writes it"
        raise MedfuseError(message) from error
    except ValueError as error:
        message = f"{path}: not valid JSON; `medfuse evaluate` writes it anew"
        raise MedfuseError(message) from error
    if not isinstance(metrics, dict) or not isinstance(metrics.get("summary"), dict):
        message = f"{path}: has no summary; `medfuse evaluate` writes it anew"
        raise MedfuseError(message)
    return metrics
