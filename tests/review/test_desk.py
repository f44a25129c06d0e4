from __future__ import annotations

import json
from pathlib import Path

import pytest

from medfuse.errors import MedfuseError
from medfuse.review.desk import Desk, Places


def places(folder: Path, **rest: object) -> Places:
    return Places(
        **{
            "cohort": folder / "cohort",
            "predictions": folder / "predictions.jsonl",
            "store": str(folder / "reviews.sqlite"),
        }
        | rest
    )


def test_everything_is_at_hand(desk_folder: Path) -> None:
    desk = Desk.open(places(desk_folder, evaluation=desk_folder / "evaluation"))
    assert set(desk.predictions) <= set(desk.cases)
    assert desk.store.labels == desk.cohort.labels
    assert desk.metrics is not None
    assert desk.metrics["summary"]["n_cases"] == 3
    assert desk.report is not None


def test_predictions_of_other_cases_are_counted_and_left_out(desk_folder: Path) -> None:
    path = desk_folder / "predictions.jsonl"
    stranger = json.loads(path.read_text().splitlines()[0]) | {"case_id": "../../etc/passwd"}
    path.write_text(path.read_text() + json.dumps(stranger) + "\n")
    desk = Desk.open(places(desk_folder))
    assert "../../etc/passwd" not in desk.predictions
    assert desk.problems[-1].startswith("1 predictions are of cases")
    assert desk.metrics is None


@pytest.mark.parametrize("content", [None, "{", "[]", '{"labels": {}}'])
def test_an_evaluation_that_is_none_says_what_to_do(desk_folder: Path, tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "metrics.json").write_text(content)
    with pytest.raises(MedfuseError, match="medfuse evaluate"):
        Desk.open(places(desk_folder, evaluation=tmp_path))


def test_the_stamp_changes_with_the_predictions(desk_folder: Path) -> None:
    given = places(desk_folder)
    before = given.stamp()
    (desk_folder / "predictions.jsonl").unlink()
    assert given.stamp() != before
