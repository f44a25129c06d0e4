from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from medfuse.case import Case, Note, Prediction, Scan, ScanReceipt
from medfuse.review import wording
from medfuse.review.decision import Review
from medfuse.review.texts import Texts, english

SURE = Prediction(
    "c1",
    probabilities={"infection": 0.72, "embolism": 0.28},
    prediction_set=("infection",),
    abstain=False,
    modalities=("image", "tabular"),
    contributions={"image": 0.3, "text": 0.0, "tabular": -0.08},
)
UNSURE = Prediction("c1", {"infection": 0.6, "embolism": 0.4}, ("infection", "embolism"), abstain=True)
FAILED = Prediction("c1", error="scan c.dcm: no such file")
RECEIPT = ScanReceipt(
    "0" * 64, "DICOM", 10, 20, 12, "MONOCHROME1", inverted=True, rescale=(2.0, -5.0), warnings=("w1",)
)


def test_verdict_says_plainly_how_sure_the_model_is() -> None:
    assert wording.verdict(SURE, task="multiclass") == "The model's answer: infection, with a probability of 72 %."
    assert wording.verdict(UNSURE, task="multiclass") == (
        "The model is not sure: it cannot exclude infection, embolism."
    )
    nothing = Prediction("c1", {"infection": 0.6, "embolism": 0.4}, (), abstain=True)
    assert "no label fits" in wording.verdict(nothing, task="multiclass")
    none = Prediction("c1", {"infection": 0.1, "embolism": 0.1}, (), abstain=False)
    assert wording.verdict(none, task="multilabel") == "The model's answer: none of the labels."
    assert "could not be classified" in wording.verdict(FAILED, task="multiclass")


def test_answer_set() -> None:
    assert wording.answer_set(UNSURE, task="multiclass") == "infection, embolism"
    assert wording.answer_set(Prediction("c", {"a": 0.1}, abstain=False), task="multilabel") == "none applies"
    assert wording.answer_set(Prediction("c", {"a": 0.1}, abstain=True), task="multilabel") == "no label fits"
    assert wording.answer_set(FAILED, task="multiclass") == ""
    nothing = Prediction("c", {"a": 0.1}, abstain=True)
    assert wording.answer_set(nothing, task="multiclass", texts=Texts("de")) == "kein Label passt"


def test_missing_modalities_are_said() -> None:
    assert wording.rests_on(SURE) == "No note: this prediction rests on the scan and the values."
    only_values = Prediction("c1", {"a": 1.0}, modalities=("tabular",))
    assert wording.rests_on(only_values) == "No scan and no note: this prediction rests on the values."
    assert "how common" in str(wording.rests_on(Prediction("c1", {"a": 1.0})))
    assert wording.rests_on(FAILED) is None
    # A model of the image alone does not lack the note.
    assert wording.rests_on(Prediction("c1", {"a": 1.0}, modalities=("image",), contributions={"image": 0.1})) is None


def test_influence_adds_up_and_leaves_out_what_did_nothing() -> None:
    assert wording.influence(SURE) == (
        "Without any input, infection would have 50 %; the scan raised it by 30 points and the values lowered it by "
        "8 points, which gives 72 %."
    )
    assert wording.influence(FAILED) is None
    assert wording.influence(UNSURE) is None


@pytest.mark.parametrize(
    ("probability", "told"), [(0.0, "less than 1 %"), (0.004, "less than 1 %"), (0.5, "50 %"), (1.0, "more than 99 %")]
)
def test_no_probability_is_told_as_certain(probability: float, told: str) -> None:
    assert english().percent(probability) == told


def test_markdown_plain_leaves_no_mark_up() -> None:
    assert wording.markdown_plain("![x](http://evil/x)\n:red[y] <b>") == (
        r"\!\[x\]\(http\:\/\/evil\/x\) \:red\[y\] \<b\>"
    )


def test_warnings_are_told_once_and_none_tells_the_reference_label() -> None:
    prediction = Prediction(
        "c1", {"a": 1.0}, warnings=("label 'pneumonia' is none of a; taken as unlabelled", "scan x.dcm: w1")
    )
    scan, note = Scan(Path("x.dcm"), receipt=RECEIPT), Note(Path("n.txt"), warnings=("the note is empty",))
    assert wording.reader_warnings(prediction, [scan], [note]) == ("scan x.dcm: w1", "the note is empty")


def test_receipt_and_values_in_plain_words() -> None:
    rows = dict(wording.receipt_rows(RECEIPT))
    assert rows["Stored size"] == "20 × 10 pixels, 12 bit"
    assert "white means more" in rows["Grey scale"]
    assert rows["Rescaled"] == "× 2 + -5"
    case = Case("c1", "p1", values={"spo2": 91.0, "sex": "F", "crp": None})
    assert wording.value_rows(case) == [("spo2", "91"), ("sex", "F"), ("crp", "missing")]


def test_told_is_one_line_without_the_comment() -> None:
    when = datetime(2025, 1, 2, 3, 4, tzinfo=UTC)
    review = Review(
        case_id="c1", reader="AB", action="override", labels=("embolism",), predicted="infection", created_at=when,
        comment="secret",
    )  # fmt: skip
    assert wording.told(review) == "AB overrode with embolism when the model said infection (02 Jan 2025, 03:04 UTC)"


def test_decisions_receipts_and_values_are_told_in_german_too() -> None:
    german = Texts("de")
    at = datetime(2026, 3, 4, 5, 6, tzinfo=UTC)
    review = Review(case_id="c", reader="AB", action="override", labels=("dry",), predicted="wet", created_at=at)
    assert wording.told(review, texts=german) == "AB entschied auf dry, das Modell sagte wet (04.03.2026, 05:06 UTC)"
    assert dict(wording.receipt_rows(RECEIPT, texts=german))["Gespeicherte Größe"] == "20 × 10 Pixel, 12 Bit"
    assert wording.value_rows(Case("c", "p", values={"crp": None}), texts=german) == [("crp", "fehlt")]


def test_a_table_shows_its_cells_letter_by_letter() -> None:
    table = wording.markdown_table(("Column", "Value"), [("spo2", "91"), ("a|b", "<b> [x](y)")])
    assert table == "\n".join(["| Column | Value |", "| --- | --- |", "| spo2 | 91 |", r"| a\|b | \<b\> \[x\]\(y\) |"])
