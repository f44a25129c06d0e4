"""Product of experts: each modality speaks for itself in log odds, and what they say adds up."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import nn

from medfuse.fusion.fused import Fused, Fusion, means, presence

if TYPE_CHECKING:
    from medfuse.case import Modality
    from medfuse.cohort import Task
    from medfuse.encoders.encoded import Encoded


class ExpertsFusion(Fusion):
    r"""$z = b + \sum_m w_m A_m (v_m - μ_m)$ over the modalities present, $v_m$ the mean token as its encoder gives it.

    The logits of experts that are independent given the label add up (Hinton 2002, "Training Products of Experts",
    Neural Computation 14(8), section 1); $w_m ≥ 0$ takes back what they say twice (stacking: Wolpert 1992, Neural
    Networks 5(2); non-negative weights: Breiman 1996, Machine Learning 24, section 2). An expert is silent at the mean
    $μ_m$ of its modality, so that an absent modality is worth as much as an average one, and that a modality is absent
    says nothing. What the experts and weights are is found by `medfuse.training.experts`, which is convex. The reported
    weight of a modality is the share of the length of its part.
    """

    native = True

    def __init__(self, *, widths: Mapping[Modality, int], labels: int, task: Task) -> None:
        super().__init__(widths=widths, labels=labels, task=task)
        self.experts = nn.ModuleList(nn.Linear(widths[name], labels) for name in self.modalities)
        self.weights = nn.Parameter(torch.ones(len(self.modalities), labels))
        self.prior = nn.Parameter(torch.zeros(labels))

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Fused:
        """Join a batch; the vector is the logits already."""
        present = presence(encoded, self.modalities)
        said = torch.stack(
            [expert(means(encoded, (name,))[:, 0]) for name, expert in zip(self.modalities, self.experts, strict=True)],
            dim=1,
        )
        parts = (said * self.weights).masked_fill(~present.unsqueeze(-1), 0.0)
        lengths = parts.norm(dim=2)
        return Fused(self.prior + parts.sum(1), lengths / lengths.sum(1, keepdim=True).clamp(min=1e-9))

    def classifier(self) -> nn.Module:
        """Nothing: the vector is the logits already."""
        return nn.Identity()
