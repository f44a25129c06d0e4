"""Concatenation: the vectors side by side, then one linear map."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from torch import nn

from medfuse.fusion.fused import Fused, Fusion, means, presence

if TYPE_CHECKING:
    from medfuse.case import Modality
    from medfuse.encoders.encoded import Encoded


class ConcatFusion(Fusion):
    r"""Fused $= W[v_1; …; v_M]$, $v_m$ the mean token of a modality, zero where it is absent.

    The reported weight of a modality is the share of the length of its part $W_m v_m$. Source: Ngiam et al. 2011,
    "Multimodal Deep Learning", ICML, section 4 (shared representation over concatenated inputs).
    """

    def __init__(self, **kinds: Any) -> None:
        super().__init__(**kinds)
        self.parts = nn.ModuleList(nn.Linear(self.width, self.width, bias=False) for _ in self.modalities)

    def forward(self, encoded: Mapping[Modality, Encoded]) -> Fused:
        """Join a batch."""
        vectors = means(encoded, self.modalities)
        mapped = [part(vectors[:, place]) for place, part in enumerate(self.parts)]  # the blocks of W
        return Fused(sum(mapped), _shares(mapped, present=presence(encoded, self.modalities)))


def _shares(parts: list, *, present: Any) -> Any:
    import torch

    lengths = torch.stack([part.norm(dim=1) for part in parts], dim=1) * present
    return lengths / lengths.sum(1, keepdim=True).clamp(min=1e-9)
