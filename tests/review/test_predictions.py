from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from medfuse.case import MODALITIES, Prediction
from medfuse.errors import MedfuseError
from medfuse.inference.output import record
from medfuse.review.predictions import read_predictions

FINE = Prediction(
    "c1",
    probabilities={"infection": 0.7, "embolism": 0.3},
    prediction_set=("infection",),
    abstain=False,
    modalities=("image", "text"),
    contributions={"image": 0.1, "text": 0.1},
    warnings=("no window",),
    bundle="ab12",
)
FAILED = Prediction("c2", error="no scan, note or value that the model uses", bundle="ab12")

units = some.floats(0, 1)
labels = some.text(min_size=1, max_size=8)
predictions = some.builds(
    Prediction,
    case_id=some.text(min_size=1, max_size=12),
    probabilities=some.dictionaries(labels, units, min_size=1, max_size=4),
    abstain=some.booleans(),
    modalities=some.lists(some.sampled_from(MODALITIES), unique=True).map(tuple),
    contributions=some.dictionaries(some.sampled_from(MODALITIES), some.floats(-1, 1)),
    warnings=some.lists(some.text(max_size=12), max_size=2).map(tuple),
    bundle=some.text(max_size=8),
)


def written(path: Path, *lines: object) -> Path:
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


@settings(deadline=None, max_examples=40)
@given(some.lists(predictions, max_size=5, unique_by=lambda prediction: prediction.case_id), some.booleans())
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, wanted: list, ascii_only: bool) -> None:
    path = tmp_path_factory.mktemp("predictions") / "predictions.jsonl"
    lines = [json.dumps(record(one), ensure_ascii=ascii_only) + "\n" for one in wanted]
    path.write_bytes("".join(lines).encode("utf-8", "surrogatepass"))
    read, problems = read_predictions(path)
    assert list(read.values()) == wanted
    assert problems == ()


def test_failed_cases_are_read_too(tmp_path: Path) -> None:
    read, problems = read_predictions(written(tmp_path / "p.jsonl", record(FINE), "", record(FAILED)))
    assert read == {"c1": FINE, "c2": FAILED}
    assert problems == ()


@pytest.mark.parametrize(
    "line",
    [
        "<!doctype html>Smith",
        '{"case_id": "Smith"',
        "[]",
        "null",
        "7",
        "[" * 5000,
        record(FINE) | {"case_id": 7},
        record(FINE) | {"probabilities": {"infection": 1.2}},
        record(FINE) | {"probabilities": {"infection": "Smith"}},
        record(FINE) | {"probabilities": {}},
        record(FINE) | {"prediction_set": ["Smith"]},
        record(FINE) | {"modalities": ["sound"]},
        record(FINE) | {"contributions": {"image": float("nan")}},
        record(FINE) | {"error": ["Smith"]},
        {key: value for key, value in record(FINE).items() if key != "warnings"},
    ],
)
def test_a_bad_line_costs_only_itself_and_is_not_quoted(tmp_path: Path, line: object) -> None:
    read, problems = read_predictions(written(tmp_path / "p.jsonl", record(FINE), line, record(FAILED)))
    assert read == {"c1": FINE, "c2": FAILED}
    assert len(problems) == 1
    assert problems[0].startswith("p.jsonl line 2: ")
    assert "Smith" not in problems[0]


def test_bytes_that_are_no_text_cost_only_their_line(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_bytes(b"\xff\xfe\x00\n" + json.dumps(record(FINE)).encode())
    read, problems = read_predictions(path)
    assert list(read) == ["c1"]
    assert len(problems) == 1


def test_of_two_lines_for_a_case_the_first_counts(tmp_path: Path) -> None:
    read, problems = read_predictions(written(tmp_path / "p.jsonl", record(FINE), record(FINE) | {"abstain": True}))
    assert read == {"c1": FINE}
    assert "twice" in problems[0]


def test_no_file_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MedfuseError, match="medfuse classify"):
        read_predictions(tmp_path / "none.jsonl")
