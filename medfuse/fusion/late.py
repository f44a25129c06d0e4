"""Late fusion: each modality decides alone, and the decisions are averaged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import softplus

from medfuse.fusion.fused import Fused, Fusion, means, presence

if TYPE_CHECKING:
    from torch import Tensor

    from medfuse.case import Modality
    from medfuse.encoders.encoded import Encoded


class LateFusion(Fusion):
    r"""$p = \sum_m w_m p_m$ over the modalities present, $p_m$ the probabilities that modality $m$ gives alone.

    $w$ is a softmax of learned scalars over those present. The fused vector is the logit of $p$, so nothing comes
    after it. Source: Kittler et al. 1998, "On Combining Classifiers", IEEE TPAMI 20(3), the sum rule (equation 11).
    """

    def __init__(self, **kinds: Any) -> None:
        super().__init__(**kinds)
        self.scores = nn.Parameter(torch.zeros(len(self.modalities)))
        self.alone = nn.ModuleList(nn.Linear(self.width, self.labels) for _ in self.modalities)
        self.prior = nn.Parameter(torch.zeros(self.labels))  # what is said where nothing is present

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Fused:
        """Join a batch."""
        present = presence(encoded, self.modalities)
        nothing = ~present.any(1, keepdim=True)
        scores = self.scores.expand(present.shape).masked_fill(~present & ~nothing, -torch.inf)
        weights = scores.softmax(1).masked_fill(~present, 0.0)
        vectors = means(encoded, self.modalities)
        logits = torch.stack([alone(vectors[:, place]) for place, alone in enumerate(self.alone)], dim=1)
        shares = weights.clamp(min=1e-30).log().unsqueeze(-1)
        missing = ~present.unsqueeze(-1) & ~nothing.unsqueeze(-1)

        def mixed(logs: Tensor) -> Tensor:
            return (shares + logs).masked_fill(missing, -torch.inf).logsumexp(1)

        if self.task == "multiclass":
            joined = mixed(logits.log_softmax(2))
        else:  # log p less log(1 - p), each exact by itself
            joined = mixed(-softplus(-logits)) - mixed(-softplus(logits))
        return Fused(torch.where(nothing, self.prior, joined), weights)

    def classifier(self) -> nn.Module:
        """Nothing: the vector is the logits already."""
        return nn.Identity()
