"""Weighted sum: one learned scalar a modality."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from medfuse.fusion.fused import Fused, Fusion, means, presence

if TYPE_CHECKING:
    from medfuse.case import Modality
    from medfuse.encoders.encoded import Encoded


class WeightedSumFusion(Fusion):
    r"""Fused $= \sum_m w_m v_m$ with $w = M \,\mathrm{softmax}(s)$ for learned scalars $s$, $v_m$ the mean token.

    The weights do not depend on what is present, so that evidence adds up and an absent modality leaves the others as
    they are. Source: Baltrušaitis, Ahuja & Morency 2019, "Multimodal Machine Learning", arXiv:1705.09406, section 6
    (joint representations by summation).
    """

    def __init__(self, **kinds: Any) -> None:
        super().__init__(**kinds)
        self.scores = nn.Parameter(torch.zeros(len(self.modalities)))

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Fused:
        """Join a batch."""
        weights = self.scores.softmax(0) * presence(encoded, self.modalities)
        vector = (weights.unsqueeze(-1) * means(encoded, self.modalities)).sum(1) * len(self.modalities)
        return Fused(vector, weights)
