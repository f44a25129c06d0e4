"""One file a fusion, one interface: a name in the config to a class."""

from __future__ import annotations

from collections.abc import Mapping

from medfuse.fusion.concat import ConcatFusion
from medfuse.fusion.cross_attention import CrossAttentionFusion
from medfuse.fusion.experts import ExpertsFusion
from medfuse.fusion.fused import Fused, Fusion
from medfuse.fusion.gate import GateFusion
from medfuse.fusion.late import LateFusion
from medfuse.fusion.weighted_sum import WeightedSumFusion

FUSIONS: Mapping[str, type[Fusion]] = {
    "weighted_sum": WeightedSumFusion,
    "concat": ConcatFusion,
    "gate": GateFusion,
    "cross_attention": CrossAttentionFusion,
    "late": LateFusion,
    "experts": ExpertsFusion,
}

__all__ = ["FUSIONS", "Fused", "Fusion"]
