"""What every fusion is: tokens of each modality in, one vector a case and the weight of each modality out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from medfuse.case import Modality
    from medfuse.cohort import Task
    from medfuse.encoders.encoded import Encoded


@dataclass(frozen=True)
class Fused:
    """Modalities joined.

    Attributes:
        vector: One vector a case [B, D].
        weights: What share each modality had [B, M] in the order of the fusion's modalities; zero where it is absent.
    """

    vector: Float[Tensor, "b d"]
    weights: Float[Tensor, "b m"]


class Fusion(nn.Module):
    """Joins modalities; any of them may be absent from any case, and an absent one has exactly no influence.

    Args:
        widths: Width of each modality's tokens, in the order of the weights; one width unless the fusion is `native`.
        labels: Number of labels.
        task: `multiclass` or `multilabel`.

    Attributes:
        native: Whether it takes tokens as encoders give them, instead of projected to one width.
        width: Width of the fused vector, unless it is the logits already.
    """

    native = False

    def __init__(self, *, widths: Mapping[Modality, int], labels: int, task: Task) -> None:
        super().__init__()
        self.modalities = tuple(widths)
        self.width = max(widths.values())
        self.labels = labels
        self.task = task

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Fused:
        """Join a batch; every modality of the constructor has an entry, with an empty mask where it is absent."""
        raise NotImplementedError

    def classifier(self) -> nn.Module:
        """What turns the fused vector into logits [B, labels]."""
        return nn.Linear(self.width, self.labels)


def presence(encoded: Mapping[Modality, Encoded], modalities: tuple[Modality, ...]) -> Tensor:
    """True [B, M] where a case has a modality."""
    return torch.stack([encoded[name].present for name in modalities], dim=1)


def means(encoded: Mapping[Modality, Encoded], modalities: tuple[Modality, ...]) -> Tensor:
    """The mean token of each modality [B, M, D]; zero where it is absent."""
    pooled = []
    for name in modalities:
        count = encoded[name].mask.sum(1, keepdim=True).clamp(min=1)
        pooled.append(encoded[name].tokens.sum(1) / count)
    return torch.stack(pooled, dim=1)
