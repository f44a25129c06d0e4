"""Whether a heat map shows what the model learned: it must change when the weights are shuffled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from torch.nn.functional import adaptive_avg_pool2d

from medfuse.explain.copies import shuffled, with_parts
from medfuse.explain.explanation import Sanity
from medfuse.explain.image import SeenScan

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

LIMIT = 0.5
DRAWS = 3
_GRID = 14  # cells along a side on which two maps are compared


def check(
    scan: SeenScan, method: Callable[[SeenScan], Tensor], heat: Float[Tensor, "n s s"], *, seed: int = 0
) -> Sanity:
    """The model parameter randomisation test of Adebayo et al. 2018 (arXiv:1810.03292, section 3).

    All weights of the imaging encoder and of the heads are shuffled within their tensors, and the map is made again.
    A map fails if it resembles those of networks that know nothing: then it shows the scan's edges, or how the network
    is built, and not what was learned. Signs count: a map that turned its sign has changed.

    Args:
        scan: The scan.
        method: How the map was made.
        heat: The map.
        seed: Decides the shuffling.
    """
    found = []
    for draw in range(DRAWS):
        image = shuffled(scan.encoder, seed=seed + draw)
        heads = shuffled(scan.model.heads, seed=seed + draw)
        other = method(replace(scan, model=with_parts(scan.model, image=image, heads=heads)))
        found.append(similarity(heat, other))
    mean = float(np.mean(found))
    return Sanity(mean, LIMIT, mean < LIMIT)


def similarity(one: Float[Tensor, "n s s"], other: Float[Tensor, "n s s"]) -> float:
    """Rank correlation (Spearman) of two maps on a coarse grid; 0 if one of them says nothing."""
    from scipy.stats import spearmanr

    cells = [adaptive_avg_pool2d(given.unsqueeze(1), _GRID).flatten().double().numpy() for given in (one, other)]
    if any(not np.isfinite(cell).all() or np.ptp(cell) == 0 for cell in cells):
        return 0.0
    return float(spearmanr(*cells).statistic)
