"""The Lightning module: losses, modality dropout, optimiser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule

from medfuse.case import Case, Modality
from medfuse.cohort import Task
from medfuse.config import Config, ImageConfig, TextConfig
from medfuse.encoders.blocks import recompute, recompute_no_more
from medfuse.encoders.cases import is_frozen
from medfuse.encoders.lora import adapt, merge
from medfuse.hierarchy import conditional
from medfuse.losses import Loss
from medfuse.model import DiagnosisModel, Padded
from medfuse.training.sharding import shard

if TYPE_CHECKING:
    from torch import Tensor

    from medfuse.training.steps import Batch, Step


def targets(cases: Sequence[Case], labels: Sequence[str]) -> Tensor:
    """The labels of cases as 1, 0 and NaN where not known [N, C]."""
    rows = [[torch.nan if case.labels.get(label) is None else case.labels[label] for label in labels] for case in cases]
    return torch.tensor(rows, dtype=torch.float32).reshape(len(cases), len(labels))


def loss_weights(truth: Tensor, *, task: Task) -> Tensor:
    """Weight of each label's positives [C]: the square root of how much rarer than average they are.

    For multiclass the average is over labels; for multilabel it is the label's own negatives. Bounded to 1/8…8. What is
    not known (NaN) counts on neither side, and a value between 0 and 1 on the nearer.
    """
    positive = (truth > 0.5).sum(0).clamp(min=1).float()
    other = positive.mean() if task == "multiclass" else (truth <= 0.5).sum(0).clamp(min=1).float()
    return (other / positive).sqrt().clamp(1 / 8, 8)


_APART = 7_368_787  # a prime between the seeds of parts; the numbers of steps stay below it


class Learning(LightningModule):  # type: ignore[misc]  # Lightning is not typed here
    """How a DiagnosisModel learns.

    Args:
        model: The model.
        task: `multiclass` or `multilabel`.
        weights: Weight of each label's positives [C].
        steps: Steps of the whole training, for the schedule.
        checkpointing: Whether encoders that learn compute their blocks again for the gradients.
    """

    def __init__(
        self, model: DiagnosisModel, *, task: Task, weights: Tensor, steps: int, checkpointing: bool = False
    ) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.config: Config = model.config
        self.steps = steps
        self.register_buffer("weights", weights, persistent=False)
        self._shared = False
        self.strict_loading = False  # a checkpoint leaves out what is frozen
        for name, encoder in self._encoders():
            tune = "frozen" if is_frozen(self.config, name) else self._tune(name)
            encoder.requires_grad_(requires_grad=tune == "full")
            if tune == "lora":
                adapt(encoder.network, rank=self._part(name).rank)
            elif tune == "last":
                for parameter in encoder.last_parameters():
                    parameter.requires_grad_()
            if checkpointing and tune != "frozen" and self._part(name).encoder != "rnn":
                recompute(encoder.network)

    def _encoders(self) -> Iterator[tuple[Modality, Any]]:
        if self.model.image is not None:
            yield "image", self.model.image
        if self.model.text is not None:
            yield "text", self.model.text

    def _part(self, name: Modality) -> ImageConfig | TextConfig:
        part = self.config.image if name == "image" else self.config.text
        assert part is not None
        return part

    def _tune(self, name: Modality) -> str:
        part = self._part(name)
        return "full" if part.encoder == "rnn" else part.tune

    def learned(self) -> dict[str, int]:
        """How many numbers learn, in the heads and in each encoder that is not frozen."""
        parts: list[tuple[str, Any]] = [("heads", self.model.heads), *self._encoders()]
        counts = {name: sum(p.numel() for p in part.parameters() if p.requires_grad) for name, part in parts}
        return {name: count for name, count in counts.items() if count}

    def finish(self) -> None:
        """Leave plain weights in the model: what LoRA learned goes into the weights that it corrects."""
        for _, encoder in self._encoders():
            recompute_no_more(encoder.network)
            merge(encoder)

    def configure_model(self) -> None:
        """Share weights among processes, if Lightning was told to; it gives the mesh of them."""
        if self._device_mesh is not None and not self._shared:
            shard(self, self._device_mesh["data_parallel"])
            self._shared = True

    def _keep_step(self, step: Step) -> None:
        """Let each process that shares weights run what any part of the step needs, and nothing else."""
        if self._shared:
            has = step.present.any(0).tolist()
            self.model.lockstep = frozenset(name for name, some in zip(self.model.modalities, has, strict=True) if some)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Leave out what is frozen; it is as it was."""
        whole = tuple(f"model.{name}." for name, _ in self._encoders() if is_frozen(self.config, name))
        still = {name for name, parameter in self.named_parameters() if not parameter.requires_grad}
        state = checkpoint["state_dict"]
        checkpoint["state_dict"] = {key: state[key] for key in state if key not in still and not key.startswith(whole)}

    def on_train_epoch_start(self) -> None:
        """Keep a pretrained encoder's statistics as they are; one that starts from nothing learns them."""
        for name, encoder in self._encoders():
            encoder.train(self._starts_from_nothing(name))

    def _starts_from_nothing(self, name: Modality) -> bool:
        image, text = self.config.image, self.config.text
        if name == "text":
            return text is not None and text.encoder == "rnn"
        return image is not None and image.volume is not None and image.weights == "random"

    def on_train_batch_start(self, batch: Any, _: int) -> None:
        """Tie dropout to the step and its part, so that a resumed run or another process draws what one would have."""
        part = batch[2].part
        seed = self.config.seed * 100_003 + self.global_step + part * _APART
        if self.device.type == "cpu":  # `torch.manual_seed` would also note for other devices who asked: a millisecond
            torch.default_generator.manual_seed(seed)
        else:
            torch.manual_seed(seed)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The mean over heads of the loss with modalities withheld at random, and of each modality alone."""
        parts, truth, step = batch
        self._keep_step(step)
        present = self._present(parts)
        learned, whole = (conditional(one, self.model.parents) for one in (truth, step.truth))
        losses = []
        every = self.model.project(parts)
        for head, projected in zip(self.model.heads, every, strict=True):
            output = head(projected, kept=self._withhold(present))
            losses.append(self._loss(output.logits, learned, whole, step))
            if self.config.training.unimodal_loss and len(present) > 1:
                for place, alone in enumerate(present):
                    kept = {name: torch.full_like(mask, name == alone) for name, mask in present.items()}
                    one = head(projected, kept=kept)
                    known = learned.masked_fill(~present[alone].unsqueeze(1), torch.nan)
                    all_known = whole.masked_fill(~step.present[:, place : place + 1], torch.nan)
                    share = self.config.training.unimodal_loss / len(present)
                    losses.append(share * self._loss(one.logits, known, all_known, step))
        loss = torch.stack(losses).sum() / len(self.model.heads)
        if self._shared:  # every weight has a gradient in every process, even where it is zero
            reached = [one.tokens.sum() for projected in every for one in projected.values()]
            reached += [parameter.sum() for parameter in self.model.heads.parameters()]
            loss = loss + torch.stack(reached).sum() * 0.0
        self._tell("training_loss", loss, step)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """The plain log loss of what the bundle would say."""
        parts, truth, step = batch
        self._keep_step(step)
        plain = torch.ones_like(self.weights)
        loss = mean_cost(Loss(), self.model(parts).logits, truth, step.truth, plain, task=self.task, parts=step.parts)
        self._tell("validation_loss", loss, step)

    def _tell(self, name: str, loss: Tensor, step: Step) -> None:
        """The mean over parts is the loss of the step, and a step weighs as much as its cases, whoever took them."""
        self.log(name, loss, on_epoch=True, on_step=False, prog_bar=True, batch_size=len(step.truth), sync_dist=True)

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW; heads and encoders at their own peaks of one schedule: a short rise, then a cosine to zero."""
        training = self.config.training
        heads = [p for p in self.model.heads.parameters() if p.requires_grad]
        rnn = self.config.text is not None and self.config.text.encoder == "rnn"
        tuned: list[Any] = []
        fresh: list[Any] = list(heads)
        for name, encoder in self._encoders():
            learning = [p for p in encoder.parameters() if p.requires_grad]
            new = self._tune(name) == "lora" or (name == "text" and rnn)
            (fresh if new else tuned).extend(learning)
        groups: list[dict[str, Any]] = [{"params": fresh, "lr": training.learning_rate}]
        if tuned:
            groups.append({"params": tuned, "lr": training.encoder_learning_rate})
        optimiser = torch.optim.AdamW(groups, weight_decay=training.weight_decay)
        steps = max(2, self.steps)
        rise = 0.2 if steps != 5 else 0.21  # a rise of exactly one step would be divided by its length less one, zero
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=[group["lr"] for group in groups], total_steps=steps, pct_start=rise
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _present(self, parts: Mapping[Modality, Padded]) -> dict[Modality, Tensor]:
        return {name: parts[name].mask.any(1) for name in self.model.modalities}

    def _withhold(self, present: Mapping[Modality, Tensor]) -> dict[Modality, Tensor]:
        """Which modalities stay: each is withheld by chance, but a case keeps at least one of those it has."""
        names = list(present)
        has = torch.stack([present[name] for name in names], dim=1)
        chance = torch.rand(has.shape, device=has.device)
        stays = (chance >= self.config.training.modality_dropout) & has
        lost = ~stays.any(1) & has.any(1)
        luckiest = chance.masked_fill(~has, -1.0).argmax(1)
        stays[lost, luckiest[lost]] = True
        return {name: stays[:, place] for place, name in enumerate(names)}

    def _loss(self, logits: Tensor, truth: Tensor, whole: Tensor, step: Step) -> Tensor:
        """The loss of the config over labelled cases, or over known labels; zero where none is known."""
        return mean_cost(self.model.loss, logits.float(), truth, whole, self.weights, task=self.task, parts=step.parts)


def mean_cost(
    loss: Loss, logits: Tensor, truth: Tensor, whole: Tensor, weights: Tensor, *, task: Task, parts: int
) -> Tensor:
    """What a part of a step costs, such that the mean over its parts is the mean cost of the step.

    Args:
        loss: What a wrong probability costs.
        logits: Of the part's cases [b, C].
        truth: Their targets [b, C].
        whole: Targets of all cases of the step [B, C].
        weights: Weight of each label's positives [C].
        task: `multiclass` or `multilabel`.
        parts: How many parts the step has.
    """
    known, counted = ~truth.isnan(), ~whole.isnan()
    if task == "multiclass":
        rows = known.all(1)
        if not bool(rows.any()):
            return logits.sum() * 0.0
        answer, answers = truth[rows].argmax(1), whole[counted.all(1)].argmax(1)
        return loss.of_class(logits[rows], answer, weights) * (weights[answer].sum() * parts / weights[answers].sum())
    each = loss.each(logits, truth.nan_to_num(0.0), weights)
    return (each * known).sum() * parts / counted.sum().clamp(min=1)
