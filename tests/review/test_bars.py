from __future__ import annotations

from medfuse.case import Prediction
from medfuse.review.bars import Bar, contribution_bars, probability_bars
from medfuse.review.texts import Texts

PREDICTION = Prediction(
    "c1",
    probabilities={"embolism": 0.3, "<b>x</b>": 0.7},
    prediction_set=("<b>x</b>",),
    abstain=False,
    modalities=("image",),
    contributions={"text": -0.1, "image": 0.3},
)


def test_probabilities_stand_highest_first_and_what_can_be_excluded_is_pale() -> None:
    assert probability_bars(PREDICTION) == [
        Bar("<b>x</b>", 0.0, 0.7, "70 %", "main"), Bar("embolism", 0.0, 0.3, "30 %", "pale")
    ]  # fmt: skip


def test_contributions_go_both_ways_from_zero() -> None:
    assert contribution_bars(PREDICTION) == [
        Bar("Scan", 0.25, 1.0, "+30", "main"), Bar("Note", 0.25, 0.0, "−10", "less")
    ]  # fmt: skip
    assert [one.name for one in contribution_bars(PREDICTION, texts=Texts("de"))] == ["Aufnahme", "Text"]
    nothing = Prediction("c", {"a": 1.0}, contributions={"image": 0.0})
    assert [(one.start, one.end, one.text) for one in contribution_bars(nothing)] == [(0.0, 0.0, "+0")]
