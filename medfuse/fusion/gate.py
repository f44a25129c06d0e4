"""Gate: every coordinate of the joined vector weighs itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from medfuse.fusion.fused import Fused, Fusion, means, presence

if TYPE_CHECKING:
    from medfuse.case import Modality
    from medfuse.encoders.encoded import Encoded


class GateFusion(Fusion):
    r"""$a = \mathrm{softmax}(W[v_1; …; v_M])$, fused $= P(a ⊙ [v_1; …; v_M])$, $v_m$ the mean token of a modality.

    A modality that is absent has its coordinates masked before the softmax, so its weight is exactly zero; $a$ is
    scaled by the number of coordinates in play, so that the vector keeps its size. The reported weight of a modality
    is the sum of its coordinates' $a$. Source: attention fusion in the sense of Arevalo et al. 2017, "Gated Multimodal
    Units", arXiv:1702.01992, section 3, with a softmax over coordinates in place of the sigmoid.
    """

    def __init__(self, **kinds: Any) -> None:
        super().__init__(**kinds)
        joined = self.width * len(self.modalities)
        self.gate = nn.Linear(joined, joined)
        self.project = nn.Linear(joined, self.width, bias=False)

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Fused:
        """Join a batch."""
        present = presence(encoded, self.modalities)
        joined = means(encoded, self.modalities).flatten(1)
        masked = ~present.repeat_interleave(self.width, dim=1)
        nothing = ~present.any(1, keepdim=True)
        scores = self.gate(joined).masked_fill(masked & ~nothing, -torch.inf)
        gates = scores.softmax(1).masked_fill(masked, 0.0)
        count = self.width * present.sum(1, keepdim=True)
        weights = gates.unflatten(1, (len(self.modalities), self.width)).sum(2)
        return Fused(self.project(gates * joined * count), weights)
