"""The phantoms show what they are told to show, and look like a chest."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from medfuse.synthetic.evidence import FINDINGS, Categorical, of_modality
from medfuse.synthetic.phantom import render

STATES = {name: FINDINGS[name].states for name in of_modality("image") if isinstance(FINDINGS[name], Categorical)}
PLAIN = {"opacity": "none", "heart": "normal", "effusion": "none"}


def shown(seed: int = 0, **findings: str) -> np.ndarray:
    return render({**PLAIN, **findings}, rows=264, columns=256, rng=np.random.default_rng(seed)).grey


@pytest.mark.parametrize("states", list(product(*STATES.values())))
def test_every_combination_is_a_picture(states: tuple[str, ...]) -> None:
    grey = shown(**dict(zip(STATES, states, strict=True)))
    assert grey.shape == (264, 256)
    assert grey.dtype == np.float32
    assert grey.min() >= 0
    assert grey.max() <= 1
    assert grey.std() > 0.1


@pytest.mark.parametrize("seed", range(4))
def test_lungs_are_dark_between_a_bright_spine_and_the_abdomen(seed: int) -> None:
    grey = shown(seed)
    lungs = np.r_[grey[110:150, 60:85].ravel(), grey[110:150, 172:197].ravel()]
    spine, abdomen, corner = grey[150:190, 124:132], grey[240:, 100:160], grey[:8, :8]
    assert lungs.mean() + 0.2 < min(spine.mean(), abdomen.mean())
    assert corner.mean() < 0.15


def difference(seed: int, **findings: str) -> np.ndarray:
    return shown(seed, **findings)[100:200, 40:216].astype(float) - shown(seed)[100:200, 40:216]


@pytest.mark.parametrize(
    ("finding", "state"), [("opacity", s) for s in STATES["opacity"][1:]] + [("heart", "enlarged")]
)
def test_findings_whiten_the_lungs(finding: str, state: str) -> None:
    assert np.mean([difference(seed, **{finding: state}).mean() for seed in range(4)]) > 0.015


def test_an_enlarged_heart_is_wider_than_half_the_chest() -> None:
    def width(seed: int, heart: str) -> float:
        rows = shown(seed, heart=heart)[165:180]
        return float((rows > (rows.min() + rows.max()) / 2).mean())

    assert all(width(seed, "enlarged") > width(seed, "normal") + 0.1 for seed in range(4))


def test_the_same_seed_gives_the_same_pixels_and_another_does_not() -> None:
    np.testing.assert_array_equal(shown(1, opacity="focal"), shown(1, opacity="focal"))
    assert not np.array_equal(shown(1), shown(2))
