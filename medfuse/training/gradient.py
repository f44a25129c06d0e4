"""The gradient fit of a model's heads, and of encoders that learn, by Lightning."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger

from medfuse.cohort import Cohort
from medfuse.config import ComputeConfig
from medfuse.encoders.cases import EncodedCase, is_frozen
from medfuse.encoders.threads import fastest_threads
from medfuse.hierarchy import conditional
from medfuse.model import DiagnosisModel
from medfuse.training.answers import answers, certain
from medfuse.training.augment import Augment
from medfuse.training.learning import Learning, loss_weights
from medfuse.training.processes import Processes, SameInputs, trainer_of
from medfuse.training.steps import loader


def weigh(model: DiagnosisModel, cohort: Cohort, training: Sequence[EncodedCase]) -> None:
    """Set how much each label's positives weigh in the loss, the same for every head."""
    if model.config.training.class_weights:
        truth, _ = answers([one.case for one in training], cohort.labels, model.config, model.parents)
        model.offset.copy_(loss_weights(conditional(truth, model.parents), task=cohort.task).log())


def threads_for(model: DiagnosisModel, folder: Path) -> int:
    """One for heads, whose operations are too small to be split; a step of the encoder decides where one learns."""
    chosen = [1]
    config = model.config
    if model.image is not None and config.image is not None and not is_frozen(config, "image"):
        shape = config.image.input_shape
        work = partial(_step, model.image, torch.zeros(4, *shape))
        chosen.append(fastest_threads(work, name=f"{config.image.encoder} {shape}", folder=folder))
    if model.text is not None and config.text is not None and not is_frozen(config, "text"):
        ids = torch.ones(4, config.text.window, dtype=torch.long)
        work = partial(_step, model.text, ids, ids > 0)
        chosen.append(fastest_threads(work, name=f"{config.text.encoder} {config.text.window}", folder=folder))
    return max(chosen)


def learn(
    model: DiagnosisModel,
    cohort: Cohort,
    training: Sequence[EncodedCase],
    validation: Sequence[EncodedCase],
    *,
    work: Path,
    show: bool,
    select: bool,
    compute: ComputeConfig,
) -> dict[str, Any]:
    """Run Lightning and put weights into the model: of the best epoch if `select`, else of the last.

    Where several processes learn together, each calls this with the same cases and gets the same weights.

    Returns:
        If `select`, what it came to, for the facts of the bundle.
    """
    config, labels = model.config, cohort.labels
    truth, against = answers([one.case for one in training], labels, config, model.parents)
    held_truth, _ = answers([one.case for one in validation], labels, certain(config), model.parents)
    processes = Processes.of(compute)
    batch = min(config.training.batch_size, len(training))
    parts = -(-config.training.parts // processes.count) * processes.count
    steps = -(-len(training) // batch) * config.training.epochs
    wrap = partial(Learning, task=cohort.task, weights=model.offset.exp(), steps=steps)
    shared = processes.count > 1 and compute.strategy == "fsdp"
    # Weights that were shared out do not come back to where they were, so a copy of the model is.
    learning = wrap(deepcopy(model) if shared else model, checkpointing=compute.checkpointing)
    best = ModelCheckpoint(
        work,
        filename="best",
        monitor="validation_loss",
        save_last=True,
        save_on_train_epoch_end=True,  # after validation, when the epoch counts as done: a resumed run starts the next
        enable_version_counter=False,
    )
    stop = [EarlyStopping("validation_loss", patience=config.training.patience)] if select else []
    inputs = torch.tensor([len(one.parts) for one in (*training, *validation)])
    told = [one.nan_to_num(-1).flatten() for one in (truth, held_truth)]
    reduced = [torch.zeros(0), *(part.flatten() for part in model.reductions.buffers())]
    same = SameInputs(exact=torch.cat([inputs, *told]), near=torch.cat(reduced))
    trainer = trainer_of(
        compute,
        max_epochs=config.training.epochs,
        accumulate_grad_batches=parts // processes.count,
        callbacks=[best, *stop, same, *([TQDMProgressBar(leave=False)] if show else [])],
        logger=CSVLogger(work, name="log", version=""),
        enable_progress_bar=show,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        gradient_clip_val=1.0,
        deterministic="warn",
    )
    rank, count = trainer.global_rank, processes.count
    feed = partial(loader, modalities=model.modalities, batch=batch, parts=parts, rank=rank, processes=count)
    shuffled = feed(training, truth=truth, seed=config.seed, augment=Augment.of(config))
    held = feed(validation, truth=held_truth, seed=None)
    last = work / "last.ckpt"
    trainer.fit(learning, shuffled, held, ckpt_path=str(last) if last.exists() else None, weights_only=True)
    model.to("cpu")
    if shared:
        learning = wrap(model)
    learned = learning.learned()
    if select or shared:
        kept = best.best_model_path if select else last
        state = torch.load(kept, map_location="cpu", weights_only=True)["state_dict"]
        learning.load_state_dict(state, strict=False)
    learning.finish()
    model.eval()  # Lightning leaves dropout at work, and what comes next is calibrated
    if not select:
        return {}
    score = best.best_model_score  # a tensor; zero is a score too
    return {
        "how": "gradient",
        "epochs": trainer.current_epoch,
        "learned": learned,
        **({"processes": processes.count} if processes.count > 1 else {}),
        **({"contradictions": against} if config.hierarchy else {}),
        "validation_loss": None if score is None else round(float(score), 6),
    }


def _step(encoder: torch.nn.Module, *inputs: torch.Tensor) -> None:
    """Forward and back through an encoder; nothing of it stays."""
    parameters = [one for one in encoder.eval().parameters() if one.requires_grad]
    torch.autograd.grad(encoder(*inputs).sum(), parameters, allow_unused=True)
