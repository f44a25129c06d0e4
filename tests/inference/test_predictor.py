from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import medfuse
from medfuse.case import Note, Scan
from medfuse.cohort import Cohort
from medfuse.errors import MedfuseError
from medfuse.inference import Predictor, write_predictions
from medfuse.inference.predictor import shapley


@pytest.fixture(scope="module")
def predictor(tiny_bundle: Path) -> Predictor:
    return medfuse.Predictor.load(tiny_bundle)


def test_probabilities_and_contributions_add_up(predictor: Predictor, tiny_cohort: Cohort) -> None:
    case = tiny_cohort.cases[0]
    prediction = predictor.classify(case)
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert prediction.modalities == ("image", "text", "tabular")
    nothing = next(predictor.probabilities([case]))[2][0, 0]
    top = max(range(3), key=lambda c: list(prediction.probabilities.values())[c])
    expected = max(prediction.probabilities.values()) - nothing[top]
    assert sum(prediction.contributions.values()) == pytest.approx(expected, abs=1e-6)


def test_a_missing_part_contributes_nothing(predictor: Predictor, tiny_cohort: Cohort) -> None:
    prediction = predictor.classify(replace(tiny_cohort.cases[0], notes=()))
    assert prediction.modalities == ("image", "tabular")
    assert prediction.contributions["text"] == pytest.approx(0, abs=1e-9)
    assert prediction.error is None


def test_batches_and_single_cases_agree(predictor: Predictor, tiny_cohort: Cohort) -> None:
    """Up to the half precision in which tokens are kept: a sum in another order can round to the next value."""
    cases = [tiny_cohort.cases[0], replace(tiny_cohort.cases[1], scans=()), *tiny_cohort.cases[2:20]]
    for case, prediction in zip(cases, predictor.stream(cases), strict=True):
        alone = predictor.classify(case)
        assert prediction.case_id == case.case_id
        assert list(prediction.probabilities.values()) == pytest.approx(list(alone.probabilities.values()), abs=2e-3)


def test_findings_are_not_read(predictor: Predictor, tiny_cohort: Cohort, tmp_path: Path) -> None:
    case = tiny_cohort.cases[0]
    text = case.notes[0].path.read_text()  # type: ignore[union-attr]
    (tmp_path / "n.txt").write_text(text.replace("secret", "altogether different"))
    other = predictor.classify(replace(case, notes=(Note(tmp_path / "n.txt"),)))
    assert other.probabilities == predictor.classify(case).probabilities


def test_bad_input_costs_only_itself(predictor: Predictor, tiny_cohort: Cohort, tmp_path: Path) -> None:
    page, empty = tmp_path / "page.dcm", tmp_path / "empty.txt"
    page.write_text("<html><body>404</body></html>")
    empty.write_text("  \n")
    good = tiny_cohort.cases[0]
    bad = replace(good, case_id="bad", scans=(Scan(page),), notes=(Note(empty),))
    none = replace(bad, case_id="none", notes=(), values={})
    found = list(predictor.stream([good, bad, none]))
    assert found[0].probabilities == pytest.approx(dict(predictor.classify(good).probabilities), abs=2e-3)
    assert found[0].warnings == ()
    assert found[1].error is None
    assert found[1].modalities == ("tabular",)
    assert any("page.dcm" in line for line in found[1].warnings)
    assert any("empty" in line for line in found[1].warnings)
    assert found[2].error is not None
    assert found[2].probabilities == {}


@pytest.mark.parametrize("ending", ["jsonl", "csv", "parquet"])
def test_predictions_are_written_whole(ending: str, predictor: Predictor, tiny_cohort: Cohort, tmp_path: Path) -> None:
    path = tmp_path / f"p.{ending}"
    none = replace(tiny_cohort.cases[0], case_id="none", scans=(), notes=(), values={})
    summary = write_predictions(predictor.stream([none, *tiny_cohort.cases[:3]]), path)
    assert (summary.cases, summary.failed) == (4, 1)
    assert summary.told()[0].startswith("case none: not classified")
    if ending == "jsonl":
        rows = [json.loads(line) for line in path.read_text().splitlines()]
        assert list(rows[1]) == [
            "case_id", "probabilities", "prediction_set", "abstain", "flagged", "modalities", "contributions",
            "warnings", "error", "bundle",
        ]  # fmt: skip
    else:
        import pandas as pd

        table = pd.read_csv(path) if ending == "csv" else pd.read_parquet(path)
        rows = table.to_dict("records")
        assert table[["p_wet", "p_dry", "p_clear"]].iloc[1:].sum(axis=1).to_numpy() == pytest.approx(1)
    assert [row["case_id"] for row in rows] == ["none", "c0", "c1", "c2"]
    assert list(tmp_path.iterdir()) == [path]


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(MedfuseError, match=r"\.jsonl"):
        write_predictions([], tmp_path / "p.xlsx")


def test_shapley_is_the_worked_example() -> None:
    """The glove game: one left glove, two right ones (Shapley values 2/3, 1/6, 1/6)."""
    players = ("image", "text", "tabular")
    subsets = [tuple(p for b, p in enumerate(players) if n >> b & 1) for n in range(8)]
    game = {subset: float("image" in subset and len(subset) > 1) for subset in subsets}
    assert shapley(game, players) == pytest.approx({"image": 2 / 3, "text": 1 / 6, "tabular": 1 / 6})


def test_a_case_unlike_those_of_training_is_flagged(predictor: Predictor, tiny_cohort: Cohort) -> None:
    outliers = predictor.bundle.outliers
    assert outliers is not None
    assert outliers.thresholds == (float("inf"), float("inf"))  # the tiny calibration split is too small to tell
    strict = replace(predictor.bundle, outliers=replace(outliers, thresholds=(float("inf"), 0.0)))
    none = replace(tiny_cohort.cases[1], case_id="none", scans=(), notes=(), values={})
    flagged, empty = Predictor(strict).stream([tiny_cohort.cases[0], none])
    assert [line for line in flagged.warnings if line.startswith("unlike the cases of training (mahalanobis score)")]
    assert not any("unlike" in line for line in empty.warnings)
    assert flagged.error is None


def test_what_a_case_lacks_has_exactly_no_influence_whatever_the_batch(tiny_bundle: Path, tiny_cohort: Cohort) -> None:
    predictor = Predictor.load(tiny_bundle)
    whole, other = tiny_cohort.in_split("test")[:2]
    bare = replace(whole, scans=())
    beside = list(predictor.stream([other, bare, other]))[1]
    alone = predictor.classify(bare)
    assert beside.contributions["image"] == 0.0
    assert alone.contributions["image"] == 0.0
    assert beside.probabilities == pytest.approx(alone.probabilities, abs=1e-6)


def test_a_damaged_scan_is_named_and_the_rest_is_used(tiny_bundle: Path, tiny_cohort: Cohort, tmp_path: Path) -> None:
    page = tmp_path / "page.dcm"
    page.write_text("<!DOCTYPE html><html><body>404</body></html>")
    found = Predictor.load(tiny_bundle).classify(replace(tiny_cohort.cases[0], scans=(Scan(page),)))
    assert found.error is None
    assert len(found.unreadable) == 1
    assert "HTML page" in found.unreadable[0]
    assert "image" not in found.modalities


def test_a_cold_process_imports_nothing_heavy_besides_torch(tiny_bundle: Path, tiny_cohort: Cohort) -> None:
    case = tiny_cohort.cases[0]
    code = (
        "import sys, medfuse\n"
        "predictor = medfuse.Predictor.load(sys.argv[1])\n"
        "said = predictor.classify_files(scans=[sys.argv[2]], notes=[sys.argv[3]])\n"
        "assert said.modalities == ('image', 'text'), said\n"
        "heavy = {'sympy', 'torch._dynamo', 'transformers', 'monai', 'pandas', 'scipy', 'sklearn', 'lightning'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    arguments = [str(tiny_bundle), str(case.scans[0].path), str(case.notes[0].path)]
    done = subprocess.run([sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
