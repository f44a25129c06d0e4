"""Mixture of experts: each modality decides alone, and a gate that looks at the case says whom to believe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from medfuse.fusion.fused import Fused, Fusion, means, presence

if TYPE_CHECKING:
    from medfuse.case import Modality
    from medfuse.encoders.encoded import Encoded


class MixtureFusion(Fusion):
    r"""$p = \sum_m g_m p_m$ over the modalities present, $g = \mathrm{softmax}(G[v_1; …; v_M])$.

    Late fusion with weights that depend on the case. The fused vector is the logit of $p$. Source: Jacobs et al. 1991,
    "Adaptive Mixtures of Local Experts", Neural Computation 3(1), equation 1, with an expert a modality.
    """

    def __init__(self, **kinds: Any) -> None:
        super().__init__(**kinds)
        self.gate = nn.Linear(self.width * len(self.modalities), len(self.modalities))
        self.alone = nn.ModuleList(nn.Linear(self.width, self.labels) for _ in self.modalities)
        self.prior = nn.Parameter(torch.zeros(self.labels))

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Fused:
        """Join a batch."""
        present = presence(encoded, self.modalities)
        nothing = ~present.any(1, keepdim=True)
        vectors = means(encoded, self.modalities)
        scores = self.gate(vectors.flatten(1)).masked_fill(~present & ~nothing, -torch.inf)
        weights = scores.softmax(1).masked_fill(~present, 0.0)
        each = torch.stack([head(vectors[:, place]) for place, head in enumerate(self.alone)], dim=1)
        tiny = torch.finfo(each.dtype).tiny
        if self.task == "multiclass":
            logits = (weights.unsqueeze(-1) * each.softmax(2)).sum(1).clamp(min=tiny).log()
        else:
            p = (weights.unsqueeze(-1) * each.sigmoid()).sum(1)
            q = (weights.unsqueeze(-1) * (-each).sigmoid()).sum(1)
            logits = p.clamp(min=tiny).log() - q.clamp(min=tiny).log()
        return Fused(torch.where(nothing, self.prior.expand_as(logits), logits), weights)

    def classifier(self) -> nn.Module:
        """Nothing: the vector is the logits already."""
        return nn.Identity()
