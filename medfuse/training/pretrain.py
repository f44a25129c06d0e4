"""Pretraining: the training split's cases, labelled or not, to checkpoints that a config names as any other."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint, TQDMProgressBar

from medfuse.bundle import patient_digest, require_free
from medfuse.case import Case
from medfuse.cohort import Cohort
from medfuse.config import Config
from medfuse.encoders.cache import TokenCache, default_cache
from medfuse.encoders.cases import CaseEncoder
from medfuse.errors import CohortError, ConfigError
from medfuse.splits import patient_folds
from medfuse.training.masked import Masked
from medfuse.training.pairs import Pairs
from medfuse.training.pretrained import RECORD
from medfuse.training.quiet import quiet
from medfuse.training.texts import texts_of

Gather = Callable[[Sequence[Case]], list[Any]]  # what a module learns from, of some cases
_FOLDS = 10  # one of them tells when to stop


def pretrain(
    config: Config, cohort: Cohort, out: str | Path, *, cache: Path | None = None, show: bool = False
) -> dict[str, Any]:
    """Pretrain on the training split without looking at labels, and leave a folder of checkpoints.

    A tenth of the split's patients is held out of it: the weights of the epoch with the least loss on them are kept.

    Args:
        config: Names the encoders to start from; `pretraining` says how.
        cohort: On what; splits are drawn by patient if it has none, as `train` draws them.
        out: Where the folder goes; must be free.
        cache: Where tokens of frozen encoders are kept; None takes the user's cache folder.
        show: Whether to draw a progress bar of the epochs.

    Returns:
        What is in `pretraining.json`: `checkpoints`, by the config's key where they lie, the held-out loss before and
        after, counts, and digests of the patients.

    Raises:
        CohortError: If there are too few cases, or `out` is taken.
        EncoderError: If an encoder cannot be built or cannot learn this way.
    """
    out = Path(out)
    require_free(out)
    quiet()
    seed_everything(config.seed, verbose=False)
    cases = cohort.with_splits(config.seed, hold_out=config.hold_out).in_split("train")
    if len({case.patient_id for case in cases}) < _FOLDS:
        message = f"{cohort.folder}: the training split has fewer than {_FOLDS} patients; pretraining needs more"
        raise CohortError(message)
    blind = [replace(case, labels={}) for case in cases]  # else the folds would be stratified by what is not looked at
    fold = patient_folds(blind, folds=_FOLDS, seed=config.seed)
    learns, held = ([c for c, f in zip(cases, fold, strict=True) if (f > 0) == inner] for inner in (True, False))
    partial = out.with_name(out.name + ".pretraining.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    module, gather = _pairs(config, cache) if config.pretraining.objective == "pairs" else _masked(config)
    inputs, unseen = gather(learns), gather(held)
    if len(inputs) < 2 or not unseen:
        message = f"{cohort.folder}: too few notes, or scans with notes, in the training split to pretrain on"
        raise CohortError(message)
    module.steps = -(-len(inputs) // config.pretraining.batch_size) * config.pretraining.epochs
    loaders = module.loader(inputs, seed=config.seed), module.loader(unseen, seed=None)
    losses = _run(module, *loaders, epochs=config.pretraining.epochs, work=partial, show=show)
    checkpoints = module.write(partial)
    record = {
        "objective": config.pretraining.objective,
        "config": config.model_dump(mode="json"),
        "cohort": cohort.name,
        "licence": cohort.licence,
        "cases": {"learned from": len(learns), "held out": len(held)},
        "inputs": len(inputs),
        "checkpoints": checkpoints,
        **losses,
        "patients": sorted({patient_digest(case.patient_id) for case in cases}),
    }
    (partial / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if out.exists():
        out.rmdir()
    os.replace(partial, out)
    return record


def _masked(config: Config) -> tuple[Masked, Gather]:
    text = config.text
    if text is None or text.encoder in ("rnn", "lsa"):
        message = "pretraining on masked words needs text.encoder minilm-l6 or transformers"
        raise ConfigError(message)
    module = Masked(text, config.pretraining, steps=1, seed=config.seed)
    return module, lambda cases: module.windows(texts_of(cases, text))


def _pairs(config: Config, cache: Path | None) -> tuple[Pairs, Gather]:
    module = Pairs(config, steps=1)
    model, store = module.model, TokenCache(cache or default_cache())
    encoder = CaseEncoder(
        model.config, image=model.image, text=model.text, tokenizer=module.tokenizer, columns=(), cache=store
    )
    return module, lambda cases: [one for one in encoder.stream(cases) if len(one.parts) == 2]


def _run(module: Any, learns: Any, held: Any, *, epochs: int, work: Path, show: bool) -> dict[str, Any]:
    """Let a module learn and put the weights of the least held-out loss into it; the loss before and after."""
    best = ModelCheckpoint(work / "run", filename="best", monitor="held_loss", save_weights_only=True)
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="auto",
        devices=1,
        callbacks=[best, *([TQDMProgressBar(leave=False)] if show else [])],
        logger=False,
        enable_progress_bar=show,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        gradient_clip_val=1.0,
        deterministic="warn",
    )
    before = float(trainer.validate(module, held, verbose=False)[0]["held_loss"])
    trainer.fit(module, learns, held)
    after = float(best.best_model_score)
    state = torch.load(best.best_model_path, map_location="cpu", weights_only=True)["state_dict"]
    module.to("cpu").load_state_dict(state, strict=False)  # what is frozen is not kept
    shutil.rmtree(work / "run")
    return {"held_loss_before": round(before, 4), "held_loss_after": round(after, 4)}
