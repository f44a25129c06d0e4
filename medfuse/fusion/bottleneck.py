"""Bottleneck: modalities speak to one another only through a few tokens that all of them share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from medfuse.encoders.encoded import Encoded
from medfuse.fusion.fused import Fused, Fusion, means, presence

if TYPE_CHECKING:
    from medfuse.case import Modality

_HEADS = 4
_SHARED = 4  # bottleneck tokens, as many as in the paper
_LAYERS = 2  # after the first the shared tokens know every modality, after the second so does each modality


class BottleneckFusion(Fusion):
    r"""$[T_m'; B_m] = [T_m; B] + \mathrm{MHA}([T_m; B])$ by modality, then $B = \mathrm{mean}_m B_m$.

    Twice, the mean over those present; fused $= \sum_m P_m \bar T_m + Q \bar B$. The reported weight of a modality is
    the share of the length of its part. Source: Nagrani et al. 2021, "Attention Bottlenecks for Multimodal Fusion",
    arXiv:2107.00135, equations 8-9, without the feed-forward part.
    """

    def __init__(self, **kinds: Any) -> None:
        super().__init__(**kinds)
        self.shared = nn.Parameter(torch.randn(_SHARED, self.width) * 0.02)
        count = _LAYERS * len(self.modalities)
        self.norms = nn.ModuleList(nn.LayerNorm(self.width) for _ in range(count))
        self.attentions = nn.ModuleList(
            nn.MultiheadAttention(self.width, _HEADS, batch_first=True) for _ in range(count)
        )
        self.parts = nn.ModuleList(nn.Linear(self.width, self.width, bias=False) for _ in self.modalities)
        self.joint = nn.Linear(self.width, self.width, bias=False)

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Fused:
        """Join a batch."""
        present = presence(encoded, self.modalities)
        shared = self.shared.expand(len(present), -1, -1)
        now = {name: encoded[name].tokens for name in self.modalities}
        for layer in range(_LAYERS):
            said = []
            for place, name in enumerate(self.modalities):
                mask = encoded[name].mask
                both = torch.cat([now[name], shared], dim=1)
                hidden = torch.cat([~mask, mask.new_zeros(len(mask), _SHARED)], dim=1)
                number = layer * len(self.modalities) + place
                normed = self.norms[number](both)
                attend = self.attentions[number]
                both = both + attend(normed, normed, normed, key_padding_mask=hidden, need_weights=False)[0]
                now[name] = both[:, : mask.shape[1]]
                said.append(both[:, mask.shape[1] :] * present[:, place, None, None])
            count = present.sum(1).clamp(min=1)[:, None, None]
            shared = torch.where(present.any(1)[:, None, None], torch.stack(said).sum(0) / count, shared)
        pooled = means({name: Encoded.of(now[name], encoded[name].mask) for name in self.modalities}, self.modalities)
        parts = torch.stack([part(pooled[:, place]) for place, part in enumerate(self.parts)], dim=1)
        lengths = parts.norm(dim=2)
        weights = lengths / lengths.sum(1, keepdim=True).clamp(min=1e-9)
        return Fused(parts.sum(1) + self.joint(shared.mean(1)), weights * present)
