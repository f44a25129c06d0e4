from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.calibration import risk_coverage


def _ids(n):
    return [str(i) for i in range(n)]


def test_by_hand():
    """Confidences .9 .8 .7 .6, the second and the last wrong: risks 0, 1/2, 1/3, 1/2."""
    probability = np.array([[0.9, 0.1], [0.8, 0.2], [0.3, 0.7], [0.4, 0.6]])
    labels = np.eye(2)[[0, 1, 1, 0]]
    found = risk_coverage(probability, labels, names="ab", patients=_ids(4), task="multiclass")
    np.testing.assert_allclose(found.coverage, [0.25, 0.5, 0.75, 1])
    np.testing.assert_allclose(found.risk, [0, 1 / 2, 1 / 3, 1 / 2])
    assert found.aurc == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    np.testing.assert_allclose(found.by_label[0][1], [0, 1 / 2])
    np.testing.assert_allclose(found.by_label[1][1], [1, 1 / 2])


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60), task=st.sampled_from(["multiclass", "multilabel"]))
def test_is_counting(seed, n, task):
    rng = np.random.default_rng(seed)
    p = np.round(rng.dirichlet([1, 1, 1], n), 1)  # with ties
    labels = np.eye(3)[rng.integers(3, size=n)]
    if task == "multilabel":
        labels[rng.random((n, 3)) < 0.2] = np.nan
        labels[0, 0] = 1.0
        told = [(max(v, 1 - v), (v >= 0.5) != y) for v, y in zip(p.ravel(), labels.ravel(), strict=True) if y == y]
    else:
        told = [(row.max(), row.argmax() != y.argmax()) for row, y in zip(p, labels, strict=True)]
    found = risk_coverage(p, labels, names="abc", patients=_ids(n), task=task)
    for place, (confidence, _) in enumerate(sorted(told, key=lambda one: -one[0])):
        kept = [wrong for sure, wrong in told if sure >= confidence]
        assert found.risk[place] == pytest.approx(np.mean(kept))
    assert found.risk[-1] == pytest.approx(np.mean([wrong for _, wrong in told]))


def _unfair(rng, n, *, right):
    """A common label that is right when sure; of the rare one the surest are wrong, or right as of the common one."""
    rare = rng.random(n) < 0.2
    sure = rng.random(n)
    correct = np.where(
        rare, rng.random(n) < (0.1 + 0.85 * sure if right else 0.9 - 0.8 * sure), rng.random(n) < 0.6 + 0.39 * sure
    )
    top = np.where(correct, rare, ~rare).astype(int)
    p = np.empty((n, 2))
    p[np.arange(n), top], p[np.arange(n), 1 - top] = 0.5 + sure / 2, 0.5 - sure / 2
    return p, np.eye(2)[rare.astype(int)]


def test_warns_of_a_label_that_is_harmed_and_not_of_one_that_is_helped():
    rng = np.random.default_rng(0)
    names = ("common", "rare")
    harmed = risk_coverage(*_unfair(rng, 3000, right=False), names=names, patients=_ids(3000), task="multiclass")
    assert len(harmed.warnings) == 1
    assert "raises that of rare" in harmed.warnings[0]
    helped = risk_coverage(*_unfair(rng, 3000, right=True), names=names, patients=_ids(3000), task="multiclass")
    assert helped.warnings == ()
    few = risk_coverage(*_unfair(rng, 20, right=False), names=names, patients=_ids(20), task="multiclass")
    assert not any("raises" in line for line in few.warnings)


def test_warns_of_a_label_that_is_left_to_the_reader_altogether():
    rng = np.random.default_rng(1)
    truth = np.repeat([0, 1], [900, 100])
    top = np.where(truth == 0, 0, rng.integers(2, size=1000))
    sure = np.where(truth == 0, rng.uniform(0.8, 1, 1000), rng.uniform(0.5, 0.85, 1000))
    p = np.where(np.eye(2)[top] == 1, sure[:, None], 1 - sure[:, None])
    found = risk_coverage(p, np.eye(2)[truth], names=("common", "rare"), patients=_ids(1000), task="multiclass")
    assert any("of rare to them" in line for line in found.warnings)


def test_a_label_without_a_case_has_no_curve_and_no_label_at_all_is_an_error():
    found = risk_coverage(np.array([[0.9, 0.1]]), np.array([[1.0, 0.0]]), names="ab", patients=["1"], task="multiclass")
    assert found.by_label[1] is None
    with pytest.raises(ValueError, match="labelled"):
        risk_coverage(np.array([[0.9, 0.1]]), np.full((1, 2), np.nan), names="ab", patients=["1"], task="multilabel")
