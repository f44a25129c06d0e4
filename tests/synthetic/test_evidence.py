"""The model behind the sample cohort: exact, calibrated, and such that no single modality suffices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score

from medfuse.case import MODALITIES
from medfuse.synthetic.evidence import (
    FINDINGS,
    LABELS,
    PRIOR,
    Categorical,
    Measured,
    draw_findings,
    draw_person,
    of_modality,
    posterior,
)


def brute_force(findings: dict, modalities: tuple[str, ...]) -> np.ndarray:
    """Bayes' theorem written out: one product a label, distributions from scipy."""
    joint = []
    for label in range(len(LABELS)):
        product = PRIOR[label]
        for name, value in findings.items():
            finding = FINDINGS[name]
            if value is None or finding.modality not in modalities:
                continue
            if isinstance(finding, Categorical):
                product *= dict(zip(finding.states, finding.likelihood[label], strict=True))[value]
                continue
            if finding.logarithmic:
                law = stats.lognorm(s=finding.deviation, scale=np.exp(finding.mean[label]))
            else:
                law = stats.norm(finding.mean[label], finding.deviation)
            low = 0.0 if value <= finding.low else law.cdf(value - finding.step / 2)
            high = 1.0 if value >= finding.high else law.cdf(value + finding.step / 2)
            product *= high - low
        joint.append(product)
    return np.array(joint) / sum(joint)


def findings_strategy() -> st.SearchStrategy[dict]:
    values = {}
    for name, finding in FINDINGS.items():
        if isinstance(finding, Categorical):
            known = st.sampled_from(finding.states)
        else:
            centre, spread = float(np.mean(finding.mean)), 2.5 * finding.deviation

            def written(z: float, f: Measured = finding, c: float = centre, s: float = spread) -> float:
                number = np.exp(c + s * z) if f.logarithmic else c + s * z
                return float(np.clip(round(number / f.step) * f.step, f.low, f.high))

            known = st.floats(-1, 1).map(written)
        values[name] = st.none() | known
    return st.fixed_dictionaries(values)


@settings(deadline=None, max_examples=60)
@given(findings_strategy(), st.sets(st.sampled_from(MODALITIES)))
def test_posterior_is_bayes_theorem(findings: dict, modalities: set) -> None:
    exact = posterior(findings, tuple(modalities))
    assert exact.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(exact, brute_force(findings, tuple(modalities)), atol=1e-9)


def test_nothing_known_leaves_the_prior() -> None:
    np.testing.assert_allclose(posterior({}), PRIOR)
    np.testing.assert_allclose(posterior(dict.fromkeys(FINDINGS)), PRIOR)


def test_every_table_is_a_distribution() -> None:
    assert sum(PRIOR) == pytest.approx(1)
    for finding in FINDINGS.values():
        if isinstance(finding, Categorical):
            assert len(finding.likelihood) == len(LABELS)
            for row in finding.likelihood:
                assert len(row) == len(finding.states)
                assert sum(row) == pytest.approx(1)
                assert min(row) > 0
        else:
            assert len(finding.mean) == len(LABELS)


@pytest.mark.parametrize("name", [name for name, finding in FINDINGS.items() if isinstance(finding, Measured)])
def test_the_values_that_can_be_written_exhaust_the_distribution(name: str) -> None:
    finding = FINDINGS[name]
    assert isinstance(finding, Measured)
    values = np.arange(finding.low, finding.high + finding.step / 2, finding.step)
    total = sum(np.exp(finding.log_likelihood(float(value))) for value in values)
    np.testing.assert_allclose(total, 1, atol=1e-6)


@pytest.fixture(scope="module")
def drawn() -> tuple[np.ndarray, list[dict]]:
    rng = np.random.default_rng(5)
    pairs = []
    for _ in range(2000):
        person = draw_person(rng)
        pairs += [draw_findings(person, rng), draw_findings(person, rng)]  # two cases of one patient
    return np.array([label for label, _ in pairs]), [findings for _, findings in pairs]


@pytest.mark.parametrize("modalities", [("image",), ("text",), ("tabular",), MODALITIES])
def test_posterior_is_calibrated(drawn: tuple, modalities: tuple) -> None:
    labels, findings = drawn
    probabilities = np.array([posterior(one, modalities) for one in findings])
    truth = np.eye(len(LABELS))[labels]
    error = np.sqrt(probabilities * (1 - probabilities))
    for low, high in ((0, 0.05), (0.05, 0.2), (0.2, 0.5), (0.5, 0.8), (0.8, 1.01)):
        inside = (probabilities >= low) & (probabilities < high)
        count = inside.sum()
        if count > 50:
            gap = truth[inside].mean() - probabilities[inside].mean()
            # Cases of one patient and labels of one case are not independent: hence the wide margin.
            assert abs(gap) < 4.5 * np.sqrt((error[inside] ** 2).sum()) / count
    np.testing.assert_allclose(probabilities.mean(axis=0), truth.mean(axis=0), atol=0.03)


def test_both_cases_of_a_patient_follow_the_prior(drawn: tuple) -> None:
    labels, _ = drawn
    for visit in (labels[::2], labels[1::2]):
        np.testing.assert_allclose(np.bincount(visit, minlength=5) / len(visit), PRIOR, atol=0.04)


def test_no_single_modality_suffices(drawn: tuple) -> None:
    labels, findings = drawn

    def auroc(*modalities: str) -> float:
        probabilities = np.array([posterior(one, modalities) for one in findings])  # type: ignore[arg-type]
        return float(roc_auc_score(labels, probabilities, multi_class="ovr", average="macro"))

    image, text, tabular, together = auroc("image"), auroc("text"), auroc("tabular"), auroc(*MODALITIES)
    assert 0.94 < together < 0.99
    assert together >= max(image, text) + 0.10
    assert 0.75 < image < 0.85
    assert 0.75 < text < 0.87
    assert 0.65 < tabular < 0.74


def test_every_finding_has_one_modality() -> None:
    assert sorted(name for m in MODALITIES for name in of_modality(m)) == sorted(FINDINGS)
