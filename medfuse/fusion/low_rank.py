"""Low-rank bilinear fusion: the modalities multiply, in as many products as the rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from medfuse.fusion.fused import Fused, Fusion, means, presence

if TYPE_CHECKING:
    from medfuse.case import Modality
    from medfuse.encoders.encoded import Encoded

_RANK = 4


class LowRankFusion(Fusion):
    r"""Fused $= \frac{1}{R} \sum_r ⊙_m W_m^{(r)} [v_m; 1]$ over the modalities present, $v_m$ the mean token.

    An absent modality is a factor of one. At the start the constant of each factor is one, so that the sum of what the
    modalities say alone comes first and what they say together follows. The reported weight of a modality is the share
    of what its factors differ from one. Source: Liu et al. 2018, "Efficient Low-rank Multimodal Fusion with
    Modality-Specific Factors", arXiv:1806.00064, equation 7; of two modalities it is the low-rank bilinear pooling of
    Kim et al. 2017, arXiv:1610.04325, section 3.
    """

    def __init__(self, **kinds: Any) -> None:
        super().__init__(**kinds)
        factors = [nn.Linear(self.width, _RANK * self.width) for _ in self.modalities]
        for factor in factors:
            nn.init.ones_(factor.bias)
        self.factors = nn.ModuleList(factors)

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Fused:
        """Join a batch."""
        present = presence(encoded, self.modalities)
        vectors = means(encoded, self.modalities)
        joined, lengths = torch.ones(len(present), _RANK * self.width, device=vectors.device), []
        for place, factor in enumerate(self.factors):
            said = factor(vectors[:, place])
            joined = joined * torch.where(present[:, place, None], said, torch.ones_like(said))
            lengths.append(((said - 1) * present[:, place, None]).norm(dim=1))
        weights = torch.stack(lengths, dim=1)
        vector = joined.view(-1, _RANK, self.width).mean(1)
        return Fused(vector, weights / weights.sum(1, keepdim=True).clamp(min=1e-9))
