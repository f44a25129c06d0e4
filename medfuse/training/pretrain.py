"""Pretraining: the training split's cases, labelled or not, to checkpoints that a config names as any other."""

from __future__ import annotations

import json
import os
import shutil
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
from medfuse.errors import CohortError, ConfigError
from medfuse.splits import patient_folds
from medfuse.training.masked import Masked
from medfuse.training.pretrained import RECORD
from medfuse.training.quiet import quiet
from medfuse.training.texts import texts_of

_FOLDS = 10  # one of them tells when to stop


def pretrain(config: Config, cohort: Cohort, out: str | Path, *, show: bool = False) -> dict[str, Any]:
    """Pretrain on the training split without looking at labels, and leave a folder of checkpoints.

    A tenth of the split's patients is held out of it: the weights of the epoch with the least loss on them are kept.

    Args:
        config: Names the encoders to start from; `pretraining` says how.
        cohort: On what; splits are drawn by patient if it has none, as `train` draws them.
        out: Where the folder goes; must be free.
        show: Whether to draw a progress bar of the epochs.

    Returns:
        What is in `pretraining.json`: `text` and `image`, which checkpoints there are by the config's key, the held-out
        loss before and after, counts, and digests of the patients.

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
    found = _masked(config, learns, held, partial, show=show)
    record = {
        "objective": config.pretraining.objective,
        "config": config.model_dump(mode="json"),
        "cohort": cohort.name,
        "licence": cohort.licence,
        "cases": {"learned from": len(learns), "held out": len(held)},
        **found,
        "patients": sorted({patient_digest(case.patient_id) for case in cases}),
    }
    (partial / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    if out.exists():
        out.rmdir()
    os.replace(partial, out)
    return record


def _masked(config: Config, learns: list[Case], held: list[Case], folder: Path, *, show: bool) -> dict[str, Any]:
    text, settings = config.text, config.pretraining
    if text is None or text.encoder in ("rnn", "lsa"):
        message = "pretraining on masked words needs text.encoder minilm-l6 or transformers"
        raise ConfigError(message)
    texts = texts_of(learns, text)
    module = Masked(text, settings, steps=1, seed=config.seed)
    windows, unseen = module.windows(texts), module.windows(texts_of(held, text))
    if not windows or not unseen:
        message = "too few notes in the training split to pretrain on"
        raise CohortError(message)
    module.steps = -(-len(windows) // settings.batch_size) * settings.epochs
    losses = run(
        module,
        module.loader(windows, seed=config.seed),
        module.loader(unseen, seed=None),
        epochs=settings.epochs,
        work=folder,
        show=show,
    )
    module.write(folder)
    return {"checkpoints": {"text.weights": "text"}, "windows": len(windows), **losses}


def run(module: Any, learns: Any, held: Any, *, epochs: int, work: Path, show: bool) -> dict[str, Any]:
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
    module.to("cpu").load_state_dict(state)
    shutil.rmtree(work / "run")
    return {"held_loss_before": round(before, 4), "held_loss_after": round(after, 4)}
