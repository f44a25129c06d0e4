from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from medfuse.case import Case, Note
from medfuse.cohort import Cohort
from medfuse.errors import MedfuseError
from medfuse.explain import WhatIf, without
from medfuse.inference import Predictor


@pytest.fixture(scope="module", params=["attentive", "experts"])
def predictor(request: pytest.FixtureRequest) -> Predictor:
    found: Predictor = request.getfixturevalue(request.param)
    return found


def test_the_parts_are_what_the_model_reads(predictor: Predictor, case: Case) -> None:
    parts = WhatIf(predictor, case).parts
    assert [part.key for part in parts] == [
        "scan:0", "scan:1", "note:0", "section:0:0", "section:0:1", "section:0:4", "note:1", "section:1:0",
        "value:age", "value:sex",
    ]  # fmt: skip
    assert [part.name for part in parts if part.kind == "section"] == [
        "without a header", "HISTORY", "MEDICATIONS", "HISTORY",
    ]  # fmt: skip


def test_nothing_left_out_is_the_prediction(predictor: Predictor, case: Case) -> None:
    assert WhatIf(predictor, case).without(()) == pytest.approx(dict(predictor.classify(case).probabilities), abs=1e-6)


def by_hand(case: Case, key: str) -> Case:
    """The case without a part, made without the code under test."""
    kind, _, rest = key.partition(":")
    if kind == "scan":
        return replace(case, scans=tuple(s for n, s in enumerate(case.scans) if n != int(rest)))
    if kind == "note":
        return replace(case, notes=tuple(n for place, n in enumerate(case.notes) if place != int(rest)))
    if kind == "value":
        return replace(case, values={name: v for name, v in case.values.items() if name != rest})
    left = {
        "0:0": "HISTORY: fever and cough, day 3.\nMEDICATIONS: aspirin.",
        "0:1": "Walked in.\nMEDICATIONS: aspirin.",
        "0:4": "Walked in.\nHISTORY: fever and cough, day 3.",
    }
    if rest == "1:0":
        return replace(case, notes=case.notes[:1])
    return replace(case, notes=(Note(text=left[rest]), *case.notes[1:]))


@pytest.mark.parametrize(
    "key",
    ["scan:0", "scan:1", "note:0", "note:1", "section:0:0", "section:0:1", "section:0:4", "section:1:0", "value:age"],
)
def test_a_part_left_out_is_a_case_without_it(predictor: Predictor, case: Case, key: str) -> None:
    variants = WhatIf(predictor, case)
    found = variants.without({key})
    assert found == pytest.approx(dict(predictor.classify(by_hand(case, key)).probabilities), abs=1e-5)
    assert found == pytest.approx(dict(predictor.classify(without(variants, {key})).probabilities), abs=1e-5)
    assert found != pytest.approx(variants.without(()), abs=1e-7)


def test_all_left_out_is_the_prior(predictor: Predictor, case: Case) -> None:
    variants = WhatIf(predictor, case)
    nothing = next(predictor.probabilities([case]))[2][0, 0]
    assert list(variants.without({part.key for part in variants.parts}).values()) == pytest.approx(nothing, abs=1e-6)


def test_variants_of_different_presence_in_one_batch_do_not_touch_one_another(predictor: Predictor, case: Case) -> None:
    variants = WhatIf(predictor, case)
    keys = [{part.key} for part in variants.parts] + [{"scan:0", "scan:1"}, {"note:0", "note:1"}]
    alone = np.array([list(WhatIf(predictor, case).without(left_out).values()) for left_out in keys])
    assert variants.probabilities(keys) == pytest.approx(alone, abs=1e-6)


def test_a_scan_beyond_the_limit_takes_the_place_of_one_left_out(predictor: Predictor, tiny_cohort: Cohort) -> None:
    scans = tuple(case.scans[0] for case in tiny_cohort.cases[:5])
    case = replace(tiny_cohort.cases[0], scans=scans)
    variants = WhatIf(predictor, case)
    assert len(variants.scans()) == 4
    expected = predictor.classify(replace(case, scans=scans[1:])).probabilities
    assert variants.without({"scan:0"}) == pytest.approx(dict(expected), abs=1e-5)


def test_an_unknown_part_is_refused(predictor: Predictor, case: Case) -> None:
    with pytest.raises(MedfuseError, match="no part 'scan:7'"):
        WhatIf(predictor, case).without({"scan:7"})


def test_files_that_cannot_be_read_cost_only_themselves(predictor: Predictor, case: Case, tmp_path: Path) -> None:
    (tmp_path / "page.png").write_text("<html>")
    broken = replace(
        case,
        scans=(replace(case.scans[0], path=tmp_path / "page.png"), case.scans[1]),
        notes=(Note(tmp_path / "gone.txt"), case.notes[1]),
    )
    variants = WhatIf(predictor, broken)
    assert variants.without(()) == pytest.approx(dict(predictor.classify(broken).probabilities), abs=1e-5)
    assert variants.scans() == (1,)
    assert [part.key for part in variants.parts if part.modality == "text"] == ["note:1", "section:1:0"]
    assert len(variants.warnings) == 2
