from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.evaluation.metrics import (
    METRICS,
    Scorer,
    auprc,
    auroc,
    brier,
    calibrated_ece,
    categorical_log_loss,
    ece,
    log_loss,
)


def _cases(*, seed, n=200, labels=3, levels=None, blanks=0.0):
    """Truth, probability (of `levels` distinct values, so with ties) and integer weights."""
    rng = np.random.default_rng(seed)
    probability = rng.random((n, labels))
    if levels:
        probability = np.round(probability * levels) / levels
    truth = (rng.random((n, labels)) < probability).astype(float)
    truth[rng.random((n, labels)) < blanks] = np.nan
    return truth, probability, rng.integers(0, 4, size=n).astype(float)


@pytest.mark.parametrize("levels", [None, 7])
@pytest.mark.parametrize("weighted", [False, True])
def test_agrees_with_scikit_learn(levels, weighted):
    from sklearn import metrics

    truth, probability, weight = _cases(seed=1, levels=levels)
    weight = weight if weighted else None
    for c in range(truth.shape[1]):
        y, p = truth[:, c], probability[:, c]
        pairs = [
            (auroc, metrics.roc_auc_score(y, p, sample_weight=weight)),
            (auprc, metrics.average_precision_score(y, p, sample_weight=weight)),
            (brier, metrics.brier_score_loss(y, p, sample_weight=weight)),
            (log_loss, metrics.log_loss(y, p, sample_weight=weight)),
        ]
        for ours, theirs in pairs:
            assert ours(truth, probability, weight)[c] == pytest.approx(theirs, abs=1e-12), ours.__name__


def test_categorical_log_loss_agrees_with_scikit_learn():
    from sklearn import metrics

    rng = np.random.default_rng(2)
    probability = rng.dirichlet([1, 2, 3], size=150)
    chosen = rng.integers(3, size=150)
    weight = rng.random(150)
    theirs = metrics.log_loss(chosen, probability, sample_weight=weight)
    assert categorical_log_loss(np.eye(3)[chosen], probability, weight) == pytest.approx(theirs, abs=1e-12)


def test_ece_agrees_with_the_quantile_calibration_curve_of_scikit_learn():
    from sklearn.calibration import calibration_curve

    truth, probability, _ = _cases(seed=3, n=300, labels=1)
    observed, said = calibration_curve(truth[:, 0], probability[:, 0], n_bins=10, strategy="quantile")
    assert ece(truth, probability)[0] == pytest.approx(np.abs(observed - said).mean(), abs=1e-12)


def test_worked_examples():
    truth = np.array([[1.0], [0], [1], [0]])
    probability = np.array([[0.9], [0.1], [0.4], [0.4]])
    # Pairs of a positive and a negative: 0.9 beats both, 0.4 beats 0.1 and ties 0.4: 3.5 of 4.
    assert auroc(truth, probability)[0] == 0.875
    # Recall rises to ½ at 0.9 with precision 1, then to 1 at 0.4 with precision ⅔.
    assert auprc(truth, probability)[0] == pytest.approx(1 / 2 + 1 / 2 * 2 / 3)
    assert brier(truth, probability)[0] == pytest.approx((0.01 + 0.01 + 0.36 + 0.16) / 4)
    assert log_loss(truth, probability)[0] == pytest.approx(-np.log([0.9, 0.9, 0.4, 0.6]).mean())
    # Three bins, since equal probabilities are not parted: 0.1 off by 0.1, twice 0.4 off by 0.1, 0.9 off by 0.1.
    assert ece(truth, probability)[0] == pytest.approx(0.1)


def test_ece_of_one_probability_is_its_distance_from_the_prevalence():
    truth = np.array([[1.0]] * 3 + [[0.0]] * 17)
    assert ece(truth, np.full((20, 1), 0.4))[0] == pytest.approx(0.25)


def test_bins_hold_equally_many_cases_and_never_part_ties():
    truth, probability, _ = _cases(seed=4, n=200, labels=1)
    (bins,) = Scorer(truth=truth, probability=probability).bins()
    assert bins[:, 2].tolist() == [20] * 10
    assert (np.diff(bins[:, 0]) > 0).all()
    (bins,) = Scorer(truth=truth, probability=np.round(probability, 1)).bins()
    values, counts = np.unique(np.round(probability, 1), return_counts=True)
    assert bins[:, 2].sum() == 200
    edges = np.cumsum(bins[:, 2])
    assert set(edges) <= set(np.cumsum(counts)), values


def test_a_probability_of_zero_that_comes_true_costs_a_finite_amount():
    assert np.isfinite(log_loss(np.array([[1.0], [0.0]]), np.array([[0.0], [1.0]]))[0])
    assert np.isfinite(categorical_log_loss(np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])))


@pytest.mark.parametrize("only", [0.0, 1.0])
def test_one_class_alone_leaves_ranks_undefined_and_warns_of_nothing(only):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scored = Scorer(truth=np.full((5, 1), only), probability=np.linspace(0, 1, 5)[:, None])()
    assert np.isnan(scored["auroc"][0])
    assert np.isnan(scored["auprc"][0])
    assert not any(np.isnan(scored[name][0]) for name in ("brier", "ece", "log_loss"))


def test_nothing_known_is_undefined_throughout():
    blank = np.full((4, 2), np.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scored = Scorer(truth=blank, probability=np.full((4, 2), 0.3))(np.ones((3, 4)))
        assert all(np.isnan(scored[name]).all() and scored[name].shape == (3, 2) for name in METRICS)
        assert np.isnan(categorical_log_loss(blank, np.full((4, 2), 0.3)))
        none = Scorer(truth=np.empty((0, 2)), probability=np.empty((0, 2)))()
    assert np.isnan(none["brier"]).all()


def test_a_weight_of_zero_for_a_class_leaves_that_draw_undefined_only():
    truth, probability = np.array([[1.0], [0.0], [0.0]]), np.array([[0.8], [0.3], [0.9]])
    values = auroc(truth, probability, np.array([[0, 1, 1], [1, 1, 0], [1, 1, 1]]))
    assert np.isnan(values[0, 0])
    assert values[1:, 0].tolist() == [1.0, 0.5]


@pytest.mark.parametrize(
    ("truth", "probability"),
    [
        ([[1.0]], [[0.2, 0.8]]),
        ([1.0, 0.0], [0.2, 0.8]),
        ([[2.0]], [[0.5]]),
        ([[1.0]], [[1.5]]),
        ([[1.0]], [[float("nan")]]),
    ],
)
def test_wrong_input_is_refused(truth, probability):
    with pytest.raises(ValueError, match=r"truth|probability"):
        Scorer(truth=truth, probability=probability)


def test_weights_of_another_length_are_refused():
    with pytest.raises(ValueError, match="weights"):
        Scorer(truth=np.eye(3), probability=np.eye(3))(np.ones(4))


seeds = st.integers(0, 2**32 - 1)


@settings(deadline=None, max_examples=40)
@given(seed=seeds, levels=st.sampled_from([None, 2, 5]), blanks=st.sampled_from([0.0, 0.3]), n=st.integers(2, 40))
def test_a_whole_weight_is_a_case_repeated(seed, levels, blanks, n):
    truth, probability, weight = _cases(seed=seed, n=n, levels=levels, blanks=blanks)
    weighted = Scorer(truth=truth, probability=probability)(weight)
    times = weight.astype(int)
    repeated = Scorer(truth=truth.repeat(times, axis=0), probability=probability.repeat(times, axis=0))()
    for name in METRICS:
        if name != "ece":  # its bins are those of the cases as given
            np.testing.assert_allclose(weighted[name], repeated[name], atol=1e-12, err_msg=name)
    # Where every case is repeated alike the bins are the same too.
    thrice = Scorer(truth=truth.repeat(3, axis=0), probability=probability.repeat(3, axis=0))()
    np.testing.assert_allclose(ece(truth, probability, np.full(n, 3.0)), thrice["ece"], atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(seed=seeds, levels=st.sampled_from([None, 3]), n=st.integers(2, 40))
def test_many_draws_at_once_are_each_draw_by_itself(seed, levels, n):
    truth, probability, _ = _cases(seed=seed, n=n, levels=levels, blanks=0.2)
    weights = np.random.default_rng(seed).integers(0, 3, size=(4, n)).astype(float)
    scorer = Scorer(truth=truth, probability=probability)
    together = scorer(weights)
    for row, weight in enumerate(weights):
        for name, values in scorer(weight).items():
            np.testing.assert_allclose(together[name][row], values, atol=1e-12, err_msg=name)


@settings(deadline=None, max_examples=40)
@given(seed=seeds, levels=st.sampled_from([None, 4]), n=st.integers(3, 40))
def test_invariances(seed, levels, n):
    truth, probability, _ = _cases(seed=seed, n=n, levels=levels)
    before = Scorer(truth=truth, probability=probability)()
    shuffle = np.random.default_rng(seed).permutation(n)
    shuffled = Scorer(truth=truth[shuffle], probability=probability[shuffle])()
    for name in METRICS:  # the order of cases is nothing
        np.testing.assert_allclose(before[name], shuffled[name], atol=1e-12, err_msg=name)
    monotone = Scorer(truth=truth, probability=probability / 4 + 0.5)()
    for name in ("auroc", "auprc"):  # only ranks count
        np.testing.assert_allclose(before[name], monotone[name], atol=1e-12, err_msg=name)
    mirrored = auroc(truth, 0.75 - probability / 4)
    np.testing.assert_allclose(before["auroc"], 1 - mirrored, atol=1e-12)
    swapped = auroc(1 - truth, probability)
    np.testing.assert_allclose(before["auroc"], 1 - swapped, atol=1e-12)
    flat = auroc(truth, np.full_like(probability, 0.3))
    assert ((flat == 0.5) | np.isnan(flat)).all()
    assert all(((values >= 0) | np.isnan(values)).all() for values in before.values())


@settings(deadline=None, max_examples=40)
@given(seed=seeds, n=st.integers(2, 40))
def test_a_blank_truth_is_a_case_that_is_not_there(seed, n):
    truth, probability, _ = _cases(seed=seed, n=n, labels=1, levels=5, blanks=0.4)
    known = ~np.isnan(truth[:, 0])
    masked = Scorer(truth=truth, probability=probability)()
    removed = Scorer(truth=truth[known], probability=probability[known])()
    for name in METRICS:
        np.testing.assert_array_equal(masked[name], removed[name], err_msg=name)


@pytest.mark.parametrize("exclusive", [True, False])
def test_chance_level_of_ece_is_what_calibrated_models_show(exclusive):
    rng = np.random.default_rng(5)
    probability = rng.dirichlet([0.5] * 4, size=120)
    chance = calibrated_ece(truth=np.zeros((120, 4)), probability=probability, exclusive=exclusive, draws=300, seed=1)
    shown = []
    for _ in range(300):
        if exclusive:
            truth = np.array([rng.multinomial(1, row) for row in probability], dtype=float)
        else:
            truth = (rng.random((120, 4)) < probability).astype(float)
        shown.append(ece(truth, probability).mean())
    assert chance.mean() == pytest.approx(np.mean(shown), abs=0.004)
    assert np.quantile(chance, 0.975) == pytest.approx(np.quantile(shown, 0.975), abs=0.008)


def test_sensitivity_at_fixed_specificity_agrees_with_proc_1_18():
    """In R: i <- 0:119; y <- as.integer((i*7) %% 10 < 4); s <- ((i*37) %% 101 + 30*y)/131.

    a <- coords(roc(y, s, direction="<"), "all"); max(a$sensitivity[a$specificity >= 0.9])
    """
    i = np.arange(120)
    y = ((i * 7) % 10 < 4).astype(float)
    scored = Scorer(truth=y[:, None], probability=((i * 37) % 101 + 30 * y)[:, None] / 131)()
    assert scored["sensitivity_at_specificity"][0] == pytest.approx(0.4791666667)
