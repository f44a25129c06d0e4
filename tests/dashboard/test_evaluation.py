from __future__ import annotations

from collections.abc import Callable

from streamlit.testing.v1 import AppTest


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
