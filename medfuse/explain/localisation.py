"""Whether a heat map lies where the finding lies, beside maps that look at no scan at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from medfuse.errors import ScanError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from numpy import ndarray

MASKS = "masks"  # folder of a cohort: a picture a scan, by the name of its file, white where the finding lies


@dataclass(frozen=True)
class Placed:
    """How well a map lies.

    Attributes:
        pointing: Whether its strongest place lies in the finding (pointing game, Zhang et al. 2018, IJCV 126,
            section 4.3, without a margin).
        energy: Share of what speaks for the label that lies in the finding (Wang et al. 2020, arXiv:1910.01279,
            section 5.2).
    """

    pointing: bool
    energy: float


def placed_on(heat: Float[ndarray, "h w"], mask: Bool[ndarray, "h w"]) -> Placed:
    """How well a map lies on a finding; one that speaks for the label nowhere misses it."""
    positive = np.maximum(heat, 0.0).astype(float)
    total = positive.sum()
    if not total > 0:
        return Placed(pointing=False, energy=0.0)
    return Placed(bool(mask.flat[int(heat.argmax())]), float(positive[mask].sum() / total))


def centre(rows: int, columns: int) -> Float[ndarray, "rows columns"]:
    """A map that knows no scan: a Gaussian in the middle, a quarter of each side wide."""
    down, across = ((np.arange(side) + 0.5) / side - 0.5 for side in (rows, columns))
    return np.asarray(np.exp(-(down[:, None] ** 2 + across[None, :] ** 2) / (2 * 0.25**2)))


def mask_of(folder: Path, scan: Path, shape: tuple[int, ...]) -> Bool[ndarray, "h w"] | None:
    """Where the finding of a scan lies; None if nothing tells or it has none.

    Raises:
        ScanError: If the mask is not of the scan's shape or cannot be read.
    """
    path = folder / MASKS / f"{scan.stem}.png"
    if not path.is_file():
        return None
    try:
        with Image.open(path) as picture:
            mask = np.asarray(picture.convert("L")) > 127
    except OSError as error:
        message = f"{MASKS}/{path.name}: cannot be read as a picture; write it again, white where the finding lies"
        raise ScanError(message) from error
    if mask.shape != shape:
        message = f"{MASKS}/{path.name}: has the shape {mask.shape}, its scan {shape}; give it the scan's pixels"
        raise ScanError(message)
    return mask if mask.any() else None


def localisation(
    heats: Sequence[Float[ndarray, "h w"]], masks: Sequence[Bool[ndarray, "h w"]]
) -> Mapping[str, Mapping[str, float]]:
    """Pointing game and energy of maps, of the maps of other scans, of the centre, and of chance.

    `other scan` lays each map over the next scan's finding: what it still hits, it hits without having looked. `chance`
    is the share of the scan that the finding takes up.
    """
    others = [_resized(heats[number - 1], mask.shape) for number, mask in enumerate(masks)]
    found = {
        "map": [placed_on(heat, mask) for heat, mask in zip(heats, masks, strict=True)],
        "other scan": [placed_on(heat, mask) for heat, mask in zip(others, masks, strict=True)],
        "centre": [placed_on(centre(*mask.shape), mask) for mask in masks],
    }
    table = {
        name: {
            "pointing": float(np.mean([one.pointing for one in places])),
            "energy": float(np.mean([one.energy for one in places])),
        }
        for name, places in found.items()
    }
    chance = float(np.mean([mask.mean() for mask in masks]))
    return table | {"chance": {"pointing": chance, "energy": chance}}


def _resized(heat: ndarray, shape: tuple[int, ...]) -> ndarray:
    grown = Image.fromarray(np.ascontiguousarray(heat, dtype=np.float32)).resize((shape[1], shape[0]))
    return np.asarray(grown)
