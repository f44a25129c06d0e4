"""`bench train`: a training on frozen encoders, beside the tutorial's loop and a logistic regression.

What the tutorial's loop takes is measured for one epoch of some of the cases and multiplied, for each of its epochs
does the same again. The passes after the first are what more epochs add to a training whose tokens are in the cache.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from medfuse.bench.harness import Report, Settings, Side, Timing, alternate
from medfuse.bench.subjects import radiographs
from medfuse.bench.tutorial import Tutorial
from medfuse.bundle import Bundle
from medfuse.cohort import Cohort
from medfuse.config import Config
from medfuse.encoders.cache import TokenCache
from medfuse.encoders.threads import budget
from medfuse.inference import Predictor
from medfuse.training import train

if TYPE_CHECKING:
    from numpy import ndarray

CASES, EPOCHS, ROUNDS, SIDE = 2000, 30, 3, 512
SOME = 64  # cases of the tutorial's measured epoch
LABELS = ("a", "b", "c", "d", "e")
FUSIONS = ("cross_attention", "weighted_sum")  # the default, and the one with the fewest weights


def run(settings: Settings, progress: Callable[[int], None]) -> Report:
    """Train on the same radiographs and notes in turns, with labels by chance: how well is not asked here."""
    count = settings.cases or CASES
    with settings.folder() as work:
        cohort = labelled(work / "cohort", count, seed=settings.seed, side=SIDE)
        tutorial = Tutorial(cohort.cases[:SOME], LABELS, threads=settings.threads or budget())
        fit = partial(_fit, cohort, work)
        fit(FUSIONS[0], 1, "tokens")  # fills the cache
        features, classes = _features(cohort, work)
        fresh = partial(shutil.rmtree, work / "fresh", ignore_errors=True)
        sides = [
            Side("cold", partial(fit, FUSIONS[0], EPOCHS, "fresh"), before=fresh),
            Side("tutorial", tutorial.epoch, warm=tutorial.epoch),
            Side("regression", partial(_regress, features, classes)),
            *(
                Side(f"{fusion} {epochs}", partial(fit, fusion, epochs, "tokens"))
                for fusion in FUSIONS
                for epochs in (1, EPOCHS)
            ),
        ]
        raw = {one.name: one for one in alternate(sides, rounds=settings.rounds or ROUNDS, progress=progress)}
        fresh()
        shutil.rmtree(work / "trained")
    measured = min(SOME, count)
    medfuse, slow, regression = f"medfuse, {EPOCHS} epochs", f"tutorial, {EPOCHS} epochs", "logistic regression"
    timings = [
        replace(raw["cold"], name=medfuse),
        _times(raw["tutorial"], EPOCHS * count / measured, slow),
        replace(raw["regression"], name=regression),
    ]
    passes = {fusion: f"medfuse, passes after the first, {fusion}" for fusion in FUSIONS}
    timings += [less(raw[f"{fusion} {EPOCHS}"], raw[f"{fusion} 1"], name) for fusion, name in passes.items()]
    report = Report("train", tuple(timings))
    comparisons = [report.compared(medfuse, slow, aim=20)]
    comparisons += [report.compared(name, regression, aim=1 / 3) for name in passes.values()]
    facts = {
        "cases": count,
        "epochs": EPOCHS,
        "tutorial, seconds of one epoch": {f"{measured} cases": [round(one, 2) for one in raw["tutorial"].seconds]},
        "features of the regression": features.shape[1],
    }
    return Report("train", tuple(timings), tuple(comparisons), facts)


def labelled(folder: Path, count: int, *, seed: int, side: int) -> Cohort:
    """Radiographs with notes, in splits, and labels by chance."""
    rng = np.random.default_rng(seed)
    drawn = rng.permutation(np.arange(count) % len(LABELS))
    cases = radiographs(folder / "files", count=count, seed=seed, side=side)
    truth = [{label: int(place == own) for place, label in enumerate(LABELS)} for own in drawn]
    known = tuple(replace(case, labels=labels) for case, labels in zip(cases, truth, strict=True))
    cohort = Cohort(folder, "radiographs", "multiclass", LABELS, known).with_splits(seed)
    cohort.save()
    return Cohort.load(folder)


def less(longer: Timing, shorter: Timing, name: str) -> Timing:
    """What one side took beyond another, round by round; at least a millisecond, for other work may hide it."""
    pairs = ((longer.seconds, shorter.seconds), (longer.cpu, shorter.cpu))
    seconds, cpu = (tuple(max(1e-3, one - two) for one, two in zip(*pair, strict=True)) for pair in pairs)
    return Timing(name, seconds, cpu)


def _times(one: Timing, factor: float, name: str) -> Timing:
    return Timing(name, tuple(value * factor for value in one.seconds), tuple(value * factor for value in one.cpu))


def _fit(cohort: Cohort, work: Path, fusion: str, epochs: int, cache: str) -> None:
    training = {"epochs": epochs, "patience": EPOCHS}  # so that none stops early
    config = Config.parse({"tabular": None, "fusion": {"name": fusion}, "training": training}, source="bench")
    shutil.rmtree(work / "trained", ignore_errors=True)
    train(config, cohort, work / "trained", cache=work / cache)


def _features(cohort: Cohort, work: Path) -> tuple[ndarray, ndarray]:
    """The mean tokens of the training split's modalities side by side [N, D], and the classes [N]."""
    encoder = Predictor(Bundle.load(work / "trained"), cache=TokenCache(work / "tokens")).encoder
    rows, classes = [], []
    for one in encoder.stream(cohort.in_split("train")):
        rows.append(torch.cat([one.parts[name].float().mean(0) for name in ("image", "text")]).numpy())
        classes.append([one.case.labels[label] for label in LABELS].index(1))
    return np.stack(rows), np.array(classes)


def _regress(features: ndarray, classes: ndarray) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # labels by chance need not converge
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(features, classes)
