from __future__ import annotations

import numpy as np
import pytest

from medfuse.calibration.thresholds import fixed_thresholds, youden_threshold


def test_agrees_with_proc_1_18():
    """In R:

    i <- 0:119; y <- as.integer((i*7) %% 10 < 4); s <- ((i*37) %% 101 + 30*y)/131
    coords(roc(y, s, direction="<"), "best", best.method="youden")
    """
    i = np.arange(120)
    y = (i * 7) % 10 < 4
    assert youden_threshold(y, ((i * 37) % 101 + 30 * y) / 131) == pytest.approx(0.4389312977, abs=1e-9)


def test_is_the_best_that_any_threshold_does():
    rng = np.random.default_rng(0)
    said = np.round(rng.random(60), 1)
    answer = rng.random(60) < said
    found = youden_threshold(answer, said)

    def index(threshold):
        return (said[answer] >= threshold).mean() - (said[~answer] >= threshold).mean()

    assert index(found) == pytest.approx(max(index(t) for t in np.linspace(0, 1, 101)))


def test_what_cannot_be_chosen_is_none():
    for answer in ([True, True], [False, False], [True, False]):
        assert youden_threshold(np.array(answer), np.array([0.3, 0.3])) is None
    truth = np.array([[1, np.nan], [0, np.nan], [np.nan, 1]])
    found = fixed_thresholds(
        probability=np.array([[0.8, 0.1], [0.2, 0.1], [0.9, 0.7]]), truth=truth, labels=("a", "b"), source="here"
    )
    assert found["by_label"]["a"] == {"threshold": 0.5, "n_positive": 1, "n_negative": 1}
    assert found["by_label"]["b"] == {"threshold": None, "n_positive": 1, "n_negative": 0}
