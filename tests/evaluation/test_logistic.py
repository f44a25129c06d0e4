from __future__ import annotations

import numpy as np
import pytest

from medfuse.evaluation.logistic import fit_logistic


def test_agrees_with_statsmodels():
    import statsmodels.api as sm

    rng = np.random.default_rng(0)
    inputs = np.column_stack([np.ones(300), rng.normal(size=300)])
    member, offset = np.arange(300) // 3, rng.normal(size=300)
    answer = (rng.random(300) < 1 / (1 + np.exp(-inputs @ [0.3, 1.2] - offset))).astype(float)
    theirs = sm.GLM(answer, inputs, family=sm.families.Binomial(), offset=offset).fit(
        cov_type="cluster", cov_kwds={"groups": member}
    )
    ours = fit_logistic(inputs, answer, member=member, offset=offset)
    np.testing.assert_allclose(ours.coefficient, theirs.params, atol=1e-8)
    np.testing.assert_allclose(ours.covariance, theirs.cov_params(), rtol=1e-6)


@pytest.mark.parametrize(
    ("answer", "member"),
    [
        ([0, 0, 0, 0, 0, 0], [0, 1, 2, 3, 4, 5]),  # one class alone
        ([0, 0, 0, 1, 1, 1], [0, 1, 2, 3, 4, 5]),  # separated
        ([0, 1, 0, 1, 0, 1], [0, 0, 0, 0, 0, 0]),  # one patient
    ],
)
def test_no_finite_answer_is_none(answer, member):
    inputs = np.column_stack([np.ones(6), np.arange(6.0)])
    assert fit_logistic(inputs, np.array(answer, dtype=float), member=np.array(member)) is None


def test_a_column_that_says_nothing_new_is_none():
    assert fit_logistic(np.ones((6, 2)), np.array([0, 1, 0, 1, 0, 1.0]), member=np.arange(6)) is None
