from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from medfuse.resources import shipped
from medfuse.review import Review, ReviewStore


def lists(app: AppTest) -> list[list[dict[str, str]]]:
    """The lists of cases of a page: for each row the text of every column, and its case."""
    found = []
    for one in app.get("bidi_component"):
        given = json.loads(one.proto.json)
        heads = [column["title"] for column in given["columns"]]
        rows = [(row["case"], [cell["text"] for cell in row["cells"]]) for row in given["rows"]]
        found.append([{"case": case, **dict(zip(heads, cells, strict=True))} for case, cells in rows])
    return found


def cases(app: AppTest) -> list[str]:
    return [row["case"] for row in lists(app)[-1]]


def test_the_most_urgent_case_is_first_and_failed_cases_stand_above(start: Callable[..., AppTest]) -> None:
    app = start()
    failed, classified = lists(app)
    assert [(row["case"], row["Why"]) for row in failed] == [("failed", "gone.dcm: <b>no</b>")]
    assert [row["case"] for row in classified] == ["no-scan", "full", "no-note"]
    assert [row["Most probable"] for row in classified] == ["embolism", "infection", "nothing"]
    assert [row["Cannot be excluded"] for row in classified] == ["embolism, infection", "infection", "nothing"]
    assert [row["Probability"] for row in classified] == ["60 %", "70 %", "80 %"]
    assert [row["Missing"] for row in classified] == ["Scan", "", "Note, Values"]
    assert {one.label: one.value for one in app.metric} == {
        "Open": "3",
        "Reviewed": "0",
        "Model not sure": "1",
        "Could not be classified": "1",
    }
    assert any("weight" in caption.value for caption in app.caption)
    assert any("line 5" in warning.value for warning in app.warning)
    assert any("not a medical device" in caption.value for caption in app.sidebar.caption)


def test_filters(start: Callable[..., AppTest]) -> None:
    app = start()
    app.text_input(key="text").set_value("NO-").run()
    assert cases(app) == ["no-scan", "no-note"]
    app.toggle[0].set_value(True).run()
    assert cases(app) == ["no-scan"]
    app.toggle[0].set_value(False)
    app.text_input(key="text").set_value("")
    app.multiselect[1].set_value(["infection"]).run()
    assert cases(app) == ["full"]
    app.multiselect[0].set_value(["overridden"]).run()
    assert [info.value for info in app.info] == ["No case matches these filters."]


def test_decisions_show_in_the_list(start: Callable[..., AppTest], store: Path) -> None:
    ReviewStore(store, cohort="four cases").add(
        Review(case_id="full", reader="AB", action="accept", predicted="infection")
    )
    app = start()
    (row,) = [one for one in lists(app)[-1] if one["case"] == "full"]
    assert (row["State"], row["Reader"]) == ("accepted", "AB")
    assert "You have reviewed 1 of 4 cases." in [caption.value for caption in app.sidebar.caption]


def test_a_cohort_that_is_none_gives_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["app.py", "--cohort", str(tmp_path / "none"), "--predictions", "p", "--store", str(tmp_path / "s")]
    monkeypatch.setattr("sys.argv", given)
    app = AppTest.from_file(str(shipped("dashboard") / "app.py"), default_timeout=30).run()
    assert not app.exception
    assert len(app.error) == 1


def test_a_view_is_saved_and_brings_its_filters_back(start: Callable[..., AppTest]) -> None:
    app = start()
    app.toggle(key="unsure").set_value(True).run()
    app.text_input(key="view-name").set_value("to look at").run()
    next(button for button in app.button if button.label == "Save this view").click().run()
    assert not app.exception
    app = start()  # another visit of the same reader
    assert cases(app) == ["no-scan", "full", "no-note"]
    app.selectbox(key="saved-view").set_value("to look at").run()
    assert not app.exception
    assert cases(app) == ["no-scan"]
    next(button for button in app.button if button.label == "Delete").click().run()
    assert app.selectbox(key="saved-view").options == []
    assert start(reader="CD").selectbox(key="saved-view").options == []
