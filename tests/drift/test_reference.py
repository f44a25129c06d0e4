from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.drift.reference import Bins, Reference
from medfuse.errors import BundleError

fact = st.one_of(st.none(), st.floats(-1e6, 1e6))
word = st.one_of(st.none(), st.sampled_from(["F", "M", "missing", "x"]))


@settings(deadline=None, max_examples=50)
@given(facts=st.one_of(st.lists(fact, max_size=40), st.lists(word, max_size=40)), others=st.lists(fact | word))
def test_every_fact_is_in_one_bin(facts, others):
    bins = Bins.of(facts)
    assert sum(bins.counts) == len(facts)
    assert len(bins.counts) == len(bins.labels)
    if not any(isinstance(one, str) for one in others) or bins.names is not None:
        assert bins.count(others).sum() == len(others)
        assert len(bins.count(others)) == len(bins.counts)


def test_tenths_hold_a_tenth_and_what_is_new_or_missing_is_apart():
    bins = Bins.of([*map(float, range(1, 101)), None])
    assert bins.counts == (10,) * 10 + (1,)
    assert bins.count([-5.0, 1e9, None]).tolist() == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]
    bins = Bins.of(["F", "M", "F", None])
    assert (bins.labels, bins.counts) == (["F", "M", "any other", "missing"], (2, 1, 0, 1))
    assert bins.count(["X", "M"]).tolist() == [0, 1, 1, 0]


def test_a_stored_one_is_the_same_and_keeps_no_values():
    facts = [{"age": float(n), "sex": "FM"[n % 2]} for n in range(700)]
    found = Reference.of(facts, np.random.default_rng(0).dirichlet([1, 1], 700))
    assert found.probability.shape == (500, 2)
    again = Reference.from_dict(json.loads(json.dumps(found.to_dict(), allow_nan=False)))
    assert again.inputs == found.inputs
    np.testing.assert_array_equal(again.probability, found.probability)
    assert len(found.inputs["age"].edges) == 9
    empty = Reference.of([], np.zeros((0, 2)))
    assert Reference.from_dict(json.loads(json.dumps(empty.to_dict()))).cases == 0


TORN = {"cases": 1, "inputs": {"a": {"edges": [1], "names": None, "counts": [1]}}, "probability": []}


@pytest.mark.parametrize("stored", [{}, TORN])
def test_a_damaged_store_is_refused(stored):
    with pytest.raises(BundleError, match="bundle"):
        Reference.from_dict(stored)
