from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medfuse.bundle import Bundle
from medfuse.cohort import Cohort
from medfuse.errors import CohortError
from medfuse.inference import Predictor
from medfuse.recalibration import recalibrate
from tests.conftest import LABELS, make_tiny


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    """Inputs of the same kind of other patients, nine of ten labelled `clear`: whatever the model says is too much."""
    made = make_tiny(tmp_path_factory.mktemp("elsewhere") / "cohort", seed=1)
    rng = np.random.default_rng(0)
    cases = []
    for case in made.cases:
        label = "clear" if rng.random() < 0.9 else next(name for name, value in case.labels.items() if value)
        labels = {name: int(name == label) for name in LABELS}
        cases.append(replace(case, patient_id=f"other-{case.case_id}", split=None, labels=labels))
    return replace(made, cases=tuple(cases), name="elsewhere")


def test_another_site_is_calibrated_and_the_old_calibration_kept(
    tiny_bundle: Path, elsewhere: Cohort, token_cache: Path, tmp_path: Path
) -> None:
    before = Bundle.load(tiny_bundle)
    found = recalibrate(before, elsewhere, cache=token_cache)
    assert found.bundle is not None
    assert found.transfer.gain > 0
    after = Bundle.load(found.bundle.save(tmp_path / "new"))
    assert after.digest != before.digest
    assert after.calibration.previous is not None
    assert after.calibration.previous["calibrator"] == before.calibrator.to_dict()
    assert after.calibration.previous["bundle"] == before.digest
    assert after.calibrator.fitted_on_ == len(elsewhere.cases)
    assert after.split_of("other-c0") == "calibration"
    assert after.split_of(next(iter(before.seen["train"]))) is None
    assert after.reference is not None
    assert after.reference.cases == len(elsewhere.cases)
    assert "another site" in (tmp_path / "new" / "MODEL_CARD.md").read_text()
    for old, new in zip(before.model.state_dict().values(), after.model.state_dict().values(), strict=True):
        assert bool((old == new).all())

    def clear(bundle: Bundle) -> float:
        predictions = Predictor(bundle).stream(elsewhere.cases[:12])
        return float(np.mean([prediction.probabilities["clear"] for prediction in predictions]))

    assert clear(after) > clear(before)


def test_too_few_cases_leave_the_bundle_as_it_is(tiny_bundle: Path, elsewhere: Cohort, token_cache: Path) -> None:
    found = recalibrate(tiny_bundle, replace(elsewhere, cases=elsewhere.cases[:8]), cache=token_cache)
    assert found.bundle is None
    assert "8 cases of 8 patients are too few" in found.verdict


def test_patients_of_training_are_refused(
    tiny_bundle: Path, tiny_cohort: Cohort, elsewhere: Cohort, token_cache: Path
) -> None:
    mixed = replace(elsewhere.cases[0], patient_id=tiny_cohort.in_split("train")[0].patient_id)
    with pytest.raises(CohortError, match=r"1 of 48 patients were seen"):
        recalibrate(tiny_bundle, replace(elsewhere, cases=(mixed, *elsewhere.cases[1:])))
    copied = replace(elsewhere.cases[0], scans=tiny_cohort.in_split("train")[0].scans)
    with pytest.raises(CohortError, match=r"1 of 48 cases hold a scan or note"):
        recalibrate(tiny_bundle, replace(elsewhere, cases=(copied, *elsewhere.cases[1:])), cache=token_cache)
    blank = tuple(replace(case, labels=dict.fromkeys(LABELS)) for case in elsewhere.cases)
    with pytest.raises(CohortError, match="no labelled case"):
        recalibrate(tiny_bundle, replace(elsewhere, cases=blank))
