from __future__ import annotations

import numpy as np
import pytest

from medfuse.calibration import CALIBRATORS
from medfuse.calibration.transfer import transfer
from tests.calibration.drawn import drawn, softmax

FEW = {name: CALIBRATORS[name] for name in ("temperature", "bias_corrected_temperature")}


def _transfer(n, **kinds):
    logits, labels = drawn("multiclass", n=n, **kinds)
    old = np.log(softmax(logits))  # right for weight 1 and no bias
    return transfer(FEW, old, logits, labels, task="multiclass", patients=[str(i) for i in range(n)])


def test_a_site_where_a_label_is_far_more_common_gains():
    found = _transfer(200, bias=[2.5, 0.0, 0.0, -1.5])
    assert found.better
    assert found.gain == pytest.approx(found.old - found.new)
    assert found.gain > 3 * found.error
    assert found.enough is not None
    assert found.enough <= 60
    assert list(found.curve) == [10, 15, 20, 30, 40, 60, 80, 120, 160]
    assert found.curve[160] > found.curve[10]


def test_the_same_site_does_not_gain():
    """By a fit on the very same cases every one of these would gain."""
    assert sum(_transfer(60, seed=seed).better for seed in range(10)) <= 2
    found = _transfer(60)
    assert found.gain < 0.01


def test_too_few_patients_say_nothing():
    found = _transfer(9)
    assert (found.new, found.better, found.enough) == (None, False, None)
    assert found.to_dict()["patients"] == 9
