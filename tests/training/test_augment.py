from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from medfuse.cohort import Cohort
from medfuse.config import AugmentConfig, Config
from medfuse.errors import ConfigError
from medfuse.training import fit
from medfuse.training.augment import Augment
from medfuse.training.steps import loader
from tests.training.test_fit import config, stop_after


def half_bright(*sides: int, axis: int) -> torch.Tensor:
    """One picture [1, *sides] that is bright where its left is."""
    picture = torch.full(sides, 0.2)
    picture.narrow(axis, 0, sides[axis] // 2).fill_(0.8)
    return picture.unsqueeze(0)


@pytest.mark.parametrize("sides", [(48, 48), (24, 28, 32)])
def test_what_is_drawn_depends_on_seed_epoch_and_case_alone(sides: tuple[int, ...]) -> None:
    pixels = torch.rand(2, *sides, generator=torch.Generator().manual_seed(0)).half()
    augment = Augment(AugmentConfig(), seed=1)
    first = augment(pixels, case_id="a", epoch=2)
    others = [
        augment(pixels, case_id="b", epoch=2),
        augment(pixels, case_id="a", epoch=3),
        Augment(AugmentConfig(), seed=2)(pixels, case_id="a", epoch=2),
    ]
    torch.manual_seed(99)
    np.random.seed(99)  # noqa: NPY002 - MONAI's transforms could draw from it
    again = Augment(AugmentConfig(), seed=1)(pixels, case_id="a", epoch=2)
    assert torch.equal(first, again)
    assert not any(torch.equal(first, other) for other in others)
    assert first.shape == pixels.shape
    assert first.dtype == pixels.dtype
    assert 0 <= float(first.min()) <= float(first.max()) <= 1


@pytest.mark.parametrize(("sides", "axis"), [((48, 48), 1), ((24, 28, 32), 0)])
def test_left_stays_left_unless_the_config_asks(sides: tuple[int, ...], axis: int) -> None:
    picture = half_bright(*sides, axis=axis)

    def mirrored(config: AugmentConfig) -> list[bool]:
        augment, middle = Augment(config, seed=0), sides[axis] // 2
        found = [augment(picture, case_id=str(number), epoch=0)[0] for number in range(40)]
        return [bool(one.narrow(axis, 0, middle).mean() < one.narrow(axis, middle, middle).mean()) for one in found]

    assert not any(mirrored(AugmentConfig()))
    assert not any(mirrored(AugmentConfig(strength=3)))
    assert 5 < sum(mirrored(AugmentConfig(flip=True))) < 35


def test_what_is_altered_stays_recognisable() -> None:
    picture = half_bright(48, 48, axis=1)
    altered = Augment(AugmentConfig(), seed=0)
    changes = [float((altered(picture, case_id=str(number), epoch=0) - picture).abs().mean()) for number in range(20)]
    stronger = Augment(AugmentConfig(strength=3), seed=0)
    more = [float((stronger(picture, case_id=str(number), epoch=0) - picture).abs().mean()) for number in range(20)]
    assert 0 < np.mean(changes) < 0.12
    assert np.mean(more) > 1.5 * np.mean(changes)


def test_a_frozen_encoder_refuses_it() -> None:
    with pytest.raises(ConfigError, match="'image': augment is for an encoder that learns; set tune to last"):
        Config.parse({"image": {"augment": {}}}, source="here")


LEARNS = {"encoder": "efficientnet-lite0", "size": 32, "tune": "last", "augment": {}}


def test_training_cases_alone_are_altered(
    tiny_cohort: Cohort, token_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[tuple[str, int]] = set()
    before = Augment.__call__

    def watched(self: Augment, pixels: torch.Tensor, *, case_id: str, epoch: int) -> torch.Tensor:
        seen.add((case_id, epoch))
        return before(self, pixels, case_id=case_id, epoch=epoch)

    monkeypatch.setattr(Augment, "__call__", watched)
    small = config(image=LEARNS, text=None, training={"epochs": 2, "encoder_learning_rate": 1e-3})
    with_it = fit(small, tiny_cohort, work=tmp_path / "with", cache=token_cache)
    trained = {case.case_id for case in tiny_cohort.with_splits(small.seed).in_split("train")}
    assert seen == {(name, epoch) for name in trained for epoch in range(2)}
    plain = config(image={**LEARNS, "augment": None}, text=None, training={"epochs": 2, "encoder_learning_rate": 1e-3})
    without = fit(plain, tiny_cohort, work=tmp_path / "without", cache=token_cache)
    states = [bundle.model.state_dict() for bundle in (with_it, without)]
    assert any(not torch.equal(a, b) for a, b in zip(*(state.values() for state in states), strict=True))


def test_validation_sees_what_was_read(tiny_cohort: Cohort) -> None:
    from medfuse.encoders.cases import EncodedCase

    case = tiny_cohort.cases[0]
    one = EncodedCase(case, {"image": torch.rand(1, 32, 32)})
    truth = torch.ones(1, 1)
    plain = next(iter(loader([one], truth=truth, modalities=("image",), batch=1, seed=None)))
    assert torch.equal(plain[0]["image"].values[0], one.parts["image"])
    augment = Augment(AugmentConfig(), seed=0)
    altered = next(iter(loader([one], truth=truth, modalities=("image",), batch=1, seed=0, augment=augment)))
    expected = augment(one.parts["image"], case_id=case.case_id, epoch=0)
    assert torch.equal(altered[0]["image"].values[0], expected)


def test_a_stopped_run_goes_on_to_the_same_weights(tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    small = config(image=LEARNS, text=None, training={"epochs": 2, "encoder_learning_rate": 1e-3})
    whole = fit(small, tiny_cohort, work=tmp_path / "whole", cache=token_cache)
    stop_after(0, small, tiny_cohort, tmp_path / "part", token_cache)
    resumed = fit(small, tiny_cohort, work=tmp_path / "part", cache=token_cache)
    states = [bundle.model.state_dict() for bundle in (whole, resumed)]
    assert all(torch.equal(a, b) for a, b in zip(*(state.values() for state in states), strict=True))
