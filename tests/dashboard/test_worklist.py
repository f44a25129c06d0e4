from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from medfuse.resources import shipped
from medfuse.review import Review, ReviewStore


def cases(app: AppTest) -> list[str]:
    return app.dataframe[-1].value["case_id"].tolist()


def test_the_most_urgent_case_is_first_and_failed_cases_stand_above(start: Callable[..., AppTest]) -> None:
    app = start()
    failed, classified = app.dataframe
    assert failed.value["case_id"].tolist() == ["failed"]
    assert classified.value["case_id"].tolist() == ["no-scan", "full", "no-note"]
    assert classified.value["label"].tolist() == ["embolism", "infection", "nothing"]
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
    table = app.dataframe[-1].value.set_index("case_id")
    assert table.loc["full", "state"] == "accepted"
    assert table.loc["full", "reader"] == "AB"
    assert "You have reviewed 1 of 4 cases." in [caption.value for caption in app.sidebar.caption]


def test_a_click_on_a_row_opens_its_case(start: Callable[..., AppTest]) -> None:
    app = start()
    app.session_state["cases"] = {"selection": {"rows": [], "columns": [], "cells": [(1, "label")]}}
    app.run()
    assert not app.exception
    assert app.title[0].value == "full"
    assert app.query_params["case"] == "full"


def test_the_next_case_is_the_most_urgent_open_one(start: Callable[..., AppTest]) -> None:
    app = start()
    next(button for button in app.button if button.label == "Read the next case").click().run()
    assert app.title[0].value == r"no\-scan"


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
