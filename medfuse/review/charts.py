"""The dashboard's plotly figures; every text from data goes in escaped, because plotly reads some HTML in texts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

from medfuse.case import Prediction
from medfuse.review.texts import Texts, english

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FONT = '"Source Sans", "Source Sans Pro", sans-serif'  # the dashboard's own
INK, TEAL, RUST, GREY, PALE = "#1c2a33", "#0b6b7e", "#b4532a", "#9aa5b1", "#b9c6cd"
_KIND = {"image": "scan", "text": "note", "tabular": "values"}
CHART_CONFIG = {"displayModeBar": False, "scrollZoom": False}


def probability_bars(prediction: Prediction, *, texts: Texts | None = None) -> Figure:
    """Calibrated probabilities, highest on top; labels that cannot be excluded are in colour."""
    from plotly.graph_objects import Bar

    ordered = sorted(prediction.probabilities.items(), key=lambda pair: pair[1])
    colours = [TEAL if label in prediction.prediction_set else PALE for label, _ in ordered]
    bars = Bar(
        x=[value for _, value in ordered],
        y=[escape(label) for label, _ in ordered],
        text=[(texts or english()).percent(value) for _, value in ordered],
        marker_color=colours,
        orientation="h",
        textposition="outside",
        cliponaxis=False,
        hoverinfo="skip",
    )
    figure = _plain(bars, height=28 * len(ordered) + 24)
    figure.update_xaxes(visible=False, range=[0, 1.18])
    figure.update_yaxes(ticksuffix="  ")
    return figure


def contribution_bars(prediction: Prediction, *, texts: Texts | None = None) -> Figure:
    """How far each modality moved the most probable label, in percentage points with sign."""
    t = texts or english()
    from plotly.graph_objects import Bar

    ordered = sorted(prediction.contributions.items(), key=lambda pair: abs(pair[1]))
    widest = max([abs(value) for _, value in ordered] + [0.01])
    bars = Bar(
        x=[value for _, value in ordered],
        y=[t(f"kind_{_KIND[name]}") if name in _KIND else escape(name) for name, _ in ordered],
        text=[f"{100 * value:+.0f}".replace("-", "−") for _, value in ordered],
        marker_color=[TEAL if value >= 0 else RUST for _, value in ordered],
        orientation="h",
        textposition="outside",
        cliponaxis=False,
        hoverinfo="skip",
    )
    figure = _plain(bars, height=28 * len(ordered) + 24)
    low = -1.35 * widest if any(value < 0 for _, value in ordered) else 0
    high = 1.35 * widest if any(value > 0 for _, value in ordered) else 0
    figure.update_xaxes(
        visible=True, showticklabels=False, showgrid=False, zeroline=True, zerolinecolor=GREY, range=[low, high]
    )
    figure.update_yaxes(ticksuffix="  ")
    return figure


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
