"""Gated pooling: every token of a modality is an instance of one bag, and a gate says how much each counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from medfuse.fusion.fused import Fused, Fusion, presence

if TYPE_CHECKING:
    from medfuse.case import Modality
    from medfuse.encoders.encoded import Encoded


class GatedPoolingFusion(Fusion):
    r"""$v_m = \sum_i α_i t_i$, $α = \mathrm{softmax}(w_m^⊤(\tanh(V_m t_i) ⊙ σ(U_m t_i)))$, fused $= \sum_m P_m v_m$.

    The bag of a modality is all tokens of all its scans or notes. The reported weight of a modality is the share of the
    length of its part. Source: Ilse, Tomczak & Welling 2018, "Attention-based Deep Multiple Instance Learning",
    arXiv:1802.04712, equation 9.
    """

    def __init__(self, **kinds: Any) -> None:
        super().__init__(**kinds)
        half = self.width // 2
        self.values = nn.ModuleList(nn.Linear(self.width, half) for _ in self.modalities)
        self.gates = nn.ModuleList(nn.Linear(self.width, half) for _ in self.modalities)
        self.scores = nn.ModuleList(nn.Linear(half, 1, bias=False) for _ in self.modalities)
        self.parts = nn.ModuleList(nn.Linear(self.width, self.width, bias=False) for _ in self.modalities)

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Fused:
        """Join a batch."""
        parts = []
        for place, name in enumerate(self.modalities):
            tokens, mask = encoded[name].tokens, encoded[name].mask
            opened = torch.tanh(self.values[place](tokens)) * torch.sigmoid(self.gates[place](tokens))
            scores = self.scores[place](opened).squeeze(-1)
            scores = scores.masked_fill(~mask & mask.any(1, keepdim=True), -torch.inf)
            pooled = (scores.softmax(1).unsqueeze(-1) * tokens).sum(1)
            parts.append(self.parts[place](pooled).masked_fill(~mask.any(1, keepdim=True), 0.0))
        stacked = torch.stack(parts, dim=1)
        lengths = stacked.norm(dim=2)
        weights = lengths / lengths.sum(1, keepdim=True).clamp(min=1e-9)
        return Fused(stacked.sum(1), weights * presence(encoded, self.modalities))
