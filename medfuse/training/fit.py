"""Fit: a config and a cohort to a calibrated bundle."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import seed_everything

from medfuse.bundle import Bundle, patient_digest, require_free
from medfuse.calibration import Calibration, Outliers, calibrate, pattern_of
from medfuse.calibration.thresholds import fixed_thresholds
from medfuse.case import SPLITS, Case, Split
from medfuse.cohort import Cohort
from medfuse.config import Config
from medfuse.drift import Reference, first_of_each, inputs_of
from medfuse.encoders import Column, WeightsReceipt, build_image_encoder, build_text_encoder
from medfuse.encoders.cache import TokenCache, default_cache
from medfuse.encoders.cases import CaseEncoder, EncodedCase
from medfuse.encoders.reduction import MOST_TOKENS, Reduction
from medfuse.encoders.threads import torch_threads
from medfuse.errors import CohortError, ConfigError
from medfuse.hierarchy import parents_of
from medfuse.model import Decided, DiagnosisModel, decide_all
from medfuse.training.answers import answers, learns_from
from medfuse.training.experts import fit_experts
from medfuse.training.folds import fit_folds
from medfuse.training.gradient import learn, threads_for, weigh
from medfuse.training.kept import Kept, memory_budget
from medfuse.training.learning import targets
from medfuse.training.pretrained import patients_of, require_unseen
from medfuse.training.processes import Processes
from medfuse.training.quiet import quiet
from medfuse.training.texts import texts_of

Progress = Callable[[int], None]

ALONE = Processes()


def train(
    config: Config,
    cohort: Cohort,
    out: str | Path,
    *,
    cache: Path | None = None,
    resume: bool = False,
    progress: Progress | None = None,
    show: bool = False,
) -> Path:
    """Train and save a bundle; the folder of the bundle.

    With several processes (`config.compute`) each runs all of this, and the first alone writes the bundle.

    Args:
        config: What to train.
        cohort: On what; splits are drawn by patient if it has none.
        out: Where the bundle goes; must be free.
        cache: Where tokens of frozen encoders are kept; None takes the user's cache folder.
        resume: Go on where a run that was stopped left off.
        progress: Called with 1 for each case that was encoded.
        show: Whether to draw a progress bar of the epochs.

    Raises:
        CohortError: If the cohort cannot be trained on, or `out` is taken.
        EncoderError: If an encoder cannot be built.
        ConfigError: If the machine is not what the config asks for.
    """
    out = Path(out)
    require_free(out)
    work = out.with_name(out.name + ".training.partial")
    together = Processes.of(config.compute)
    if together.first and not resume:
        shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, exist_ok=True)
    bundle = fit(config, cohort, cache=cache, work=work, progress=progress, show=show, together=together)
    if together.first:
        bundle.save(out)
    together.wait()
    if together.first:
        shutil.rmtree(work, ignore_errors=True)
    return out


def fit(
    config: Config,
    cohort: Cohort,
    *,
    work: Path,
    cache: Path | None = None,
    progress: Progress | None = None,
    show: bool = False,
    reference: bool = True,
    together: Processes = ALONE,
) -> Bundle:
    """Train and calibrate; see `train`. `work` holds checkpoints, and a run that finds some there goes on from them.

    With `reference` false the bundle has none for drift, for which scans are read again; folds need none. `together`
    says which process this is where others run the same call; else this one trains alone, whatever the config says.
    """
    compute = config.compute if together.count > 1 else config.compute.alone()
    quiet()
    seed_everything(config.seed, verbose=False)
    cohort = cohort.with_splits(config.seed, hold_out=config.hold_out)
    pretrained = patients_of(config)
    require_unseen(cohort.in_split("test"), pretrained)
    experts = config.fusion.name == "experts"
    folds = config.training.folds > 1
    known: tuple[Split, ...] = ("train", "validation", "calibration")
    training = [
        case for case in cohort.in_split(*(known if experts or folds else ("train",))) if learns_from(case, config)
    ]
    _require_labels(training, cohort)
    _require_task(config, cohort)
    model, tokenizer, receipts = _build(config, cohort, training)
    store = TokenCache(cache or default_cache())
    encoder = CaseEncoder(
        config, image=model.image, text=model.text, tokenizer=tokenizer, columns=model.columns, cache=store
    )
    encoded: dict[str, list[EncodedCase]] = {split: [] for split in SPLITS}
    budget = memory_budget() // 2 // together.here  # the other half is for the reduced tokens
    kept = Kept(work, budget)
    unreadable: list[str] = []
    contents: set[str] = set()
    labelled = [
        case
        for case in cohort.in_split(*known)
        if case.labelled or (case.split == "train" and learns_from(case, config))
    ]
    for _ in encoder.stream(labelled[together.local :: together.here] if together.here > 1 else ()):
        pass  # each process of a machine encodes its share for the cache, from which all then read
    for one in encoder.stream(labelled):
        unreadable.extend(one.unreadable)
        contents.update(one.contents)
        if one.parts:
            encoded[str(one.case.split)].append(kept.keep(one))
        if progress is not None:
            progress(1)
    for split in ("train",) if experts or folds else ("train", "validation"):
        if not encoded[split]:
            message = f"{cohort.folder}: no labelled, readable case in the {split} split; training needs some"
            raise CohortError(message)
    every = [one for members in encoded.values() for one in members]
    if experts:
        taught, _ = answers([one.case for one in every], cohort.labels, config, model.parents)
        fitted = fit_experts(model, every, taught.double().numpy(), task=cohort.task, seed=config.seed)
        found: dict[str, Any] = {"how": "experts", "strengths": fitted.strengths, "weights": fitted.weights}
        calibrating = deciding = (every, fitted.decided)  # out of fold, so every case serves
        outliers = None  # the fused vector is the logits: it cannot tell an unlike case from an unclear one
    elif folds:
        weigh(model, cohort, every)
        _reduce(model, reduced := {"train": every}, work, budget)
        every = reduced["train"]
        found = {"how": "folds", "folds": config.training.folds, "epochs": config.training.epochs}
        if config.hierarchy:
            found["contradictions"] = answers([one.case for one in every], cohort.labels, config, model.parents)[1]

        def without_fold(others: Sequence[EncodedCase], held: Sequence[EncodedCase], number: int) -> None:
            with torch_threads(1):  # the encoders are frozen
                place = work / f"fold{number}"
                learn(model, cohort, others, held, work=place, show=show, select=False, compute=compute)

        alarms = config.calibration.false_alarms
        truth = _truth(every, cohort)
        folded = fit_folds(model, every, truth, without_fold, task=cohort.task, seed=config.seed, false_alarms=alarms)
        calibrating = deciding = (every, folded.decided)
        outliers = folded.outliers
    else:
        weigh(model, cohort, encoded["train"])
        _reduce(model, encoded, work, budget)
        with torch_threads(threads_for(model, store.folder)):
            found = learn(
                model,
                cohort,
                encoded["train"],
                encoded["validation"],
                work=work,
                show=show,
                select=True,
                compute=compute,
            )
        calibrating, deciding = (
            (members, decide_all(model, [one.parts for one in members]))
            for members in (encoded["calibration"], encoded["validation"])
        )
        outliers = _outliers(model, cohort, encoded["train"], calibrating[1])
    calibration = _calibrate(cohort, *calibrating, config)
    source = "every patient, out of fold" if experts or folds else "the validation split"
    thresholds = _thresholds(cohort, *deciding, calibration, source)
    facts: dict[str, Any] = {
        "cohort": cohort.name,
        "licence": cohort.licence,
        "cases": {split: len(members) for split, members in encoded.items() if members},
        "unreadable": len(unreadable),
        **found,
        "calibration": dict(calibration.choice),
        "thresholds": thresholds,
    }
    seen: dict[Split, frozenset[str]] = {
        split: frozenset(patient_digest(case.patient_id) for case in cohort.in_split(split))
        for split in SPLITS
        if split != "test"
    }
    seen["train"] |= pretrained - seen["validation"] - seen["calibration"]
    return Bundle(
        config=config,
        task=cohort.task,
        labels=cohort.labels,
        model=model.eval().requires_grad_(requires_grad=False),
        tokenizer=tokenizer,
        calibration=calibration,
        outliers=outliers,
        reference=reference_of(model, calibration, *calibrating) if reference else None,
        weights=receipts,
        seen=seen,
        contents=frozenset(contents),
        facts=facts,
        urgency=cohort.urgency,
    )


def _require_labels(training: Sequence[Case], cohort: Cohort) -> None:
    counts = Counter(label for case in training for label, value in case.labels.items() if value == 1)
    lacking = [label for label in cohort.labels if not counts[label]]
    if lacking:
        message = f"{cohort.folder}: no training case has the label {', '.join(lacking)}; add some or drop the label"
        raise CohortError(message)


def _require_task(config: Config, cohort: Cohort) -> None:
    asked = {
        "training.loss.name asymmetric": config.training.loss.name == "asymmetric",
        "hierarchy": bool(config.hierarchy),
    }
    wrong = [what for what, given in asked.items() if given]
    if wrong and cohort.task == "multiclass":
        message = f"{wrong[0]}: is for multilabel cohorts, and {cohort.folder} is multiclass; take it out of the config"
        raise ConfigError(message)


def _build(config: Config, cohort: Cohort, training: Sequence[Case]) -> tuple[DiagnosisModel, Any, dict[str, Any]]:
    """The model with the weights it starts from; columns and vocabulary are fitted on the cases that train it."""
    receipts: dict[str, WeightsReceipt] = {}
    image = text = tokenizer = None
    if config.image is not None:
        image, receipts["image"] = build_image_encoder(config.image)
    if config.text is not None:
        notes = texts_of(training, config.text) if config.text.encoder in ("rnn", "lsa") else ()
        text, tokenizer, receipts["text"] = build_text_encoder(config.text, notes=notes)
    columns: list[Column] = []
    if config.tabular is not None:
        chosen = cohort.tabular.keys() if config.tabular.columns is None else config.tabular.columns
        unknown = [name for name in chosen if name not in cohort.tabular]
        if unknown:
            message = f"tabular.columns: '{unknown[0]}' is no tabular column of {cohort.folder / 'cohort.yaml'}"
            raise ConfigError(message)
        fitted = (Column.fit(name, cohort.tabular[name], training) for name in chosen)
        columns = [column for column in fitted if column is not None]
    if image is None and text is None and not columns:
        message = f"{cohort.folder}: the config uses values alone, but no tabular column has a value in training"
        raise CohortError(message)
    torch.manual_seed(config.seed)
    model = DiagnosisModel(
        config,
        image=image,
        text=text,
        columns=columns,
        labels=len(cohort.labels),
        task=cohort.task,
        parents=parents_of(config.hierarchy, cohort.labels) if config.hierarchy else (),
    )
    return model, tokenizer, receipts


def _reduce(model: DiagnosisModel, encoded: dict[str, list[EncodedCase]], work: Path, budget: int) -> None:
    """Fit the reductions on the training split, and reduce all tokens once instead of at every step."""
    reductions: dict[Any, Reduction] = {
        name: reduction for name, reduction in model.reductions.items() if isinstance(reduction, Reduction)
    }
    if not reductions:
        return
    for name, reduction in reductions.items():
        having = [one for one in encoded["train"] if name in one.parts]
        if having:
            reduction.fit(_sample(having, name))
    kept = Kept(work, budget)
    for split, members in encoded.items():
        encoded[split] = [
            kept.keep(replace(one, parts={k: reductions[k](v) if k in reductions else v for k, v in one.parts.items()}))
            for one in members
        ]


def _sample(cases: Sequence[EncodedCase], name: Any) -> Any:
    """Evenly spaced tokens [N, D] of a modality that all these cases have; they are copied case by case."""
    lengths = [len(one.parts[name]) for one in cases]
    stride = max(1, sum(lengths) // MOST_TOKENS)
    first = cases[0].parts[name]
    sample = first.new_empty(sum(-(-length // stride) for length in lengths), first.shape[1])
    at = 0
    for one in cases:
        taken = one.parts[name][::stride]
        sample[at : at + len(taken)] = taken
        at += len(taken)
    return sample


def _calibrate(cohort: Cohort, encoded: Sequence[EncodedCase], decided: Decided, config: Config) -> Calibration:
    """Calibrate on unseen cases; with none there, the calibrator and the sets say that they are unfitted."""
    return calibrate(
        decided.logits,
        _truth(encoded, cohort),
        decided.present,
        config.calibration,
        task=cohort.task,
        patients=[one.case.patient_id for one in encoded],
        seed=config.seed,
    )


def _thresholds(
    cohort: Cohort, encoded: Sequence[EncodedCase], decided: Decided, calibration: Calibration, source: str
) -> dict[str, Any]:
    """From which probability on each label counts as predicted, by cases that the model was not fitted on."""
    return fixed_thresholds(
        probability=calibration.probability(decided.logits[:, -1], pattern_of(decided.present)),
        truth=_truth(encoded, cohort),
        labels=cohort.labels,
        source=source,
    )


def _truth(encoded: Sequence[EncodedCase], cohort: Cohort) -> Any:
    """Labels of cases as 1, 0 and NaN where not known [N, C]."""
    return targets([one.case for one in encoded], cohort.labels).double().numpy()


def _outliers(model: DiagnosisModel, cohort: Cohort, training: Sequence[EncodedCase], held: Decided) -> Outliers | None:
    """What the training split looks like to the model, and how far the calibration split lies from it."""
    seen = decide_all(model, [one.parts for one in training])
    alarms = model.config.calibration.false_alarms
    truth = _truth(training, cohort)
    return Outliers.fit(seen.vector, truth, held.logits[:, -1], held.vector, task=cohort.task, false_alarms=alarms)


def reference_of(
    model: DiagnosisModel, calibration: Calibration, encoded: Sequence[EncodedCase], decided: Decided
) -> Reference | None:
    """What drift is told by: one calibration case of each patient; None if there are none.

    Args:
        model: The model.
        calibration: What makes its logits probabilities.
        encoded: Cases that the model was not fitted on.
        decided: What it says of them.
    """
    rows = first_of_each([one.case.patient_id for one in encoded])
    if not rows:
        return None
    facts = [inputs_of(encoded[row].case, encoded[row].parts, **facts_wanted(model)) for row in rows]
    found = calibration.probability(decided.logits[rows, -1], pattern_of(decided.present[rows]))
    return Reference.of(facts, found)


def facts_wanted(model: DiagnosisModel) -> dict[str, Any]:
    """Which facts of an input concern a model; see `inputs_of`."""
    return {
        "columns": {column.name: "category" if column.categories else "number" for column in model.columns},
        "image": model.config.image if "image" in model.modalities else None,
    }


def without(config: Config, *modalities: str) -> Config:
    """The same configuration with modalities left out."""
    return replace_fields(config, dict.fromkeys(modalities))


def replace_fields(config: Config, fields: dict[str, Any]) -> Config:
    """The same configuration with top-level fields set, checked again."""
    return Config.parse(config.model_dump(mode="json") | fields, source="config")
