"""Ablation: a recipe with each of its ingredients taken away, and with each that it lacks, in the same folds."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.cohort import Cohort
from medfuse.config import Config, LossConfig
from medfuse.encoders.cache import TokenCache, default_cache
from medfuse.errors import ConfigError
from medfuse.evaluation.assemble import truth_of
from medfuse.evaluation.delong import clustered_variance, wald
from medfuse.evaluation.folds import parted
from medfuse.evaluation.intervals import number
from medfuse.evaluation.metrics import ece
from medfuse.evaluation.reliance import WORDS, Area
from medfuse.inference import Predictor
from medfuse.training import fit

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

FUSIONS_TRIED = ("experts", "late", "weighted_sum", "concat", "gate", "cross_attention")
# An ingredient, the key that holds it, its value with the ingredient and its value without.
INGREDIENTS: tuple[tuple[str, str, Any, Any], ...] = (
    ("equalised scans", "image.equalise", True, False),
    ("word vectors in place of MiniLM", "text.encoder", "lsa", "minilm-l6"),
    ("assertions as words", "text.assertions", True, False),
    ("heads by folds", "training.folds", 5, 1),
    ("modality dropout", "training.modality_dropout", 0.2, 0.0),
    ("loss of each modality alone", "training.unimodal_loss", 0.3, 0.0),
    ("class weights", "training.class_weights", True, False),
    ("focusing loss", "training.loss", LossConfig(name="focal").model_dump(), LossConfig().model_dump()),
    ("dropout", "fusion.dropout", 0.2, 0.0),
    ("a chosen calibrator", "calibration.method", "auto", "temperature"),
    ("calibration by pattern", "calibration.patterns", "withheld", "common"),
)


@dataclass(frozen=True)
class Variant:
    """A recipe that differs from the base in one ingredient.

    Attributes:
        name: For the table.
        config: The recipe.
        alone: The modality that it is left with, where it is to be compared with the base that lacks the others.
    """

    name: str
    config: Config
    alone: str = ""


def variants(config: Config, only: Sequence[str] = ()) -> Iterator[Variant]:
    """Every variant of a recipe that is a valid config and not the recipe itself.

    Args:
        config: The base.
        only: Names of variants, or parts of them; empty takes all.
    """
    base = config.model_dump(mode="json")
    tried: list[tuple[str, dict[str, Any], str]] = []
    for name in config.modalities if len(config.modalities) > 1 else ():
        others = {str(other): None for other in config.modalities}
        tried.append((f"without {WORDS[name]}", {name: None}, ""))
        tried.append((f"{WORDS[name]} alone", {other: None for other in others if other != name}, name))
    for what, key, value, without in INGREDIENTS:
        part, field = key.split(".")
        if base[part] is None or (part == "training" and config.fusion.name == "experts"):  # has nothing of it to lose
            continue
        has = base[part][field] not in (without, None)
        tried.append((f"{'without' if has else 'with'} {what}", {key: without if has else value}, ""))
    for fusion in FUSIONS_TRIED:
        one = {"fusion.name": fusion}
        # Training by gradient as configs/demo.yaml has it; the convex fit of the experts has folds of its own.
        folds = {"training.folds": 5, "training.epochs": 10, "training.weight_decay": 0.3}
        changes = {"training.folds": 1} if fusion == "experts" else folds if config.fusion.name == "experts" else {}
        tried.append((f"fusion {fusion}", one | changes, ""))
    for title, changes, alone in tried:
        if only and not any(word in title for word in only):
            continue
        try:
            changed = _changed(base, changes)
        except ConfigError:
            continue  # such as assertions for an encoder that never saw them
        if changed != config:
            yield Variant(title, changed, alone)


def _changed(base: dict[str, Any], changes: dict[str, Any]) -> Config:
    content = {key: dict(value) if isinstance(value, dict) else value for key, value in base.items()}
    for key, value in changes.items():
        part, _, name = key.partition(".")
        if name:
            content[part][name] = value
        else:
            content[part] = value
    return Config.parse(content, source="config")


@dataclass(frozen=True)
class _Said:
    """Out-of-fold probabilities of all cases, one a repetition."""

    every: tuple[Float[ndarray, "n p c"], ...]
    present: tuple[frozenset[str], ...]
    modalities: tuple[str, ...]

    def with_all(self) -> list[ndarray]:
        return [one[:, -1] for one in self.every]

    def with_one(self, name: str) -> list[ndarray]:
        return [one[:, 1 << self.modalities.index(name)] for one in self.every]


def ablate(
    config: Config,
    cohort: Cohort,
    *,
    folds: int = 5,
    seeds: int = 3,
    only: Sequence[str] = (),
    cache: Path | None = None,
    progress: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Cross-validate a recipe and its variants by patient, several times, on the same folds.

    Args:
        config: The recipe.
        cohort: Its labelled cases are used; a split in the table is not.
        folds: How many, each time.
        seeds: Repetitions; each draws other folds, initial weights and orders.
        only: Names of variants, or parts of them; empty takes all.
        cache: Where tokens of frozen encoders are kept; None takes the user's cache folder.
        progress: Called with what is returned, as far as it goes, after each row.

    Returns:
        `config`, `cohort`, `folds`, `seeds`, `n_cases`, `n_patients`, and `rows`: by name `auroc` as a figure with the
        paired `change` against the base, `brier` with the same, and `ece`. A row such as `notes alone` is of the cases
        that have notes, and its change is that of a model trained on them alone against the base that is given them
        alone: above 0 the base loses something by its other inputs.
    """
    cases = [case for case in cohort.cases if case.labelled]
    patients = [case.patient_id for case in cases]
    truth: ndarray | None = None
    shape = {"folds": folds, "seeds": seeds, "n_cases": len(cases), "n_patients": len(set(patients))}
    found: dict[str, Any] = {"config": config.name, "cohort": cohort.name, **shape, "rows": {}}
    base: _Said | None = None
    for one in (Variant("the recipe", config), *variants(config, only)):
        said, answers = _said(one.config, cohort, folds=folds, seeds=seeds, cache=cache)
        truth = answers if truth is None else truth
        base = said if base is None else base
        has = np.array([not one.alone or one.alone in there for there in base.present])
        has &= ~np.isnan(truth).all(axis=1)
        theirs = base.with_one(one.alone) if one.alone else base.with_all()
        whose = [patient for patient, is_in in zip(patients, has, strict=True) if is_in]
        versions, before = ([version[has] for version in both] for both in (said.with_all(), theirs))
        found["rows"][one.name] = _row(truth[has], versions, before, whose)
        if progress is not None:
            progress(found)
    return found


def _said(
    config: Config, cohort: Cohort, *, folds: int, seeds: int, cache: Path | None
) -> tuple[_Said, Float[ndarray, "n c"]]:
    """What a recipe says of all labelled cases, and their truth, in the order of the table."""
    store = TokenCache(cache or default_cache())
    every: list[ndarray] = []
    truth: dict[str, list[float]] = {}
    present: dict[str, frozenset[str]] = {}
    modalities: tuple[str, ...] = ()
    ids = [case.case_id for case in cohort.cases if case.labelled]
    for seed in range(seeds):
        seeded = config.model_copy(update={"seed": config.seed + seed})
        found: dict[str, ndarray] = {}
        for part, out in parted(seeded, cohort, folds=folds):
            with tempfile.TemporaryDirectory(prefix="medfuse-ablation-") as work:
                bundle = fit(seeded, part, work=Path(work), cache=store.folder, reference=False)
            for batch, _, probability in Predictor(bundle, cache=store).probabilities(out):
                for row, one in enumerate(batch):
                    found[one.case.case_id] = probability[:, row]
                    truth[one.case.case_id] = truth_of(one.case, bundle)
                    present[one.case.case_id] = frozenset(map(str, one.parts))
            modalities = tuple(map(str, bundle.model.modalities))
        every.append(np.stack([found[name] for name in ids]))
    there = tuple(present[name] for name in ids)
    return _Said(tuple(every), there, modalities), np.array([truth[name] for name in ids])


def _row(truth: ndarray, versions: Sequence[ndarray], base: Sequence[ndarray], patients: list[str]) -> dict[str, Any]:
    auroc = Area.of(truth, versions, patients).against(Area.of(truth, base, patients))
    mine, theirs = _costs(truth, versions), _costs(truth, base)
    errors = np.array([ece(truth, version) for version in versions])
    brier = _mean(mine, patients) | {"change": _mean(mine - theirs, patients)}
    return {"auroc": auroc, "brier": brier, "ece": float(np.nanmean(errors)), "n_cases": len(truth)}


def _costs(truth: ndarray, versions: Sequence[ndarray]) -> Float[ndarray, " n"]:
    """Squared error of each case, the mean over its known labels and the repetitions."""
    return np.asarray(np.nanmean([(version - truth) ** 2 for version in versions], axis=(0, 2)))


def _mean(values: Float[ndarray, " n"], patients: list[str]) -> dict[str, Any]:
    middle = float(values.mean())
    low, high = wald(middle, clustered_variance((values - middle) / len(values), patients))
    return {"value": middle, "low": number(low), "high": number(high)}


def to_markdown(found: dict[str, Any]) -> str:
    """The rows as a table for docs/benchmarks.md."""
    lines = [
        "| recipe | AUROC | change of AUROC | change of Brier score | ECE |",
        "|---|---|---|---|---|",
    ]
    for name, row in found["rows"].items():
        first = name == "the recipe"
        changes = ("", "") if first else (_signed(row["auroc"]["change"]), _signed(row["brier"]["change"]))
        value = row["auroc"]["value"]
        auroc = "–" if value is None else f"{value:.3f}"
        lines.append(f"| {name} | {auroc} | {changes[0]} | {changes[1]} | {row['ece']:.3f} |")
    return "\n".join(lines) + "\n"


def _signed(figure: dict[str, Any]) -> str:
    if figure["value"] is None:
        return "–"
    if figure["low"] is None:
        return f"{figure['value']:+.3f}".replace("-", "−")
    return f"{figure['value']:+.3f} ({figure['low']:+.3f} to {figure['high']:+.3f})".replace("-", "−")
