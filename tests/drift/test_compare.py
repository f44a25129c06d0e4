from __future__ import annotations

import math

import numpy as np
import pytest

from medfuse.drift import Reference, compare
from medfuse.drift.compare import discrepancy, stability

NAMES = ("a", "b", "c")


def _cases(rng, n, *, age=60.0, sharp=1.0, missing=0.1, wrong=False):
    z = rng.normal(size=(n, 3)) * sharp
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    truth = (p.cumsum(axis=1) > rng.random((n, 1))).argmax(axis=1)
    labels = np.eye(3)[(truth + wrong) % 3] if wrong else np.eye(3)[truth]
    facts = [
        {
            "modalities": "image+text" if rng.random() > missing else "text",
            "age": None if rng.random() < 0.1 else float(rng.normal(age, 10)),
            "sex": "FM"[rng.integers(2)],
        }
        for _ in range(n)
    ]
    return facts, p, labels


def _drifted(checks):
    return {(check.kind, check.what) for check in checks if check.drift}


def test_nothing_is_found_where_nothing_changed_but_once_in_twenty():
    rng = np.random.default_rng(0)
    alarms = 0
    for seed in range(40):
        reference = Reference.of(*_cases(rng, 100)[:2])
        alarms += bool(_drifted(compare(reference, *_cases(rng, 80), names=NAMES, seed=seed)))
    assert alarms <= 5  # P(X > 5) = 3 % for Binomial(40, 0.05)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({"age": 85.0}, ("input", "age")),
        ({"missing": 0.6}, ("input", "modalities")),
        ({"sharp": 5.0}, ("output", "all labels together")),
        ({"wrong": True, "sharp": 1.0}, None),
    ],
)
def test_what_changed_is_named(change, found):
    rng = np.random.default_rng(1)
    reference = Reference.of(*_cases(rng, 200)[:2])
    drifted = _drifted(compare(reference, *_cases(rng, 150, **change), names=NAMES))
    if found is not None:
        assert found in drifted
        assert {kind for kind, _ in drifted} == {found[0]}
    else:
        assert not {kind for kind, _ in drifted} & {"input", "output"}


def test_labels_that_came_to_be_more_common_are_a_calibration_that_no_longer_holds():
    rng = np.random.default_rng(2)
    reference = Reference.of(*_cases(rng, 200)[:2])
    facts, p, labels = _cases(rng, 300)
    labels[:90] = [1.0, 0.0, 0.0]
    drifted = _drifted(compare(reference, facts, p, labels, names=NAMES))
    assert ("calibration", "a") in drifted
    assert {kind for kind, _ in drifted} == {"calibration"}
    assert not any(
        check.kind == "calibration" for check in compare(reference, facts, p, np.full_like(p, np.nan), names=NAMES)
    )


def test_stability_by_hand():
    """Of 1 and 3 cases with half a case more in each bin: (1.5, 3.5) / 5 and the reverse."""
    assert stability(np.array([[1, 3]]), np.array([[3, 1]]))[0] == pytest.approx(2 * 0.4 * math.log(3.5 / 1.5))


def test_discrepancy_is_its_formula_and_its_p_value_is_uniform():
    rng = np.random.default_rng(3)
    x, y = rng.normal(size=(5, 2)), rng.normal(size=(7, 2)) + 1
    both = np.vstack([x, y])
    pairs = [((a - b) ** 2).sum() for a in both for b in both]
    width = np.median([d for d in pairs if d > 0])

    def kernel(a, b):
        return np.mean([math.exp(-((i - j) ** 2).sum() / (2 * width)) for i in a for j in b])

    value, _ = discrepancy(x, y, rng)
    assert value == pytest.approx(kernel(x, x) + kernel(y, y) - 2 * kernel(x, y))
    chances = [discrepancy(rng.random((20, 2)), rng.random((30, 2)), rng, draws=99)[1] for _ in range(200)]
    assert np.mean(np.array(chances) <= 0.1) == pytest.approx(0.1, abs=0.06)
    assert discrepancy(rng.random((20, 2)), rng.random((30, 2)) + 1, rng, draws=99)[1] == 0.01
