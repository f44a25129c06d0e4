"""Cross-validation by patient: every case is held out once, and model and references see the same folds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from medfuse.case import Case, Split
from medfuse.cohort import Cohort
from medfuse.config import Config
from medfuse.encoders.cache import TokenCache, default_cache
from medfuse.evaluation.assemble import Evaluation, assemble
from medfuse.evaluation.held import Held, collect, fit_baselines
from medfuse.inference import Predictor
from medfuse.splits import patient_folds
from medfuse.training import fit

_INNER: tuple[Split, ...] = ("validation", "calibration", "train", "train", "train", "train", "train", "train")


def cross_validate(
    config: Config,
    cohort: Cohort,
    *,
    folds: int = 5,
    baselines: bool = False,
    by: Sequence[str] = (),
    draws: int = 1000,
    cache: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Evaluation:
    """Train anew in each fold and evaluate on the patients left out; a split in the table is not used.

    Within a fold an eighth of the other patients validates, an eighth calibrates and the rest trains.

    Args:
        config: What to train.
        cohort: On what; only its labelled cases are used.
        folds: How many.
        baselines: Whether to report the references too, fitted in each fold on all patients that are not held out.
        by: Further columns to report subgroups by.
        draws: Bootstrap draws of the intervals.
        cache: Where tokens of frozen encoders are kept; None takes the user's cache folder.
        progress: Called with 1 for each case held out.

    Raises:
        CohortError: If there are fewer patients than folds, or a fold cannot be trained on.
    """
    held, bundle = Held(), None
    for part, out in parted(config, cohort, folds=folds):
        with tempfile.TemporaryDirectory(prefix="medfuse-fold-") as work:
            bundle = fit(config, part, work=Path(work), cache=cache, reference=False)
        predictor = Predictor(bundle, cache=TokenCache(cache or default_cache()))
        collect(predictor, out, held, progress=progress)
        if baselines:
            fit_baselines(predictor, [case for case in part.cases if case.split != "test"], out, held)
    assert bundle is not None
    title = f"{config.name} on {cohort.name}, {folds}-fold cross-validation by patient"
    return assemble(held, bundle=bundle, cohort=cohort, problems=cohort.problems, draws=draws, title=title, by=by)


def parted(config: Config, cohort: Cohort, *, folds: int) -> Iterator[tuple[Cohort, list[Case]]]:
    """For each fold the cohort with its splits set anew, and the cases that are held out; see `cross_validate`."""
    cases = [case for case in cohort.cases if case.labelled]
    assigned = patient_folds(cases, folds=folds, seed=config.seed)
    for fold in range(folds):
        known, out = parts_of_fold(cases, assigned, fold, seed=config.seed)
        yield replace(cohort, cases=(*known, *out)), out


def parts_of_fold(
    cases: Sequence[Case], assigned: Sequence[int], fold: int, *, seed: int
) -> tuple[list[Case], list[Case]]:
    """The cases of the other folds, dealt by patient into splits to train with, and those of the fold as a test split.

    Args:
        cases: Labelled cases.
        assigned: The fold of each.
        fold: Which fold tests.
        seed: Of the deal.
    """
    rest = [case for case, place in zip(cases, assigned, strict=True) if place != fold]
    out = [replace(case, split="test") for case, place in zip(cases, assigned, strict=True) if place == fold]
    inner = patient_folds(rest, folds=len(_INNER), seed=seed)
    return [replace(case, split=_INNER[place]) for case, place in zip(rest, inner, strict=True)], out
