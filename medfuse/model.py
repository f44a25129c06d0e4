"""DiagnosisModel: encoders, fusion and classifier; logits out, and the weight that each modality had."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn

from medfuse.case import Modality
from medfuse.cohort import Task
from medfuse.config import Config
from medfuse.encoders import Column, Encoded, ImageEncoder, TabularEncoder, TabularFeatures, TextEncoder
from medfuse.encoders.cases import KEPT, is_frozen
from medfuse.encoders.reduction import Reduction
from medfuse.fusion import FUSIONS
from medfuse.hierarchy import Parents, unconditional
from medfuse.losses import Loss

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy import ndarray
    from torch import Tensor


class Padded(NamedTuple):
    """One modality of a batch, padded (a named tuple, because Lightning moves those to a device).

    Attributes:
        values: The cases' parts [B, K, …]; zero beyond what a case has.
        mask: True [B, K] where a case has something.
    """

    values: Tensor
    mask: Bool[Tensor, "b k"]


@dataclass(frozen=True)
class Output:
    """What the model says of a batch.

    Attributes:
        logits: [B, C].
        weights: Share of each modality [B, M], in the order of `Config.modalities`; zero where absent.
        vector: The fused vectors [B, D], side by side where there are several heads.
    """

    logits: Float[Tensor, "b c"]
    weights: Float[Tensor, "b m"]
    vector: Float[Tensor, "b d"]


class Decided(NamedTuple):
    """What the model says of cases for every pattern of modalities, as NumPy arrays.

    Attributes:
        logits: With only each pattern's modalities kept [N, 2^M, C], in the order of `patterns`; the last keeps all.
        present: Which modalities each case has [N, M].
        vector: The fused vectors with all that is there [N, D].
    """

    logits: Float[ndarray, "n p c"]
    present: Bool[ndarray, "n m"]
    vector: Float[ndarray, "n d"]


def collate(parts: Sequence[Mapping[Modality, Tensor]], modalities: Sequence[Modality]) -> dict[Modality, Padded]:
    """The parts of several cases as one batch; a modality that no case has is an empty mask [B, 1] without values."""
    batch: dict[Modality, Padded] = {}
    for name in modalities:
        given = [case[name] for case in parts if name in case]
        if not given:
            batch[name] = Padded(torch.zeros(len(parts), 1), torch.zeros(len(parts), 1, dtype=torch.bool))
            continue
        shape = [max(part.shape[axis] for part in given) for axis in range(given[0].ndim)]
        values = torch.zeros(len(parts), *shape, dtype=given[0].dtype)
        mask = torch.zeros(len(parts), shape[0], dtype=torch.bool)
        for row, case in enumerate(parts):
            if name in case:
                part = case[name]
                values[row][tuple(slice(0, length) for length in part.shape)] = part
                mask[row, : part.shape[0]] = True
        batch[name] = Padded(values, mask)
    return batch


class Head(nn.Module):
    """Everything after the encoders that learns: projections, fusion, classifier.

    Args:
        config: The configuration.
        widths: Width of the tokens of the image and text encoders.
        columns: The tabular columns.
        labels: Number of labels.
        task: `multiclass` or `multilabel`.
    """

    def __init__(
        self, config: Config, *, widths: Mapping[Modality, int], columns: Sequence[Column], labels: int, task: Task
    ) -> None:
        super().__init__()
        kind = FUSIONS[config.fusion.name]
        self.native = kind.native
        width = config.fusion.width
        self.projections = nn.ModuleDict(
            {
                name: nn.Sequential(nn.LayerNorm(wide), nn.Linear(wide, width), nn.Dropout(config.fusion.dropout))
                for name, wide in widths.items()
                if not kind.native
            }
        )
        self.tabular: TabularEncoder | TabularFeatures | None = None
        if columns:
            self.tabular = TabularFeatures(columns) if kind.native else TabularEncoder(columns, width=width)
        joined: dict[Modality, int] = {}
        for name in config.modalities:
            if name in widths:
                joined[name] = widths[name] if kind.native else width
            elif name == "tabular" and self.tabular is not None:
                joined[name] = self.tabular.width
        self.fusion = kind(widths=joined, labels=labels, task=task)
        self.classifier = self.fusion.classifier()
        decided = isinstance(self.classifier, nn.Identity)  # the vector is the logits already
        self.dropout = nn.Dropout(0.0 if decided else config.fusion.dropout)

    def project(self, encoded: Mapping[Modality, Encoded], values: Tensor | None) -> dict[Modality, Encoded]:
        """Tokens of every modality as the fusion takes them; `values` are the encoded values [B, C]."""
        projected: dict[Modality, Encoded] = {}
        for name in self.fusion.modalities:
            if name == "tabular":
                assert self.tabular is not None
                assert values is not None
                projected[name] = self.tabular(values)
            elif self.native:
                projected[name] = encoded[name]
            else:
                projected[name] = Encoded.of(self.projections[name](encoded[name].tokens), encoded[name].mask)
        return projected

    def forward(
        self, projected: Mapping[Modality, Encoded], *, kept: Mapping[Modality, Tensor] | None = None
    ) -> Output:
        """Logits of projected cases; modalities can be withheld by `kept` [B] as if they were absent."""
        inputs = {name: part.keep(kept[name]) if kept and name in kept else part for name, part in projected.items()}
        fused = self.fusion(inputs)
        return Output(self.classifier(self.dropout(fused.vector)), fused.weights, fused.vector)


class DiagnosisModel(nn.Module):
    """Cases to logits.

    Args:
        config: The configuration.
        image: The imaging encoder; None if scans are not used.
        text: The text encoder; None if notes are not used.
        columns: The tabular columns; empty if values are not used.
        labels: Number of labels.
        task: `multiclass` or `multilabel`.
        parents: The place of each label's parent, whose presence its logit takes for granted (`medfuse.hierarchy`);
            empty where the config states no hierarchy.

    Attributes:
        heads: One, or one a fold, of the same shape; their logits are averaged.
        lockstep: Modalities whose encoders run, if they learn, even where no case of a batch has them, because another
            process has some and waits for the weights that they share.
        offset: Logarithm of each label's weight in the loss [C]. What weights and loss do to the logits is taken off
            again (`Loss.log_odds`), so that rare labels are learned without being promised too often.
    """

    offset: Tensor

    def __init__(
        self,
        config: Config,
        *,
        image: ImageEncoder | None,
        text: TextEncoder | None,
        columns: Sequence[Column],
        labels: int,
        task: Task,
        parents: Parents = (),
    ) -> None:
        super().__init__()
        self.config = config
        self.task = task
        self.parents = parents
        self.lockstep: frozenset[Modality] = frozenset()
        self.loss = Loss.of(config.training.loss)
        self.image = image
        self.text = text
        self.columns = tuple(columns)
        widths: dict[Modality, int] = {}
        if image is not None:
            widths["image"] = image.width
        if text is not None:
            widths["text"] = text.width
        self.reductions = nn.ModuleDict()
        for name, native in widths.items():
            if is_frozen(config, name) and config.fusion.components < native and not FUSIONS[config.fusion.name].native:
                self.reductions[name] = Reduction(native, config.fusion.components)
                widths[name] = config.fusion.components
        heads = [
            Head(config, widths=widths, columns=columns, labels=labels, task=task) for _ in range(config.training.folds)
        ]
        self.heads = nn.ModuleList(heads)
        self.register_buffer("offset", torch.zeros(labels))
        self.modalities: tuple[Modality, ...] = heads[0].fusion.modalities

    def tokens(self, batch: Mapping[Modality, Padded]) -> dict[Modality, Encoded]:
        """Tokens of a padded batch as encoders give them: those of frozen encoders as they are, the others anew."""
        encoded: dict[Modality, Encoded] = {}
        for name in self.modalities:
            values, mask = batch[name].values, batch[name].mask
            if name == "tabular":
                continue
            encoder = self.image if name == "image" else self.text
            assert encoder is not None
            if not bool(mask.any()):
                empty = torch.zeros(len(mask), 1, encoder.width, device=mask.device)
                if name in self.lockstep and not is_frozen(self.config, name):
                    empty = empty + self._blank(name, mask.device).sum() * 0.0
                encoded[name] = Encoded(empty, torch.zeros_like(mask[:, :1]))
            elif is_frozen(self.config, name):
                encoded[name] = Encoded(values, mask)  # `collate` left zeros where nothing is
            elif name == "image":
                encoded[name] = self._encode_pixels(values, mask)
            else:
                encoded[name] = self._encode_ids(values, mask)
        return encoded

    def values(self, batch: Mapping[Modality, Padded]) -> Tensor | None:
        """Encoded values [B, C] of a padded batch, NaN in cases without any; None if values are not used."""
        if "tabular" not in self.modalities:
            return None
        values, mask = batch["tabular"]
        if values.shape[1] != len(self.columns):  # no case of the batch has a value
            values = torch.zeros(len(mask), len(self.columns), device=mask.device)
        return values.masked_fill(~mask.any(1, keepdim=True), torch.nan)

    def encode(self, batch: Mapping[Modality, Padded]) -> dict[Modality, Encoded]:
        """Tokens of a padded batch at the width that the heads take."""
        return {name: self._reduce(name, part) for name, part in self.tokens(batch).items()}

    def forward(self, batch: Mapping[Modality, Padded]) -> Output:
        """Logits of a padded batch (see `collate`), averaged over the heads."""
        return self.decide(self.project(batch))

    def project(self, batch: Mapping[Modality, Padded]) -> list[dict[Modality, Encoded]]:
        """What each head sees of a padded batch, so that several patterns of presence cost one encoding."""
        return self.prepare(self.tokens(batch), self.values(batch))

    def prepare(self, tokens: Mapping[Modality, Encoded], values: Tensor | None) -> list[dict[Modality, Encoded]]:
        """What each head sees of what `tokens` and `values` gave."""
        reduced = {name: self._reduce(name, part) for name, part in tokens.items()}
        return [head.project(reduced, values) for head in self.heads if isinstance(head, Head)]

    def decide(
        self, projected: Sequence[Mapping[Modality, Encoded]], *, kept: Mapping[Modality, Tensor] | None = None
    ) -> Output:
        """Logits from what `project` gave, averaged over the heads.

        Args:
            projected: One entry a head.
            kept: True [B] by modality where it may be used; a modality not named is used wherever it is present.
        """
        outputs = [head(part, kept=kept) for head, part in zip(self.heads, projected, strict=True)]
        logits = torch.stack([self.meant(output.logits.float()) for output in outputs]).mean(0)
        weights = torch.stack([output.weights for output in outputs]).mean(0)
        return Output(logits, weights, torch.cat([output.vector for output in outputs], dim=1))

    def meant(self, logits: Float[Tensor, "b c"]) -> Float[Tensor, "b c"]:
        """Logits of the labels' probabilities from those of one head, which weights, loss and hierarchy moved."""
        odds = self.loss.log_odds(logits, self.offset, multiclass=self.task == "multiclass")
        return unconditional(odds, self.parents)

    def _reduce(self, name: Modality, part: Encoded) -> Encoded:
        """Tokens at the reduced width; those that training reduced already are taken as they are."""
        if name in self.reductions and part.tokens.shape[-1] != self.reductions[name].width:
            return Encoded.of(self.reductions[name](part.tokens), part.mask)
        return Encoded(part.tokens.float(), part.mask)

    def _blank(self, name: Modality, device: torch.device) -> Tensor:
        """What an encoder gives for an input that holds nothing."""
        if name == "image":
            assert self.image is not None
            assert self.config.image is not None
            blank: Tensor = self.image(torch.zeros(1, *self.config.image.input_shape, device=device))
            return blank
        assert self.text is not None
        word = torch.ones(1, 1, dtype=torch.long, device=device)
        found: Tensor = self.text(word, word > 0)
        return found

    def _encode_pixels(self, values: Tensor, mask: Tensor) -> Encoded:
        assert self.image is not None
        found = self.image(values[mask].float())  # padding is never computed
        tokens = values.new_zeros(*mask.shape, *found.shape[1:], dtype=found.dtype)
        tokens[mask] = found
        return Encoded.of(tokens.flatten(1, 2), mask.repeat_interleave(found.shape[1], dim=1))

    def _encode_ids(self, values: Tensor, mask: Tensor) -> Encoded:
        assert self.text is not None
        ids, marks = values[mask].unbind(-1)
        found = self.text(ids, marks > 0)
        tokens = found.new_zeros(*mask.shape, *found.shape[1:])
        tokens[mask] = found
        kept = torch.zeros(tokens.shape[:3], dtype=torch.bool, device=mask.device)
        kept[mask] = marks == KEPT
        return Encoded.of(tokens.flatten(1, 2), kept.flatten(1, 2))


@torch.inference_mode()
def decide_all(model: DiagnosisModel, parts: Sequence[Mapping[Modality, Tensor]], *, batch: int = 32) -> Decided:
    """Logits of cases for every pattern of modalities, and their fused vectors.

    Args:
        model: The model, in evaluation mode.
        parts: The parts of each case (see `collate`).
        batch: Cases that go through the head together.
    """
    wanted = patterns(model.modalities)
    logits, vectors = [torch.zeros(0, len(wanted), len(model.offset))], []
    for start in range(0, len(parts), batch):
        projected = model.project(collate(parts[start : start + batch], model.modalities))
        count = len(parts[start : start + batch])
        found = []
        for pattern in wanted:
            kept = {name: torch.full((count,), name in pattern) for name in model.modalities}
            output = model.decide(projected, kept=kept)
            found.append(output.logits)
        logits.append(torch.stack(found, dim=1))
        vectors.append(output.vector)  # the last pattern keeps all
    present = np.array([[name in one for name in model.modalities] for one in parts], dtype=bool)
    vector = torch.cat(vectors) if vectors else torch.zeros(0, 0)
    return Decided(
        torch.cat(logits).double().numpy(),
        present.reshape(len(parts), len(model.modalities)),
        vector.double().numpy(),
    )


def patterns(present: Sequence[Modality]) -> list[tuple[Modality, ...]]:
    """All subsets of the modalities, the empty one first, in the order of binary numbers."""
    return [tuple(name for bit, name in enumerate(present) if number >> bit & 1) for number in range(1 << len(present))]
