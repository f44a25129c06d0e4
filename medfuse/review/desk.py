"""The desk: everything that a reader's session has at hand, opened once."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from medfuse.case import Case, Prediction
from medfuse.cohort import Cohort
from medfuse.config import ImageConfig
from medfuse.errors import MedfuseError
from medfuse.review.predictions import read_predictions
from medfuse.review.store import ReviewStore


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where the dashboard finds its input; written to and read from its command line.

    Attributes:
        cohort: The cohort's folder.
        predictions: The JSON lines that `medfuse classify` wrote.
        store: The file or database URL of the decisions.
        evaluation: The folder that `medfuse evaluate` wrote, if there is one.
        image: How scans were fitted for the network.
    """

    cohort: Path
    predictions: Path
    store: str
    evaluation: Path | None = None
    image: ImageConfig = field(default_factory=ImageConfig)

    def arguments(self) -> list[str]:
        """The places as command-line arguments."""
        given = ["--cohort", str(self.cohort), "--predictions", str(self.predictions), "--store", self.store]
        given += ["--image", self.image.model_dump_json()]
        return given if self.evaluation is None else [*given, "--evaluation", str(self.evaluation)]

    @classmethod
    def of_arguments(cls, arguments: Sequence[str]) -> Places:
        """Read what `arguments` wrote; exits as argparse does if they are wrong."""
        parser = argparse.ArgumentParser(prog="dashboard", allow_abbrev=False)
        parser.add_argument("--cohort", type=Path, required=True)
        parser.add_argument("--predictions", type=Path, required=True)
        parser.add_argument("--store", required=True)
        parser.add_argument("--evaluation", type=Path)
        parser.add_argument("--image", type=ImageConfig.model_validate_json, default=ImageConfig())
        return cls(**vars(parser.parse_args(arguments)))

    def stamp(self) -> tuple[int, ...]:
        """Changes when a file of the input changes, so that a cache notices."""
        files = [self.cohort / "cohort.yaml", self.cohort / "cases.csv", self.predictions]
        if self.evaluation:
            files.append(self.evaluation / "metrics.json")
        return tuple(file.stat().st_mtime_ns if file.exists() else 0 for file in files)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """The opened input of the dashboard.

    Attributes:
        cohort: The cases.
        cases: The cases by id.
        predictions: By case id.
        problems: What was wrong with the predictions' file, one line each.
        store: The decisions.
        metrics: The evaluation's `metrics.json`; None if there is no evaluation.
        report: The evaluation's `report.html`; None if there is none.
        image: How scans were fitted for the network.
    """

    cohort: Cohort
    cases: Mapping[str, Case]
    predictions: Mapping[str, Prediction]
    problems: tuple[str, ...]
    store: ReviewStore
    metrics: Mapping[str, Any] | None = None
    report: Path | None = None
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
        report = places.evaluation / "report.html" if places.evaluation else None
        return cls(
            cohort=cohort,
            cases=cases,
            predictions={case_id: found for case_id, found in predictions.items() if case_id in cases},
            problems=problems,
            store=ReviewStore(places.store, cohort=cohort.name, labels=cohort.labels, task=cohort.task),
            metrics=_metrics(places.evaluation) if places.evaluation else None,
            report=report if report and report.is_file() else None,
            image=places.image,
        )


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
