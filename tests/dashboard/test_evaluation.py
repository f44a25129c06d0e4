from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from streamlit.testing.v1 import AppTest

from medfuse.review import Review, ReviewStore


def test_headline_figures_with_intervals_and_plots(start: Callable[..., AppTest]) -> None:
    app = start("evaluation")
    assert [one.label for one in app.metric] == ["AUROC", "AUPRC", "Brier score", "ECE", "Log loss"]
    assert app.metric[0].value == "0.900"
    assert app.metric[0].delta == "0.850 to 0.950"
    assert any("reaches 95" in line.value for line in app.markdown)
    assert len(app.get("plotly_chart")) == 2
    assert app.dataframe[0].value["Label"].tolist() == ["infection", "embolism", "nothing"]
    assert [button.label for button in app.download_button] == ["Report"]


def test_without_an_evaluation_it_says_how_to_make_one(start: Callable[..., AppTest]) -> None:
    app = start("evaluation", evaluation=False)
    assert "medfuse evaluate" in app.info[0].value
    assert not app.metric


def test_subgroups_and_how_it_goes_since(start: Callable[..., AppTest], store: Path) -> None:
    app = start("evaluation")
    groups = app.dataframe[1].value
    assert groups["Group"].tolist() == ["<b>A", "B"]
    assert groups["AUROC less the largest group’s"].tolist()[0] == "largest group"
    assert "too few" in groups["Remark"].tolist()[1]
    assert any("No decision outside of a study yet" in one.value for one in app.info)
    opened = ReviewStore(store, cohort="four cases", labels=("infection", "embolism", "nothing"))
    opened.add(Review(case_id="full", reader="AB", action="accept", predicted="infection"))
    opened.add(Review(case_id="no-note", reader="AB", action="override", labels=("embolism",)))
    app = start("evaluation")
    (months,) = [one.value for one in app.dataframe if "Month" in one.value]
    assert months["Overridden"].tolist() == ["50 %"]
