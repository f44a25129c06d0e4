from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from medfuse.review import Review, ReviewError, ReviewStore
from medfuse.review.study import Study, create_study
from medfuse.review.texts import Texts

LABELS = ("infection", "embolism", "nothing")


def words(app: AppTest) -> str:
    """All that the page says, as a reader sees it."""
    parts = [*app.markdown, *app.caption, *app.text, *app.info, *app.warning, *app.error, *app.success]
    return "\n".join(str(part.value) for part in parts).replace("\\", "")


def drawn(app: AppTest) -> list[dict]:
    """What the viewer's and the notes' components were given, but for bytes."""
    return [json.loads(one.proto.json_args) for one in app.get("component_instance")]


def note_text(app: AppTest) -> str:
    return "".join(piece["text"] for one in drawn(app) if one.get("kind") == "note" for piece in one["pieces"])


def bars(app: AppTest) -> list[list[tuple[str, str]]]:
    return [
        [(bar["name"], bar["text"]) for bar in json.loads(one.proto.json)["bars"]] for one in app.get("bidi_component")
    ]


def decide(app: AppTest, action: str, **fields: str) -> AppTest:
    case_id = app.session_state["case"]
    app.pills(key=f"action-{case_id}").set_value(action).run()
    if "label" in fields:
        app.selectbox(key=f"labels-{case_id}").set_value(fields["label"])
    if "comment" in fields:
        app.text_area(key=f"comment-{case_id}").set_value(fields["comment"])
    app.button(key="save").click().run()
    assert not app.exception
    return app


def stored(store: Path, case_id: str) -> tuple[Review, ...]:
    return ReviewStore(store, cohort="four cases").history(case_id)


def test_a_complete_case(start: Callable[..., AppTest]) -> None:
    app = start("case", case="full")
    told = words(app)
    assert app.title[0].value == "full"
    assert "The model's answer: infection, with a probability of 70 %." in told
    assert "the scan raised it by 30 points" in told
    assert "scan x: no window in the file" in told
    assert "INDICATION: cough" in note_text(app)
    assert "| Column | Value |\n| --- | --- |\n| spo2 | 91 |\n| crp | missing |" in told
    assert "No note" not in told
    probabilities, moved = bars(app)
    assert probabilities == [("infection", "70 %"), ("embolism", "20 %"), ("nothing", "10 %")]
    assert moved == [("Scan", "+30"), ("Note", "+12"), ("Values", "−5")]
    (viewer,) = [one for one in drawn(app) if one.get("kind") != "note"]
    assert (viewer["rows"], viewer["columns"], viewer["seen_shape"]) == (64, 48, [1, 224, 224])


def test_the_reference_label_is_nowhere(start: Callable[..., AppTest]) -> None:
    app = start("case", case="no-note")
    legend = "| infection | 0.5 |"
    assert "infection" not in words(app).replace(legend, "")
    app = start("case", case="full")
    assert not {"diagnosis", "truth", "reference"} & set(words(app).lower().split())


def test_nothing_from_data_is_rendered_as_html_or_markdown(start: Callable[..., AppTest]) -> None:
    for case_id in ("full", "failed"):
        app = start("case", case=case_id)
        assert not any(part.proto.allow_html for part in (*app.markdown, *app.caption))
        assert not app.get("html")
        assert not app.get("iframe")
        for part in (*app.markdown, *app.caption, *app.error, *app.warning):
            # A tag or a link would need its brackets bare.
            bare = part.value.replace("\\<", "").replace("\\[", "").replace("\\!", "")
            assert not set("<[!") & set(bare), bare
    app = start("case", case="full")
    assert "cough <script>alert('note')</script>" in note_text(app)
    assert "*consolidation* :red[left]" in note_text(app)


def test_a_case_without_scan_says_so_and_that_the_model_is_not_sure(start: Callable[..., AppTest]) -> None:
    told = words(start("case", case="no-scan"))
    assert "This case has no scan." in told
    assert "No scan: this prediction rests on the note and the values." in told
    assert "The model is not sure: it cannot exclude embolism, infection." in told


def test_a_case_without_note(start: Callable[..., AppTest]) -> None:
    told = words(start("case", case="no-note"))
    assert "This case has no note." in told
    assert "No note and no values: this prediction rests on the scan." in told


def test_a_case_that_could_not_be_classified_is_still_read(start: Callable[..., AppTest], store: Path) -> None:
    app = start("case", case="failed")
    assert "This case could not be classified: gone.dcm: <b>no</b>" in words(app)
    assert "The scan cannot be shown." in words(app)
    assert not any("Accept" in one for one in app.pills(key="action-failed").options)
    decide(app, "override", label="embolism")
    assert [review.labels for review in stored(store, "failed")] == [("embolism",)]


@pytest.mark.parametrize("asked", ["nobody", "../../etc/passwd", "", "<script>"])
def test_an_unknown_case_in_the_address_is_ignored(start: Callable[..., AppTest], asked: str) -> None:
    app = start("case", case=asked)
    assert app.title[0].value == "failed"  # the first of the list
    assert "case" not in app.query_params


def test_picker_and_buttons_go_through_the_list(start: Callable[..., AppTest]) -> None:
    app = start("case", case="failed")
    next(button for button in app.button if button.label == "Next").click().run()
    assert app.title[0].value == r"no\-scan"
    assert app.query_params["case"] == "no-scan"
    app.selectbox(key="picker").set_value("no-note").run()
    assert app.title[0].value == r"no\-note"
    next(button for button in app.button if button.label == "Previous").click().run()
    assert app.title[0].value == "full"


def test_accepting_ends_in_the_store(start: Callable[..., AppTest], store: Path) -> None:
    app = decide(start("case", case="full"), "accept", comment="clear <b>")
    assert [success.value for success in app.success if "Stored" in success.value]
    (review,) = stored(store, "full")
    assert (review.reader, review.action, review.predicted, review.probability) == ("AB", "accept", "infection", 0.7)
    assert (review.comment, review.bundle, review.labels) == ("clear <b>", "ab12", ())
    assert review.seconds is not None
    assert "AB accepted infection" in words(app)
    assert any(text.value == "clear <b>" for text in app.text)
    # The form is empty again, so that a second click stores nothing.
    app.button(key="save").click().run()
    assert "Nothing was stored" in words(app)
    assert len(stored(store, "full")) == 1


def test_overriding_needs_a_label(start: Callable[..., AppTest], store: Path) -> None:
    app = decide(start("case", case="full"), "override")
    assert "Nothing was stored: an override chooses one label." in words(app)
    assert stored(store, "full") == ()
    app = decide(app, "override", label="embolism")
    assert [review.labels for review in stored(store, "full")] == [("embolism",)]
    assert "overrode with embolism when the model said infection" in words(app)


def test_commenting_needs_text_and_deciding_needs_a_reader(start: Callable[..., AppTest], store: Path) -> None:
    app = decide(start("case", case="full"), "comment")
    assert "a comment needs some text" in words(app)
    app = decide(start("case", case="full", reader=" "), "accept")
    assert "who is reading" in words(app)
    assert stored(store, "full") == ()


def test_success_is_told_only_once_stored(
    start: Callable[..., AppTest], store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: ReviewStore, review: Review, **_: object) -> Review:
        raise ReviewError("the decision was not stored: disk full")

    app = start("case", case="full")
    monkeypatch.setattr(ReviewStore, "add", refuse)
    decide(app, "accept", comment="do not lose this")
    assert "disk full" in words(app)
    assert not [success for success in app.success if "Stored" in success.value]
    assert app.text_area(key="comment-full").value == "do not lose this"


def test_other_cohorts_decisions_are_not_shown(start: Callable[..., AppTest], store: Path) -> None:
    ReviewStore(store, cohort="another").add(Review(case_id="full", reader="XY", action="accept"))
    assert "XY" not in words(start("case", case="full"))
    with sqlite3.connect(store) as raw:
        assert raw.execute("SELECT count(*) FROM entries WHERE action = 'accept'").fetchone() == (1,)


def test_a_decision_is_taken_back_and_stays_in_the_history(start: Callable[..., AppTest], store: Path) -> None:
    app = decide(start("case", case="full"), "accept")
    app.button(key="undo").click().run()
    assert not app.exception
    assert "Your last decision was taken back" in words(app)
    assert [review.action for review in stored(store, "full")] == ["accept", "undo"]
    assert app.button(key="undo").disabled


def test_a_decision_of_somebody_else_meanwhile_is_not_overwritten(start: Callable[..., AppTest], store: Path) -> None:
    app = start("case", case="full")
    ReviewStore(store, cohort="four cases").add(Review(case_id="full", reader="XY", action="uncertain"))
    decide(app, "accept")
    assert "XY decided on this case since you opened it" in words(app)
    assert [review.reader for review in stored(store, "full")] == ["XY"]
    decide(app, "accept")  # now that it has been seen
    assert [review.reader for review in stored(store, "full")] == ["XY", "AB"]


def test_a_blinded_reader_sees_neither_the_model_nor_others(start: Callable[..., AppTest], store: Path) -> None:
    opened = ReviewStore(store, cohort="four cases", labels=LABELS)
    create_study(opened, Study(name="S", readers=("AB", "CD"), cases=("full", "no-scan"), arbiter="EF"), actor="x")
    opened.add(Review(case_id="full", reader="XY", action="override", labels=("embolism",), comment="seen by XY"))
    app = start("case", case="full")  # outside of the study the case is not there
    assert app.title[0].value != "full"
    app = start("case", case="full", study="S")
    told = words(app)
    assert app.title[0].value == "full"
    assert "hidden in this study" in told
    assert not {"70 %", "XY", "raised"} & set(told.replace(".", " ").replace(",", " ").split())
    assert not bars(app)
    decide(app, "override", label="nothing")
    assert "infection" not in words(app)
    app = start("studies")
    assert "told once all of them are done" in words(app)


def heard(app: AppTest) -> str:
    """All that a page says, with the words of buttons, fields, figures and lists."""
    named = [one.label for kind in ("button", "selectbox", "multiselect", "text_input", "text_area", "toggle", "metric")
             for one in app.get(kind) if hasattr(one, "label")]  # fmt: skip
    lists = [str(one.proto.json) for one in app.get("bidi_component")]
    titles = [one.value for one in (*app.title, *app.subheader)]
    tables = [one.value.to_csv() for one in app.dataframe]
    return "\n".join([words(app), *titles, *named, *lists, *tables])


@pytest.mark.parametrize("page", ["worklist", "case", "studies", "evaluation", "log"])
def test_a_page_in_german_says_nothing_in_english(start: Callable[..., AppTest], store: Path, page: str) -> None:
    opened = ReviewStore(store, cohort="four cases", labels=LABELS)
    opened.add(Review(case_id="full", reader="XY", action="accept", predicted="infection"))
    german, english = Texts("de"), Texts("en")
    # Sentences without anything put in, that are others in German: a page in German has none of them.
    known = {english(name) for name in english.names() if english(name) != german(name) and "{" not in english(name)}
    known = {text for text in known if len(text.split()) > 1} - {german(name) for name in german.names()}
    app = start(page)
    assert any(text in heard(app) for text in known)  # the test hears what is said
    app.selectbox(key="lang").set_value("de").run()
    for case_id in ("full", "no-scan", "failed", "no-note") if page == "case" else ("",):
        if case_id:
            app.query_params["case"] = case_id
            app.run()
        assert not app.exception
        told = heard(app)
        assert not {line for line in told.splitlines() for text in known if text in line}
        for left in (
            "could not be",
            "no such file",
            "the line is left out",
            "not a prediction",
            "no label fits",
            "too few",
        ):
            assert left not in told, left


def test_german(start: Callable[..., AppTest]) -> None:
    app = start("case", case="no-scan")
    app.selectbox(key="lang").set_value("de").run()
    told = words(app)
    assert "Das Modell ist sich nicht sicher: Es kann embolism, infection nicht ausschließen." in told
