"""Cross-attention: image patches, note tokens and values look at one another before they are joined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812 - as everyone calls it
from torch import nn

from medfuse.fusion.fused import Fused, Fusion, means, presence

if TYPE_CHECKING:
    from torch import Tensor

    from medfuse.case import Modality
    from medfuse.encoders.encoded import Encoded

_HEADS = 4


class CrossAttentionFusion(Fusion):
    r"""Each modality's tokens attend to the tokens of all others; each is then pooled by attention, and the parts add.

    $T'_m = T_m + \mathrm{MHA}(Q=T_m, K=V=[T_o]_{o≠m})$, $v_m = \sum_i α_i T'_{m,i}$ with
    $α = \mathrm{softmax}(q_m^⊤ \tanh(A_m T'_m))$, fused $= \sum_m P_m (v_m + \bar T_m)$.

    Where no other modality is present, the attention is left out, so a modality alone is read as if the others did not
    exist. The reported weight of a modality is the share of the length of its part. Sources: Vaswani et al. 2017,
    arXiv:1706.03762, section 3.2; co-attention between two streams, Lu et al. 2019, "ViLBERT", arXiv:1908.02265,
    section 3.1; attention pooling, Ilse et al. 2018, arXiv:1802.04712, equation 8.
    """

    def __init__(self, **kinds: Any) -> None:
        super().__init__(**kinds)
        self.norms = nn.ModuleList(nn.LayerNorm(self.width) for _ in self.modalities)
        self.attentions = nn.ModuleList(
            nn.MultiheadAttention(self.width, _HEADS, batch_first=True) for _ in self.modalities
        )
        self.scores = nn.ModuleList(
            nn.Sequential(nn.Linear(self.width, self.width // 2), nn.Tanh(), nn.Linear(self.width // 2, 1, bias=False))
            for _ in self.modalities
        )
        self.parts = nn.ModuleList(nn.Linear(self.width, self.width, bias=False) for _ in self.modalities)

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Fused:
        """Join a batch."""
        plain = means(encoded, self.modalities)
        given = [place for place, name in enumerate(self.modalities) if bool(encoded[name].mask.any())]
        normed = {}
        if len(given) > 1:
            normed = {place: self.norms[place](encoded[self.modalities[place]].tokens) for place in given}
        parts = []
        for place, name in enumerate(self.modalities):
            tokens, mask = encoded[name].tokens, encoded[name].mask
            if place not in given:  # no case of the batch has it
                parts.append(torch.zeros_like(plain[:, place]))
                continue
            others = [other for other in given if other != place]
            if others:
                keys = torch.cat([normed[other] for other in others], dim=1)
                keys_mask = torch.cat([encoded[self.modalities[other]].mask for other in others], dim=1)
                tokens = tokens + self._attend(place, normed[place], keys, keys_mask)
            scores = self.scores[place](tokens).squeeze(-1)
            scores = scores.masked_fill(~mask & mask.any(1, keepdim=True), -torch.inf)
            pooled = (scores.softmax(1).unsqueeze(-1) * tokens).sum(1)
            part = self.parts[place](pooled + plain[:, place])
            parts.append(part.masked_fill(~mask.any(1, keepdim=True), 0.0))
        stacked = torch.stack(parts, dim=1)
        lengths = stacked.norm(dim=2)
        weights = lengths / lengths.sum(1, keepdim=True).clamp(min=1e-9)
        return Fused(stacked.sum(1), weights * presence(encoded, self.modalities))

    @torch.inference_mode()
    def attended(self, encoded: Mapping[Modality, Encoded], asking: Modality, asked: Modality) -> tuple[Tensor, Tensor]:
        """How tokens of one modality attend to those of another, and what weight each has in the pooling.

        Args:
            encoded: Every modality, as in `forward`.
            asking: The modality whose tokens attend; some case has it.
            asked: The modality that they attend to; some case has it.

        Returns:
            Weights [B, L, K] over the tokens of `asked`, averaged over attention heads, and the pooling's α [B, L].
        """
        normed = [norm(encoded[name].tokens) for name, norm in zip(self.modalities, self.norms, strict=True)]
        place = self.modalities.index(asking)
        others = [name for name in self.modalities if name != asking and bool(encoded[name].mask.any())]
        keys = torch.cat([normed[self.modalities.index(name)] for name in others], dim=1)
        mask = torch.cat([encoded[name].mask for name in others], dim=1)
        alone = ~mask.any(1)
        _, weights = self.attentions[place](
            normed[place], keys, keys, key_padding_mask=~(mask | alone.unsqueeze(1)), need_weights=True
        )
        tokens = encoded[asking].tokens + self._attend(place, normed[place], keys, mask)
        scores = self.scores[place](tokens).squeeze(-1)
        own = encoded[asking].mask
        pooling = scores.masked_fill(~own & own.any(1, keepdim=True), -torch.inf).softmax(1)
        start = sum(encoded[name].tokens.shape[1] for name in others[: others.index(asked)])
        return weights[:, :, start : start + encoded[asked].tokens.shape[1]], pooling

    def _attend(self, place: int, queries: Tensor, keys: Tensor, mask: Tensor) -> Tensor:
        """What the others say to each token [B, L, D]; exactly zero in a case that has no others."""
        alone = ~mask.any(1)
        open_mask = mask | alone.unsqueeze(1)  # a softmax over nothing would be NaN; its result is discarded below
        # Written out, because torch's own forward imports sympy to check a padding mask: a tenth of a cold start.
        attention = self.attentions[place]
        assert isinstance(attention, nn.MultiheadAttention)
        assert attention.in_proj_weight is not None
        weight, bias, width = attention.in_proj_weight, attention.in_proj_bias, self.width
        asking = F.linear(queries, weight[:width], bias[:width])
        key, value = F.linear(keys, weight[width:], bias[width:]).chunk(2, dim=2)
        query, key, value = (part.view(*part.shape[:2], _HEADS, -1).transpose(1, 2) for part in (asking, key, value))
        heard = F.scaled_dot_product_attention(query, key, value, attn_mask=open_mask[:, None, None, :])
        said: Tensor = attention.out_proj(heard.transpose(1, 2).flatten(2))
        return said.masked_fill(alone.view(-1, 1, 1), 0.0)
