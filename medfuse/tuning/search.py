"""A search for settings: each is judged by macro AUROC over folds by patient of the training split, and nothing else.

Trials are proposed by Optuna's tree-structured Parzen estimator (Bergstra et al. 2011, NeurIPS) and given up by its
median rule once their mean over the folds so far is behind. Every trial is in a journal when it ends, so a search that
was stopped goes on.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medfuse.case import Case
from medfuse.cohort import Cohort
from medfuse.config import Config
from medfuse.encoders.cache import TokenCache, default_cache
from medfuse.errors import CohortError, ConfigError
from medfuse.evaluation.folds import parts_of_fold
from medfuse.evaluation.metrics import auroc
from medfuse.inference import Predictor
from medfuse.splits import digest_of_splits, patient_folds
from medfuse.training import fit
from medfuse.training.learning import targets
from medfuse.tuning.space import Space, Value, with_values

if TYPE_CHECKING:
    import optuna

_STARTUP = 5  # trials before any is given up


@dataclass(frozen=True)
class Found:
    """What a search came to.

    Attributes:
        config: The best.
        auroc: Its mean macro AUROC over the folds. The best of several is a little optimistic.
        values: What it sets, by key.
        first: The same figure of the config that the search started from; None if that lies outside of the space.
        finished: Trials that ran over all folds.
        given_up: Trials that did not.
    """

    config: Config
    auroc: float
    values: dict[str, Value]
    first: float | None
    finished: int
    given_up: int


def tune(
    config: Config,
    space: Space,
    cohort: Cohort,
    *,
    trials: int,
    journal: Path,
    minutes: float | None = None,
    cache: Path | None = None,
    progress: Callable[[int], None] | None = None,
) -> Found:
    """Search for the best settings; a journal that is there is gone on with.

    Args:
        config: What to start from; if it lies in the space it is the first trial.
        space: What may change.
        cohort: Splits are drawn by patient if it has none; only labelled cases of the training split are looked at.
        trials: Trials in all, those of the journal included.
        journal: File of the trials. It holds settings and figures, nothing of a case. One process at a time.
        minutes: No further trial is begun after that many.
        cache: Where tokens of frozen encoders are kept; None takes the user's cache folder.
        progress: Called with 1 for each trial that ended.

    Raises:
        CohortError: If there are fewer patients than folds.
        ConfigError: If Optuna is not installed, or no trial ran over all folds.
    """
    try:
        import optuna
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend
    except ImportError as error:
        message = "medfuse tune needs Optuna; pip install 'medfuse[tune]'"
        raise ConfigError(message) from error
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    whole = cohort.with_splits(config.seed, hold_out=config.hold_out)
    cases = [case for case in whole.in_split("train") if case.labelled]
    known = f"{config.to_yaml()}{space.model_dump_json()}{digest_of_splits(cases)}"
    study = optuna.create_study(
        storage=JournalStorage(JournalFileBackend(str(journal))),
        study_name=hashlib.sha256(known.encode()).hexdigest()[:16],  # another config, space or cohort, another study
        direction="maximize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_STARTUP, n_warmup_steps=1),
    )
    for trial in study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.RUNNING,)):
        study.tell(trial.number, state=optuna.trial.TrialState.FAIL)  # of a run that was stopped
    ended = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    before = len(study.get_trials(deepcopy=False, states=ended))
    # A sampler starts from its seed again; what it drew before must not be drawn twice.
    study.sampler = optuna.samplers.TPESampler(seed=config.seed + len(study.trials))
    start = within(config, space)
    if start is not None:
        study.enqueue_trial(start, skip_if_exists=True)

    def objective(trial: optuna.Trial) -> float:
        values = {key: part.draw(trial, key) for key, part in space.space.items()}
        try:
            setting = with_values(config.model_dump(mode="json"), values, source="trial")
        except ConfigError as error:  # values that do not go together, such as experts and several heads
            raise optuna.TrialPruned from error
        found: list[float] = []
        for fold in range(space.folds):
            found.append(_judged(setting, whole, cases, fold, space.folds, config.seed, cache))
            trial.report(float(np.mean(found)), step=fold)
            if fold + 1 < space.folds and trial.should_prune():
                raise optuna.TrialPruned
        return float(np.mean(found))

    def tell(_: optuna.Study, __: optuna.trial.FrozenTrial) -> None:
        if progress is not None:
            progress(1)

    if trials > before:
        timeout = None if minutes is None else minutes * 60
        study.optimize(objective, n_trials=trials - before, timeout=timeout, callbacks=[tell])
    finished = study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.COMPLETE,))
    if not finished:
        message = "no trial ran over all folds; see whether the values of the space go together, or give it more time"
        raise ConfigError(message)
    best = study.best_trial
    first = next((trial.value for trial in finished if trial.params == start), None)
    return Found(
        config=with_values(config.model_dump(mode="json"), best.params, source="best trial"),
        auroc=float(study.best_value),
        values=dict(best.params),
        first=first,
        finished=len(finished),
        given_up=len(study.get_trials(deepcopy=False, states=(optuna.trial.TrialState.PRUNED,))),
    )


def _judged(
    config: Config, cohort: Cohort, cases: Sequence[Case], fold: int, folds: int, seed: int, cache: Path | None
) -> float:
    """Macro AUROC on the cases of a fold of a model trained on the others."""
    assigned = patient_folds(cases, folds=folds, seed=seed)  # the same for every trial
    known, out = parts_of_fold(cases, assigned, fold, seed=seed)
    with tempfile.TemporaryDirectory(prefix="medfuse-trial-") as work:
        bundle = fit(config, replace(cohort, cases=(*known, *out)), work=Path(work), cache=cache)
    predictor = Predictor(bundle, cache=TokenCache(cache or default_cache()))
    said = [
        (one.case, p)
        for batch, _, found in predictor.probabilities(out)
        for one, p in zip(batch, found[-1], strict=True)
    ]
    truth = targets([case for case, _ in said], cohort.labels).double().numpy()
    each = auroc(truth, np.array([p for _, p in said]))
    if np.isnan(each).all():
        message = f"{cohort.folder}: a fold of the training split knows only one value of every label; take fewer folds"
        raise CohortError(message)
    return float(np.nanmean(each))


def within(config: Config, space: Space) -> dict[str, Value] | None:
    """What a config has at the keys of the space; None if that lies outside."""
    values: dict[str, Value] = {}
    for key, part in space.space.items():
        value: object = config
        for name in key.split("."):
            value = getattr(value, name, None)
        if not part.holds(value):
            return None
        values[key] = value  # type: ignore[assignment]  # it is among those of the space
    return values
