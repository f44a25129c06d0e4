"""Tokens beyond the budget lie in a file, and nothing that is learned depends on where they lay."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medfuse.case import Case
from medfuse.cohort import Cohort
from medfuse.config import Config
from medfuse.encoders.cases import EncodedCase
from medfuse.errors import ConfigError
from medfuse.training import train
from medfuse.training.kept import Kept, memory_budget
from tests.conftest import TINY


def made(number: int) -> EncodedCase:
    tokens = torch.arange(12.0).reshape(3, 4) + number
    return EncodedCase(Case(f"c{number}", "p"), {"image": tokens.half(), "tabular": torch.tensor([float(number)])})


def test_parts_come_back_as_they_were_in_memory_or_from_the_file(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 60)  # room for two cases of 28 bytes
    cases = [kept.keep(made(number)) for number in range(5)]
    assert [type(one.parts) is dict for one in cases] == [True, True, False, False, False]
    for number in (4, 0, 2, 3, 2):
        assert set(cases[number].parts) == {"image", "tabular"}
        assert "text" not in cases[number].parts
        for name, part in made(number).parts.items():
            found = cases[number].parts[name]
            assert found.dtype == part.dtype
            assert torch.equal(found, part)


@pytest.mark.parametrize("given", ["much", "-1", "inf"])
def test_a_budget_that_is_none_is_named(given: str, monkeypatch) -> None:
    monkeypatch.setenv("MEDFUSE_MEMORY_GB", given)
    with pytest.raises(ConfigError, match="MEDFUSE_MEMORY_GB"):
        memory_budget()


def test_a_training_without_room_learns_the_same_to_the_bit(
    tiny_cohort: Cohort, tiny_bundle: Path, token_cache: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setenv("MEDFUSE_MEMORY_GB", "1e-9")
    bundle = train(Config.parse(TINY, source="tiny"), tiny_cohort, tmp_path / "b", cache=token_cache)
    for name in ("model.safetensors", "bundle.json"):
        assert (bundle / name).read_bytes() == (tiny_bundle / name).read_bytes()


def test_a_training_of_five_steps_is_one(tiny_cohort: Cohort, token_cache: Path, tmp_path: Path) -> None:
    count = len([case for case in tiny_cohort.cases if case.split == "train"])
    config = Config.parse({**TINY, "training": {"epochs": 1, "batch_size": -(-count // 5)}}, source="tiny")
    assert train(config, tiny_cohort, tmp_path / "b", cache=token_cache).exists()
