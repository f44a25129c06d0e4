"""The report: one HTML file that opens without a network and says what the figures mean, and what they do not."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from medfuse import __version__
from medfuse.evaluation.checklist import GUIDELINES, answered
from medfuse.evaluation.figures import figures
from medfuse.evaluation.metrics import BINS, METRICS
from medfuse.evaluation.panels import to_plotly, to_svg

TEMPLATE = Path(__file__).with_name("report.html.j2")

NAMES = {"auroc": "AUROC", "auprc": "AUPRC", "brier": "Brier score", "ece": "ECE", "log_loss": "Log loss"}
TESTS = {  # figures at a threshold, as columns
    "sensitivity": "Sensitivity", "specificity": "Specificity", "ppv": "PPV", "npv": "NPV", "f1": "F1", "mcc": "MCC",
    "lr_positive": "LR+", "lr_negative": "LR−",
}  # fmt: skip
EVIDENCE = {"image": "image", "text": "notes", "tabular": "values", "all": "all together"}
FEW_PATIENTS = 200  # below it an interval of the AUROC is commonly a tenth wide or more
FEW_CASES = 10  # with the label or without it

INK, BLUE, GREY = "#1f2933", "#1d5fa8", "#9aa5b1"


def write_report(
    metrics: Mapping[str, Any], path: Path, *, title: str, notes: Sequence[str] = (), made: date | None = None
) -> None:
    """Write the report of what `summarise` returned; the file appears in one step or not at all.

    The same metrics give the same bytes but for the date. Figures go beside it as `figures/*.svg`.

    Sections appear for what is there. A figure is `{"value", "low", "high"}` or a bare number.

    Args:
        metrics: Content of `metrics.json`.
        path: The HTML file; its folder is made if need be.
        title: What was evaluated on what, in words.
        notes: Cautions to set on top.
        made: The date that stands in the report; None is today.
    """
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup
    from plotly.offline import get_plotlyjs

    page = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page.filters["figure"] = _figure
    page.filters["signed"] = _signed
    page.filters["p"] = lambda p: "–" if p is None else "< 0.001" if p < 0.0005 else f"{p:.3f}"
    page.filters["share"] = lambda value: "–" if value is None else f"{100 * value:.0f} %"
    drawn = figures(metrics)
    html = page.get_template(TEMPLATE.name).render(
        title=title,
        notes=notes,
        metrics=metrics,
        summary=metrics["summary"],
        names=NAMES,
        columns=METRICS,
        made=(made or datetime.now(UTC).date()).isoformat(),
        bins=BINS,
        meaning=list(_meaning(metrics)),
        evidence=EVIDENCE,
        reliance=_reliance(metrics),
        confusion=Markup(_confusion_plot(metrics)),  # noqa: S704  plotly escapes the JSON inside, _text the labels
        plots={name: Markup(to_plotly(panels, name=name)) for name, panels in drawn.items()},  # noqa: S704
        checklist=answered(metrics),
        guidelines=GUIDELINES,
        tests=TESTS,
        sites=_sites(metrics, title),
        plotly=Markup(get_plotlyjs()),  # noqa: S704
        version=__version__,
    )
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, html)
    for name, panels in drawn.items():
        (path.parent / "figures").mkdir(exist_ok=True)
        _write(path.parent / "figures" / f"{name}.svg", to_svg(panels))


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def _figure(figure: Any) -> tuple[str, str]:
    """The value and its interval, `0.812` and `0.744 to 0.871`; `–` for what is undefined, and no interval for it."""
    if not isinstance(figure, Mapping):
        figure = {"value": figure}
    value, low, high = (figure.get(key) for key in ("value", "low", "high"))
    interval = "" if value is None or low is None or high is None else f"{low:.3f} to {high:.3f}"
    return "–" if value is None else f"{value:.3f}", interval


def _signed(figure: Any) -> tuple[str, str]:
    """As `_figure`, of a difference: `+0.012` and `−0.004 to +0.031`."""
    if not figure or figure.get("value") is None:
        return "–", ""
    low, high = figure.get("low"), figure.get("high")
    interval = "" if low is None or high is None else f"{low:+.3f} to {high:+.3f}"
    return f"{figure['value']:+.3f}".replace("-", "−"), interval.replace("-", "−")


def _meaning(metrics: Mapping[str, Any]) -> Iterator[str]:
    """What the headline says, in sentences for a reader who does not compute."""
    summary = metrics["summary"]
    area, gap = summary["auroc"], summary["ece"]
    if area["value"] is not None:
        yield (
            f"Taking one case with a diagnosis and one without it, the model gives the first the higher probability in "
            f"about {100 * area['value']:.0f} of 100 such pairs (AUROC, mean over the labels). Guessing gives 50."
        )
    best = summary.get("best_reachable_auroc", {}).get("all")
    if best is not None and area["value"] is not None:
        yield (
            f"The cases are synthetic, so the best that any model could reach is known: {best:.3f} with all evidence. "
            f"This model reaches {100 * area['value'] / best:.0f} % of it."
        )
    chance = summary.get("ece_if_calibrated", {})
    if gap["value"] is not None:
        yield (
            f"Where the model says a probability, what is then observed differs from it by {100 * gap['value']:.1f} "
            f"percentage points on average (ECE)."
        )
    if gap["value"] is not None and chance.get("high") is not None:
        verdict = (
            "The model's is not above that: on these cases no miscalibration can be told from chance."
            if gap["value"] <= chance["high"]
            else "The model's is above that: its probabilities are off by more than chance, so read them with care."
        )
        yield (
            f"On this many cases a perfectly calibrated model too would show {100 * chance['value']:.1f} points by "
            f"chance, and up to {100 * chance['high']:.1f}. {verdict}"
        )
    yield from _cautions(metrics)


def _cautions(metrics: Mapping[str, Any]) -> Iterator[str]:
    summary = metrics["summary"]
    patients, area = summary["n_patients"], summary["auroc"]
    if patients < FEW_PATIENTS:
        width = (
            f" The AUROC could as well be {area['low']:.2f} or {area['high']:.2f}."
            if area.get("low") is not None
            else ""
        )
        yield (
            f"These are few patients ({patients}).{width} Differences smaller than the intervals say nothing, and "
            f"other hospitals, scanners and ways of writing notes are not covered by them at all."
        )
    else:
        yield (
            "The intervals cover chance among patients like these; they do not cover other hospitals, scanners and "
            "ways of writing notes."
        )
    scarce = [
        f"{label} ({figures['n_positive']} with, {figures['n_negative']} without)"
        for label, figures in metrics.get("labels", {}).items()
        if min(figures["n_positive"], figures["n_negative"]) < FEW_CASES
    ]
    if scarce:
        yield f"Too few cases to judge a label by itself: {', '.join(scarce)}."
    if without := summary.get("labels_without_auroc"):
        yield f"Not in the mean AUROC, because it is undefined for them: {', '.join(without)}."
    if unlabelled := summary.get("n_unlabelled"):
        yield f"{unlabelled} cases have no known label and are in none of the figures."


def _reliance(metrics: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """What was done to the evidence, the AUROC under it, and the change against the unaltered cases."""
    return [(what, figure, figure.get("change")) for what, figure in metrics.get("reliance", {}).items()]


def _sites(metrics: Mapping[str, Any], title: str) -> dict[str, Any]:
    """Recalibration by cohort; of a single cohort only if it is not the one that the model was trained on."""
    if "cohorts" in metrics:
        return {name: one["recalibration"] for name, one in metrics["cohorts"].items() if one["recalibration"]}
    return {title: metrics["recalibration"]} if metrics.get("external") and metrics.get("recalibration") else {}


def _confusion_plot(metrics: Mapping[str, Any]) -> str:
    """Counts as a heat map, coloured by the share of the row; one small map a label in a multilabel task."""
    from plotly import graph_objects
    from plotly.subplots import make_subplots

    confusion = metrics.get("confusion")
    if not confusion or not metrics["summary"]["n_cases"]:
        return ""
    if "counts" in confusion:
        names = _text(confusion["labels"])
        tables = {"": (confusion["counts"], names, names)}
    else:
        sides = ["absent", "present"]
        tables = {label: (counts, sides, sides) for label, counts in confusion["by_label"].items()}
    across = min(4, len(tables))
    down = math.ceil(len(tables) / across)
    figure = make_subplots(
        rows=down,
        cols=across,
        subplot_titles=_text(tables),
        horizontal_spacing=0.4 / across if across > 1 else 0,
        vertical_spacing=0.35 / down,
    )
    for index, (counts, rows, columns) in enumerate(tables.values()):
        shares = [[cell / max(1, sum(row)) for cell in row] for row in counts]
        heat = graph_objects.Heatmap(
            z=shares,
            x=columns,
            y=rows,
            zmin=0,
            zmax=1,
            text=[[str(cell) for cell in row] for row in counts],
            texttemplate="%{text}",
            colorscale=[[0, "#ffffff"], [1, BLUE]],
            showscale=False,
            xgap=2,
            ygap=2,
            hovertemplate="truth %{y}<br>predicted %{x}<br>%{text} cases, %{z:.0%} of the row<extra></extra>",
        )
        figure.add_trace(heat, row=index // across + 1, col=index % across + 1)
    figure.update_yaxes(autorange="reversed", automargin=True)
    figure.update_xaxes(automargin=True)
    if "counts" in confusion:
        figure.update_xaxes(title_text="predicted (most probable)", side="bottom")
        figure.update_yaxes(title_text="truth")
        return _div(figure, height=150 + 46 * len(confusion["labels"]))
    return _div(figure, height=60 + 210 * down)


def _text(labels: Any) -> list[str]:
    """Labels as plain text: plotly reads some HTML in them, so that goes in escaped."""
    from markupsafe import escape

    return [str(escape(label)) for label in labels]


def _div(figure: Any, *, height: int) -> str:
    from plotly.io import to_html

    figure.update_layout(
        template="plotly_white",
        showlegend=False,
        height=height,
        margin={"l": 60, "r": 20, "t": 40, "b": 50},
        font={"color": INK, "size": 12, "family": "system-ui, sans-serif"},
    )
    figure.update_annotations(font_size=13)
    config = {"displaylogo": False, "displayModeBar": False, "responsive": True}
    return str(
        to_html(
            figure, include_plotlyjs=False, include_mathjax=False, full_html=False, config=config, div_id="confusion"
        )
    )
