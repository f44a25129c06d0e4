"""Whether the places that a map names matter: the scan is taken away, or brought in, in the map's order."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool2d, interpolate

from medfuse.explain.image import SeenScan, blurred

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

STEPS = 10  # versions of a scan between all of it and nothing
GRID = 14  # cells along a side that are taken away one after the other
_AT_ONCE = 4


@dataclass(frozen=True)
class Curves:
    """Mean of the explained number along the way; the ends are common to all orders.

    Attributes:
        deletion: While the strongest cells are blurred first; the lower, the better the map.
        insertion: While the strongest cells come into a blurred scan first; the higher, the better.
    """

    deletion: float
    insertion: float


def curves(scan: SeenScan, heat: Float[Tensor, "n s s"]) -> Curves:
    """Deletion and insertion (Petsiuk et al. 2018, arXiv:1806.07421, section 4.1), with the blurred scan as nothing."""
    order = torch.argsort(-adaptive_avg_pool2d(heat.unsqueeze(1), GRID).flatten(), stable=True)
    nothing = blurred(scan.pixels)
    count, total = len(scan.pixels), len(order)
    kept = []
    for step in range(STEPS + 1):
        taken = torch.zeros(total)
        taken[order[: round(total * step / STEPS)]] = 1.0
        cells = interpolate(taken.view(count, 1, GRID, GRID), scan.pixels.shape[-2:], mode="nearest")[:, 0]
        kept.append(cells)
    shown = torch.stack(kept)
    deleted = scan.pixels * (1 - shown) + nothing * shown
    inserted = scan.pixels * shown + nothing * (1 - shown)
    return Curves(_area(scan, deleted), _area(scan, inserted))


def in_any_order(scan: SeenScan, *, seed: int) -> Curves:
    """The same in a random order."""
    generator = torch.Generator().manual_seed(seed)
    cells = torch.rand(len(scan.pixels), 1, GRID, GRID, generator=generator)
    return curves(scan, interpolate(cells, scan.pixels.shape[-2:], mode="nearest")[:, 0])


def _area(scan: SeenScan, versions: Float[Tensor, "v n s s"]) -> float:
    """Mean under the curve (trapezoids)."""
    with torch.inference_mode():
        found = torch.cat([scan.seen(some) for some in torch.split(versions, _AT_ONCE)]).double().numpy()
    return float(np.trapezoid(found, dx=1 / STEPS))


def as_probability(scan: SeenScan) -> SeenScan:
    """The same scan with the calibrated probability as what is explained."""
    from copy import copy

    aim = copy(scan.aim)
    aim.target = "probability"
    return replace(scan, aim=aim)
