from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as some
from sklearn.metrics import confusion_matrix

from medfuse.case import Case
from medfuse.cohort import Cohort
from medfuse.errors import MedfuseError
from medfuse.review.consequences import consequences, held_out


@given(some.lists(some.tuples(some.floats(0, 1), some.booleans()), min_size=1), some.floats(0, 1))
def test_the_counts_are_those_of_scikit_learn(pairs: list[tuple[float, bool]], threshold: float) -> None:
    probability, truth = (np.array(one) for one in zip(*pairs, strict=True))
    found = consequences(probability, truth, threshold=threshold)
    (cleared, alarms), (missed, hit) = confusion_matrix(truth, probability >= threshold, labels=[False, True])
    got = (found.cleared, found.false_alarms, found.missed, found.found)
    assert got == pytest.approx([1000 * one / len(pairs) for one in (cleared, alarms, missed, hit)])
    assert sum(got) == pytest.approx(1000)


def test_only_cases_whose_truth_is_known_count(tmp_path: Path) -> None:
    table = pd.DataFrame({"case_id": ["a", "b", "c", "d"], "p_x": [0.9, 0.2, 0.5, np.nan]})
    table.to_parquet(tmp_path / "predictions.parquet")
    cases = tuple(Case(one, one, labels={"x": value}) for one, value in (("a", 1), ("b", 0), ("c", None), ("d", 1)))
    cohort = Cohort(folder=tmp_path, name="x", cases=cases, labels=("x",), task="multilabel")
    probability, truth = held_out(tmp_path, cohort, "x")
    assert (probability.tolist(), truth.tolist()) == ([0.9, 0.2], [True, False])
    found = consequences(probability, truth, threshold=0.5)
    assert (found.sensitivity, found.specificity) == (1, 1)
    with pytest.raises(MedfuseError, match="no probabilities of 'y'"):
        held_out(tmp_path, cohort, "y")
