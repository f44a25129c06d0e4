"""The whole path in one go: a cohort, three models, their calibration, held-out patients, one case."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medfuse.bundle import require_free
from medfuse.case import Prediction
from medfuse.cohort import Cohort
from medfuse.config import Config
from medfuse.evaluation import evaluate
from medfuse.inference import Predictor
from medfuse.resources import shipped
from medfuse.synthetic import make_cohort
from medfuse.training import train

Bar = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]


@dataclass(frozen=True)
class Shown:
    """What the demonstration found.

    Attributes:
        folder: Where everything lies.
        rows: Name and `summary` of each model's evaluation.
        best: Best reachable AUROC by evidence.
        example: The prediction for one held-out case.
        without_note: The prediction for the same case with its note withheld.
    """

    folder: Path
    rows: list[tuple[str, dict[str, Any]]]
    best: dict[str, float]
    example: Prediction
    without_note: Prediction


def run_demo(folder: str | Path, *, cases: int, seed: int, bar: Bar) -> Shown:
    """Make a cohort, train, calibrate, evaluate and classify; everything is left in `folder`.

    Args:
        folder: Must be free.
        cases: Cases of the cohort.
        seed: Decides all.
        bar: Draws progress: a title and a total to a context that yields what advances it.

    Raises:
        MedfuseError: If the folder is taken.
    """
    folder = Path(folder)
    require_free(folder)
    config = Config.load(shipped("configs") / "demo.yaml", overrides=[f"seed={seed}"])
    with bar("making a cohort of phantoms", cases) as advance:
        made = make_cohort(folder / "cohort", cases=cases, seed=seed, progress=advance)
    made.with_splits(seed).save()  # with the splits drawn, so that every later command holds out the same patients
    cohort = Cohort.load(folder / "cohort")
    cache = folder / "cache"
    found = {}
    for name, left_out in (("fused", ()), ("image", ("text", "tabular")), ("note", ("image", "tabular"))):
        one = Config.parse(
            config.model_dump(mode="json") | dict.fromkeys(left_out) | {"name": name}, source="demo.yaml"
        )
        with bar(f"training: {'scans, notes and values' if name == 'fused' else f'{name} only'}", cases) as advance:
            bundle = train(one, cohort, folder / name, cache=cache, progress=advance)
        with bar("evaluating on held-out patients", len(cohort.in_split("test"))) as advance:
            found[name] = evaluate(bundle, cohort, cache=cache, progress=advance)
        found[name].save(folder / "evaluation" / name)
    predictor = Predictor.load(folder / "fused")
    case = next(case for case in cohort.in_split("test") if case.scans and case.notes)
    rows = [(name, dict(evaluation.metrics["summary"])) for name, evaluation in found.items()]
    return Shown(
        folder=folder,
        rows=rows,
        best=dict(rows[0][1]["best_reachable_auroc"]),
        example=predictor.classify(case),
        without_note=predictor.classify(replace(case, notes=())),
    )
