from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.evaluation.changes import (
    SCAN_CHANGES,
    TEXT_CHANGES,
    abbreviation,
    crop,
    exposure,
    inversion,
    negation,
    resolution,
    typos,
    word_order,
)


def _rng(seed=0):
    return np.random.default_rng(seed)


def _scan(seed=0, shape=(60, 48)):
    smooth = np.add.outer(np.linspace(0, 0.5, shape[0]), np.linspace(0, 0.5, shape[1]))
    return np.clip(smooth + 0.02 * _rng(seed).standard_normal(shape), 0, 1).astype(np.float32)


@settings(deadline=None, max_examples=30)
@given(
    name=st.sampled_from(sorted(SCAN_CHANGES)),
    strength=st.floats(0, 1),
    seed=st.integers(0, 1000),
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_a_changed_scan_is_still_a_scan(name, strength, seed, shape):
    before = _scan(seed, shape)
    kept = before.copy()
    after = SCAN_CHANGES[name](before, strength, _rng(seed))
    np.testing.assert_array_equal(before, kept)  # the scan given is not touched
    assert after.dtype == np.float32
    assert after.ndim == 2
    assert after.size
    assert after.min() >= 0
    assert after.max() <= 1
    np.testing.assert_array_equal(after, SCAN_CHANGES[name](before, strength, _rng(seed)))


@pytest.mark.parametrize("name", sorted(SCAN_CHANGES))
def test_a_stronger_change_changes_more(name):
    before = _scan()
    none = SCAN_CHANGES[name](before, 0.0, _rng())
    assert none.shape == before.shape
    assert np.abs(none - before).max() < 0.06  # JPEG of the best quality is nearly but not wholly itself

    def moved(strength):
        after = SCAN_CHANGES[name](before, strength, _rng())
        return 1 - after.size / before.size if name == "crop" else np.abs(after - before).mean()

    assert moved(0.0) < moved(1.0)
    assert moved(0.5) <= moved(1.0)


def test_what_each_change_does():
    scan = _scan()
    np.testing.assert_allclose(inversion(scan, 1.0, _rng()), 1 - scan, atol=1e-6)
    assert crop(scan, 1.0, _rng()).shape == (60 - 18, 48 - 14)
    assert np.abs(np.diff(resolution(scan, 1.0, _rng()), axis=0)).max() < np.abs(np.diff(scan, axis=0)).max()
    assert {exposure(scan, 1.0, _rng(seed)).mean() > scan.mean() for seed in range(20)} == {True, False}


NOTE = "HISTORY: The patient denies chest pain. No fever, shortness of breath with exertion."


def test_text_changes_by_example():
    assert abbreviation(NOTE, 1.0, _rng()) == "HISTORY: The pt denies CP. No fever, SOB w/ exertion.".replace(
        "HISTORY", "hx"
    )
    assert negation(NOTE, 1.0, _rng()) == (
        "HISTORY: The patient reports chest pain. some fever, shortness of breath without exertion."
    )
    mixed = word_order(NOTE, 1.0, _rng())
    assert sorted(mixed.replace(".", " ").replace(":", " ").split()) == sorted(
        NOTE.replace(".", " ").replace(":", " ").split()
    )
    assert mixed != NOTE
    wrong = typos(NOTE, 1.0, _rng())
    assert 0 < sum(a != b for a, b in zip(wrong.split(), NOTE.split(), strict=True)) < len(NOTE.split())


@settings(deadline=None, max_examples=40)
@given(text=st.text(max_size=200), strength=st.floats(0, 1), name=st.sampled_from(sorted(TEXT_CHANGES)))
def test_any_text_survives_and_none_is_changed_at_strength_0(text, strength, name):
    change = TEXT_CHANGES[name]
    assert isinstance(change(text, strength, _rng()), str)
    assert change(text, 0.0, _rng()) == text
