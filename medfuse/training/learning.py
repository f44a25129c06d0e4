"""The Lightning module: losses, modality dropout, optimiser."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule
from torch.utils.data import DataLoader, Dataset, Sampler

from medfuse.case import Case, Modality
from medfuse.cohort import Task
from medfuse.config import Config, ImageConfig, TextConfig
from medfuse.encoders.cases import EncodedCase, is_frozen
from medfuse.encoders.lora import adapt, merge
from medfuse.hierarchy import conditional
from medfuse.losses import Loss
from medfuse.model import DiagnosisModel, Padded, collate

if TYPE_CHECKING:
    from torch import Tensor

    Batch = tuple[dict[Modality, Padded], Tensor]


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


class _Cases(Dataset):
    """Encoded cases with their targets [N, C]."""

    def __init__(self, encoded: Sequence[EncodedCase], truth: Tensor) -> None:
        self.encoded = encoded
        self.truth = truth

    def __len__(self) -> int:
        return len(self.encoded)

    def __getitem__(self, index: int) -> tuple[Mapping[Modality, Tensor], Tensor]:
        return self.encoded[index].parts, self.truth[index]


class Order(Sampler):
    """A new order each epoch that depends on the seed and the epoch alone, so that a resumed run goes on exactly."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning says which epoch begins."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        return iter(torch.randperm(self.count, generator=generator).tolist())


def loader(
    encoded: Sequence[EncodedCase],
    *,
    truth: Tensor,
    modalities: Sequence[Modality],
    batch: int,
    seed: int | None,
) -> DataLoader:
    """Batches of encoded cases with their targets [N, C], shuffled if there is a seed."""

    def together(items: Sequence[tuple[Mapping[Modality, Tensor], Tensor]]) -> Batch:
        return collate([parts for parts, _ in items], modalities), torch.stack([truth for _, truth in items])

    order = None if seed is None else Order(len(encoded), seed)
    return DataLoader(_Cases(encoded, truth), batch_size=batch, sampler=order, collate_fn=together)


class Learning(LightningModule):  # type: ignore[misc]  # Lightning is not typed here
    """How a DiagnosisModel learns.

    Args:
        model: The model.
        task: `multiclass` or `multilabel`.
        weights: Weight of each label's positives [C].
        steps: Steps of the whole training, for the schedule.
    """

    def __init__(self, model: DiagnosisModel, *, task: Task, weights: Tensor, steps: int) -> None:
        super().__init__()
        self.model = model
        self.task = task
        self.config: Config = model.config
        self.steps = steps
        self.register_buffer("weights", weights, persistent=False)
        self.strict_loading = False  # a checkpoint leaves out what is frozen
        for name, encoder in self._encoders():
            tune = "frozen" if is_frozen(self.config, name) else self._tune(name)
            encoder.requires_grad_(requires_grad=tune == "full")
            if tune == "lora":
                adapt(encoder.network, rank=self._part(name).rank)
            elif tune == "last":
                for parameter in encoder.last_parameters():
                    parameter.requires_grad_()

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
            merge(encoder)

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

    def on_train_batch_start(self, *_: Any) -> None:
        """Tie dropout to the step alone, so that a resumed run draws what an undisturbed one would have drawn."""
        torch.manual_seed(self.config.seed * 100_003 + self.global_step)

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The mean over heads of the loss with modalities withheld at random, and of each modality alone."""
        parts, truth = batch
        present = self._present(parts)
        learned = conditional(truth, self.model.parents)
        losses = []
        for head, projected in zip(self.model.heads, self.model.project(parts), strict=True):
            output = head(projected, kept=self._withhold(present))
            losses.append(self._loss(output.logits, learned))
            if self.config.training.unimodal_loss and len(present) > 1:
                for alone in present:
                    kept = {name: torch.full_like(mask, name == alone) for name, mask in present.items()}
                    one = head(projected, kept=kept)
                    known = learned.masked_fill(~present[alone].unsqueeze(1), torch.nan)
                    share = self.config.training.unimodal_loss / len(present)
                    losses.append(share * self._loss(one.logits, known))
        loss = torch.stack(losses).sum() / len(self.model.heads)
        self.log("training_loss", loss, on_epoch=True, on_step=False, prog_bar=True, batch_size=len(truth))
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """The plain log loss of what the bundle would say."""
        parts, truth = batch
        loss = self._log_loss(self.model(parts).logits, truth)
        self.log("validation_loss", loss, on_epoch=True, on_step=False, prog_bar=True, batch_size=len(truth))

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

    def _loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        """The loss of the config over labelled cases, or over known labels; zero where none is known."""
        return _mean_cost(self.model.loss, logits, truth, self.weights, task=self.task)

    def _log_loss(self, logits: Tensor, truth: Tensor) -> Tensor:
        return _mean_cost(Loss(), logits, truth, torch.ones_like(self.weights), task=self.task)


def _mean_cost(loss: Loss, logits: Tensor, truth: Tensor, weights: Tensor, *, task: Task) -> Tensor:
    known = ~truth.isnan()
    if task == "multiclass":
        rows = known.all(1)
        if not bool(rows.any()):
            return logits.sum() * 0.0
        return loss.of_class(logits[rows], truth[rows].argmax(1), weights)
    each = loss.each(logits, truth.nan_to_num(0.0), weights)
    return (each * known).sum() / known.sum().clamp(min=1)
