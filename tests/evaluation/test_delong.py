from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.evaluation.delong import area_influence, clustered_variance, delong, two_sided, wald
from medfuse.evaluation.intervals import bootstrap
from medfuse.evaluation.metrics import Scorer, auroc

N = np.arange(120)
Y = ((N * 7) % 10 < 4).astype(float)
S1 = ((N * 37) % 101 + 30 * Y) / 131
S2 = np.round(((N * 53) % 89 + 12 * Y) / 101, 1)


def test_agrees_with_proc_1_18():
    """In R:

    i <- 0:119; y <- as.integer((i*7) %% 10 < 4)
    s1 <- ((i*37) %% 101 + 30*y)/131; s2 <- round(((i*53) %% 89 + 12*y)/101, 1)
    r1 <- roc(y, s1, direction="<"); r2 <- roc(y, s2, direction="<")
    ci.auc(r1); ci.auc(r2); cov(r1, r2); roc.test(r1, r2, method="delong")
    """
    areas = delong(Y, np.stack([S1, S2]))
    assert areas.value == pytest.approx([0.8013599537, 0.5831886574], abs=1e-9)
    assert areas.interval(0) == pytest.approx((0.7236533918, 0.8790665157), abs=1e-9)
    assert areas.interval(1) == pytest.approx((0.4812873798, 0.6850899350), abs=1e-9)
    assert areas.covariance[0, 1] == pytest.approx(0.0001116178852, abs=1e-12)
    gap, low, high, p = areas.difference(0, 1)
    assert p == pytest.approx(0.0006091866467, abs=1e-12)
    assert gap / ((high - low) / 2 / 1.959963984540054) == pytest.approx(3.427490933, abs=1e-8)


def _clustered(seed, patients=30):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 5, size=patients)
    member = np.repeat(np.arange(patients), sizes)
    own = rng.normal(size=patients)[member]
    truth = (own + rng.normal(size=len(member)) > 0).astype(float)
    scores = np.round(truth + own + rng.normal(size=(2, len(member))), 1)
    return truth, scores, member


def _obuchowski(truth, score, member):
    """Equations 3 to 6 of Obuchowski 1997, cluster by cluster and pair by pair."""
    x, y = score[truth == 1], score[truth == 0]
    kernel = (x[:, None] > y) + (x[:, None] == y) / 2
    area, m, n = kernel.mean(), len(x), len(y)
    v10, v01 = kernel.mean(axis=1), kernel.mean(axis=0)
    gx, gy = member[truth == 1], member[truth == 0]
    clusters = np.unique(member)
    t10 = np.array([v10[gx == g].sum() - (gx == g).sum() * area for g in clusters])
    t01 = np.array([v01[gy == g].sum() - (gy == g).sum() * area for g in clusters])
    i10, i01, i = len(set(gx)), len(set(gy)), len(clusters)
    s10 = i10 / ((i10 - 1) * m) * (t10**2).sum()
    s01 = i01 / ((i01 - 1) * n) * (t01**2).sum()
    s11 = i / (i - 1) * (t10 * t01).sum()
    return s10 / m + s01 / n + 2 * s11 / (m * n)


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 1000))
def test_clustered_variance_is_obuchowskis(seed):
    truth, scores, member = _clustered(seed)
    areas = delong(truth, scores, patients=[f"p{g}" for g in member])
    assert areas.value == pytest.approx([auroc(truth[:, None], _squash(s)[:, None])[0] for s in scores], abs=1e-12)
    for model in (0, 1):
        assert areas.covariance[model, model] == pytest.approx(_obuchowski(truth, scores[model], member), rel=1e-9)
    np.testing.assert_allclose(areas.covariance, areas.covariance.T)


def _squash(scores):
    return 1 / (1 + np.exp(-scores))


def test_clustered_variance_agrees_with_the_bootstrap_of_patients():
    truth, scores, member = _clustered(3, patients=150)
    patients = [str(g) for g in member]
    drawn = bootstrap(Scorer(truth=truth[:, None], probability=_squash(scores[0])[:, None]), patients=patients)
    deviation = np.sqrt(delong(truth, scores, patients=patients).covariance[0, 0])
    assert deviation == pytest.approx(drawn["auroc"].std(), rel=0.08)


def test_copies_of_a_patients_case_tell_nothing_new():
    single = delong(Y, S1, patients=[str(i) for i in N])
    copied = delong(Y.repeat(4), S1.repeat(4), patients=[str(i) for i in N.repeat(4)])
    np.testing.assert_allclose(copied.covariance, single.covariance)
    assert delong(Y.repeat(4), S1.repeat(4)).covariance[0, 0] < 0.3 * single.covariance[0, 0]


def test_influence_gives_the_same_variance_up_to_its_small_sample_factor():
    truth, scores, member = _clustered(4, patients=200)
    value, influence = area_influence(truth[:, None], _squash(scores[0])[:, None])
    areas = delong(truth, scores[0], patients=[str(g) for g in member])
    assert value[0] == pytest.approx(areas.value[0])
    assert clustered_variance(influence[:, 0], member) == pytest.approx(areas.covariance[0, 0], rel=0.01)
    assert influence.sum() == pytest.approx(0, abs=1e-12)


def test_what_cannot_be_known_is_nan_and_not_a_number():
    for truth in (np.ones(5), np.zeros(5), np.full(5, np.nan)):
        areas = delong(truth, np.linspace(0, 1, 5))
        assert np.isnan(areas.value).all()
        assert np.isnan(areas.interval()).all()
        assert np.isnan(areas.difference(0, 0)).all()
    perfect = delong([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert perfect.value[0] == 1
    assert np.isnan(perfect.interval()).all()  # no spread was seen, so none can be told
    alone = delong([0, 1, 0, 1], [0.1, 0.2, 0.3, 0.4], patients=["a"] * 4)
    assert alone.value[0] == 0.75
    assert np.isnan(alone.covariance).all()
    value, influence = area_influence(np.array([[1.0], [np.nan]]), np.array([[0.2], [0.4]]))
    assert np.isnan(value[0])
    assert (influence == 0).all()
    assert np.isnan(clustered_variance(np.zeros(2), ["a", "a"]))


def test_equal_models_do_not_differ():
    areas = delong(Y, np.stack([S1, S1]))
    assert areas.difference() == pytest.approx((0, 0, 0, 1), abs=1e-9)
    assert two_sided(0.1, 0.0) == 0.0
    assert wald(0.5, 0.01) == pytest.approx((0.304, 0.696), abs=1e-3)
