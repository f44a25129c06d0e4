from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from medfuse.case import Note
from medfuse.evaluation.alterations import SHUFFLES, Alteration, _donors, alterations, probabilities_of
from medfuse.inference import Predictor


@pytest.fixture(scope="module")
def encoded(tiny_bundle, tiny_cohort):
    predictor = Predictor.load(tiny_bundle)
    cases = list(tiny_cohort.in_split("test"))
    cases[0] = replace(cases[0], scans=())
    cases[1] = replace(cases[1], notes=(Note(text="INDICATION: cough.\nHISTORY: fever and cough."),))
    return predictor, list(predictor.encoder.stream(cases))


def test_unaltered_cases_have_the_probabilities_of_the_predictor(encoded):
    predictor, block = encoded
    ((_, _, theirs),) = predictor.probabilities([one.case for one in block[:16]])
    np.testing.assert_allclose(probabilities_of(predictor, [one.parts for one in block[:16]]), theirs[-1], atol=1e-6)


def test_what_is_altered_and_for_whom(encoded):
    predictor, block = encoded
    found = {what: (rows, said) for what, rows, said in alterations(predictor, block, seed=0)}
    kinds = {(what.kind, what.what) for what in found}
    assert {("shuffled", "image"), ("noise", "image"), ("shuffled", "text"), ("noise", "text")} <= kinds
    assert ("section removed", "FINDINGS") not in kinds  # excluded sections are not read in the first place
    rows, said = found[Alteration("shuffled", "image")]
    assert rows == list(range(1, len(block)))  # the first case has no image and gets none
    assert said.shape == (SHUFFLES, len(rows), 3)
    np.testing.assert_allclose(said.sum(axis=-1), 1, atol=1e-6)
    assert found[Alteration("section removed", "INDICATION")][0] == [1]
    assert not np.allclose(said[0], said[1])


def test_the_same_seed_alters_alike(encoded):
    predictor, block = encoded
    one, other = (list(alterations(predictor, block, seed=1)) for _ in range(2))
    for (what, rows, said), (what2, rows2, said2) in zip(one, other, strict=True):
        assert (what, rows) == (what2, rows2)
        np.testing.assert_array_equal(said, said2)


def test_a_single_patient_has_no_one_to_trade_with(encoded):
    predictor, block = encoded
    alone = [replace(one, case=replace(one.case, patient_id="p")) for one in block[1:4]]
    assert "shuffled" not in {what.kind for what, _, _ in alterations(predictor, alone, seed=0)}


@pytest.mark.parametrize("patients", [list("aabbcc"), list("abcdef"), list("aaaabbbb"), list("ab") * 10])
def test_donors_are_other_patients(patients):
    for seed in range(20):
        order = _donors(patients, np.random.default_rng(seed))
        assert sorted(order) == list(range(len(patients)))
        assert all(patients[donor] != patient for donor, patient in zip(order, patients, strict=True))
