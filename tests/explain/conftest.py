from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from medfuse.case import Case, Note
from medfuse.cohort import Cohort
from medfuse.config import Config
from medfuse.inference import Predictor
from tests.conftest import TINY


@pytest.fixture(scope="session")
def case(tiny_cohort: Cohort) -> Case:
    """Two scans, two notes (one with excluded sections between two that are read), two values."""
    first, second = tiny_cohort.cases[0], tiny_cohort.cases[1]
    text = "Walked in.\nHISTORY: fever and cough, day 3.\nFINDINGS: secret wet.\nPLAN: none\nMEDICATIONS: aspirin."
    return replace(first, scans=(*first.scans, *second.scans), notes=(Note(text=text), *second.notes))


@pytest.fixture(scope="session")
def experts(tiny_cohort: Cohort, token_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """Linear in everything: experts on mean tokens, and word vectors learned from the notes."""
    from medfuse.training import train

    config = Config.parse({**TINY, "text": {"encoder": "lsa"}, "fusion": {"name": "experts"}}, source="tiny")
    bundle = train(config, tiny_cohort, tmp_path_factory.mktemp("runs") / "experts", cache=token_cache)
    return Predictor.load(bundle, cache=token_cache)


@pytest.fixture(scope="session")
def attentive(tiny_bundle: Path, token_cache: Path) -> Predictor:
    """Cross-attention, with a recurrent network for the notes."""
    return Predictor.load(tiny_bundle, cache=token_cache)
