"""Altered pictures for an imaging encoder that learns: turned, shifted, zoomed, brighter, noisier, all by a little.

Anatomy stays where it is: nothing is mirrored unless the config asks, since a mirrored chest has its heart on the wrong
side. What is drawn depends on the seed, the epoch and the case alone, so a run that was stopped goes on as if it had
not been, and processes that share a step see what one would have seen.
"""

from __future__ import annotations

import hashlib
from math import radians
from typing import TYPE_CHECKING, Any

import torch

from medfuse.config import AugmentConfig, Config

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

# At strength 1. What a technician's positioning, a scanner's exposure and its noise do, and no more.
TURN = 7.0  # degrees about each axis
SHIFT = 0.05  # of each side
ZOOM = 0.1  # of the size, either way
SCALE = 0.1  # of the grey values, either way
OFFSET = 0.05  # grey values, black 0 and white 1, either way
GAMMA = 0.25  # powers from 1 / 1.25 to 1.25
NOISE = 0.02  # standard deviation of grey values


class Augment:
    """Alters fitted scans by MONAI's random transforms.

    Args:
        config: How strongly, and whether mirrored.
        seed: With the epoch and the case, all that decides what is drawn.

    Example:
        >>> squares = torch.rand(2, 32, 32)
        >>> one, again = (Augment(AugmentConfig(), seed=0)(squares, case_id="a", epoch=3) for _ in range(2))
        >>> bool((one == again).all()), bool((one == squares).any())
        (True, False)
    """

    def __init__(self, config: AugmentConfig, *, seed: int) -> None:
        self.config, self.seed = config, seed
        self._made: dict[tuple[int, ...], Any] = {}

    @classmethod
    def of(cls, config: Config) -> Augment | None:
        """As the config says; None if pictures stay as they are."""
        wanted = config.image.augment if config.image is not None else None
        return None if wanted is None else cls(wanted, seed=config.seed)

    def __call__(self, pixels: Float[Tensor, "s ..."], *, case_id: str, epoch: int) -> Float[Tensor, "s ..."]:
        """Squares [S, size, size] or windows of volumes [W, X, Y, Z] of grey values in 0…1, each altered by itself."""
        transform = self._transform(tuple(pixels.shape[1:]))
        altered = []
        for place, one in enumerate(pixels):
            drawn = hashlib.sha256(f"{self.seed} {epoch} {place} {case_id}".encode()).digest()
            transform.set_random_state(seed=int.from_bytes(drawn[:4], "big"))
            altered.append(torch.as_tensor(transform(one.float().unsqueeze(0)))[0].clamp(0, 1))
        return torch.stack(altered).to(pixels.dtype)

    def _transform(self, sides: tuple[int, ...]) -> Any:
        """The transform of pictures of this shape; made when it is first needed, since MONAI is slow to import."""
        if sides not in self._made:
            self._made[sides] = _transform(self.config, sides)
        return self._made[sides]


def _transform(config: AugmentConfig, sides: tuple[int, ...]) -> Any:
    from monai.transforms import (
        Compose,
        RandAdjustContrast,
        RandAffine,
        RandFlip,
        RandGaussianNoise,
        RandScaleIntensity,
        RandShiftIntensity,
    )

    much, axes = config.strength, len(sides)
    affine = RandAffine(
        prob=1.0,
        rotate_range=(radians(TURN * much),) * (1 if axes == 2 else 3),
        translate_range=tuple(SHIFT * much * side for side in sides),
        scale_range=(ZOOM * much,) * axes,
        padding_mode="zeros",  # a reflected edge would show anatomy that is not there
    )
    power = 1 + GAMMA * much
    grey = [
        RandAdjustContrast(prob=1.0, gamma=(1 / power, power)),
        RandScaleIntensity(prob=1.0, factors=SCALE * much),
        RandShiftIntensity(prob=1.0, offsets=OFFSET * much),
        RandGaussianNoise(prob=1.0, std=NOISE * much),
    ]
    # Left and right are along the columns of a square, and along the first axis of a volume (RAS).
    mirror = [RandFlip(prob=0.5, spatial_axis=1 if axes == 2 else 0)] if config.flip else []
    return Compose([*mirror, affine, *grey])
