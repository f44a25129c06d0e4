"""The dashboard's plotly figures; every text from data goes in escaped, because plotly reads some HTML in texts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from medfuse.review.texts import Texts, english

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FONT = '"Source Sans", "Source Sans Pro", sans-serif'  # the dashboard's own
INK, TEAL, RUST, GREY, PALE = "#1c2a33", "#0b6b7e", "#b4532a", "#9aa5b1", "#b9c6cd"
CHART_CONFIG = {"displayModeBar": False, "scrollZoom": False}


def reliability_plot(
    reliability: Mapping[str, Sequence[Mapping[str, Any]]], *, texts: Texts | None = None
) -> Figure | None:
    """Observed fraction against mean probability, one panel a label; None if no label has a bin."""
    t = texts or english()
    said, observed = t("said"), t("observed")
    from plotly.graph_objects import Scatter
    from plotly.subplots import make_subplots

    by_label = {label: points for label, points in reliability.items() if points}
    if not by_label:
        return None
    across = min(3, len(by_label))
    down = math.ceil(len(by_label) / across)
    figure = make_subplots(
        rows=down,
        cols=across,
        subplot_titles=[escape(label) for label in by_label],
        horizontal_spacing=0.06,
        vertical_spacing=0.3 / down,
    )
    for index, points in enumerate(by_label.values()):
        place = {"row": index // across + 1, "col": index % across + 1}
        figure.add_trace(
            Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": GREY, "dash": "dash"}, hoverinfo="skip"), **place
        )
        figure.add_trace(
            Scatter(
                x=[point["mean_predicted"] for point in points],
                y=[point["observed"] for point in points],
                error_y={
                    "type": "data",
                    "symmetric": False,
                    "array": [point["high"] - point["observed"] for point in points],
                    "arrayminus": [point["observed"] - point["low"] for point in points],
                    "thickness": 1,
                    "width": 2,
                },
                customdata=[point["n"] for point in points],
                mode="markers",
                marker={"color": TEAL, "size": 8},
                hovertemplate=f"{said} %{{x:.0%}}<br>{observed} %{{y:.0%}}<br>n = %{{customdata}}<extra></extra>",
            ),
            **place,
        )
    figure.update_xaxes(range=[-0.03, 1.03], dtick=0.5, tickformat=".0%")
    figure.update_xaxes(title_text=said, row=down)
    figure.update_yaxes(range=[-0.03, 1.03], dtick=0.5, tickformat=".0%")
    figure.update_yaxes(title_text=observed, col=1)
    return _styled(figure, height=40 + 240 * down)


def confusion_maps(confusion: Mapping[str, Any], *, texts: Texts | None = None) -> dict[str, Figure]:
    """Counts by truth and prediction: one map with the name "" (multiclass), or one a label (multilabel)."""
    t = texts or english()
    from plotly.graph_objects import Figure, Heatmap

    if "counts" in confusion:
        names = [escape(label) for label in confusion["labels"]]
        tables = {"": (confusion["counts"], names)}
    else:
        tables = {label: (counts, [t("absent"), t("present")]) for label, counts in confusion["by_label"].items()}
    figures = {}
    for label, (counts, names) in tables.items():
        heat = Heatmap(
            z=[[cell / max(1, sum(row)) for cell in row] for row in counts],
            x=names,
            y=names,
            zmin=0,
            zmax=1,
            text=[[str(cell) for cell in row] for row in counts],
            texttemplate="%{text}",
            colorscale=[[0, "#ffffff"], [1, TEAL]],
            showscale=False,
            xgap=2,
            ygap=2,
            hovertemplate=f"{t('truth')} %{{y}}<br>{t('predicted')} %{{x}}<br>n = %{{text}}, %{{z:.0%}}<extra></extra>",
        )
        figure = Figure(heat)
        figure.update_yaxes(autorange="reversed", automargin=True, title_text=t("truth"))
        figure.update_xaxes(automargin=True, title_text=t("predicted"))
        figures[label] = _styled(figure, height=140 + 48 * len(names))
    return figures


def _plain(trace: Any, *, height: int) -> Figure:
    from plotly.graph_objects import Figure

    # Neither template nor colour of letters: these are as the page has them, light or dark. Plotly's own templates take
    # as long to apply as all the rest of a page.
    margin = {"l": 0, "r": 8, "t": 4, "b": 4}
    layout = {"template": None, "margin": margin, "bargap": 0.35, "showlegend": False, "height": height}
    figure = Figure(trace, layout | {"font": {"size": 13, "family": FONT}})
    figure.update_yaxes(automargin=True, showgrid=False, fixedrange=True)
    figure.update_xaxes(fixedrange=True)
    return figure


def _styled(figure: Figure, *, height: int) -> Figure:
    figure.update_layout(
        template="plotly_white",
        showlegend=False,
        height=height,
        margin={"l": 56, "r": 16, "t": 36, "b": 44},
        font={"color": INK, "size": 13, "family": FONT},
    )
    return figure
