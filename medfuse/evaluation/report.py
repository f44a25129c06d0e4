"""The report: one HTML file that opens without a network and says what the figures mean, and what they do not."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from medfuse import __version__
from medfuse.evaluation.checklist import GUIDELINES, answered
from medfuse.evaluation.figures import figures
from medfuse.evaluation.metrics import BINS, METRICS
from medfuse.evaluation.panels import to_svg
from medfuse.page import page

TEMPLATE = Path(__file__).with_name("report.html.j2")

NAMES = {"auroc": "AUROC", "auprc": "AUPRC", "brier": "Brier score", "ece": "ECE", "log_loss": "Log loss"}
TESTS = {  # figures at a threshold, as columns
    "sensitivity": "Sensitivity", "specificity": "Specificity", "ppv": "PPV", "npv": "NPV", "f1": "F1", "mcc": "MCC",
    "lr_positive": "LR+", "lr_negative": "LR−",
}  # fmt: skip
EVIDENCE = {"image": "image", "text": "notes", "tabular": "values", "all": "all together"}
FEW_PATIENTS = 200  # below it an interval of the AUROC is commonly a tenth wide or more
FEW_CASES = 10  # with the label or without it


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
    from markupsafe import Markup

    filters = {
        "figure": _figure,
        "signed": _signed,
        "p": lambda p: "–" if p is None else "< 0.001" if p < 0.0005 else f"{p:.3f}",
        "share": lambda value: "–" if value is None else f"{100 * value:.0f} %",
    }
    drawn = figures(metrics)
    values = {
        "title": title,
        "notes": notes,
        "metrics": metrics,
        "summary": metrics["summary"],
        "names": NAMES,
        "columns": METRICS,
        "made": (made or datetime.now(UTC).date()).isoformat(),
        "bins": BINS,
        "meaning": list(_meaning(metrics)),
        "evidence": EVIDENCE,
        "reliance": _reliance(metrics),
        "confusion": _confusion(metrics),
        "plots": {name: Markup(to_svg(panels, name=name)) for name, panels in drawn.items()},  # noqa: S704  is escaped inside
        "checklist": answered(metrics),
        "guidelines": GUIDELINES,
        "tests": TESTS,
        "sites": _sites(metrics, title),
        "version": __version__,
    }
    html = page(TEMPLATE, values, filters=filters)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    _write(path, html)
    for name, panels in drawn.items():
        (path.parent / "figures").mkdir(exist_ok=True)
        _write(path.parent / "figures" / f"{name}.svg", to_svg(panels, name=name))


def evaluated_card(card: str, metrics: Mapping[str, Any], title: str) -> str:
    """A model card (Markdown) with what was measured in place of the pointer to an evaluation."""
    summary = metrics["summary"]
    lines = [
        *card.split("\nHow good it is")[0].rstrip().split("\n"),
        "",
        f"## Measured: {title}",
        "",
        f"On {summary['n_cases']} labelled cases of {summary['n_patients']} patients, with 95 % intervals:",
        "",
    ]
    for name in METRICS:
        value, interval = _figure(summary[name])
        lines.append(f"- {NAMES[name]}: {value}" + (f" ({interval})" if interval else ""))
    lines += ["", *(f"- {sentence}" for sentence in _meaning(metrics))]
    lines += [f"- {one['sentence']}" for one in metrics.get("use", {}).get("verdicts", {}).values()]
    lines += [f"- {note}" for note in metrics.get("notes", ())]
    return "\n".join(lines) + "\n"


def _write(path: Path, text: str) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)


def _figure(figure: Any) -> tuple[str, str]:
    """The value and its interval, `0.812` and `0.744 to 0.871`; `–` for what is undefined, and no interval for it."""
    if not isinstance(figure, Mapping):
        figure = {"value": figure}
    value, low, high = (figure.get(key) for key in ("value", "low", "high"))
    interval = "" if value is None or low is None or high is None else f"{_three(low)} to {_three(high)}"
    return "–" if value is None else _three(value), interval


def _three(value: float) -> str:
    """Three decimals with a true minus sign, and none before a zero."""
    return f"{round(value, 3) + 0.0:.3f}".replace("-", "−")


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
    yield from _promises(metrics)
    yield from _cautions(metrics)


def _promises(metrics: Mapping[str, Any]) -> Iterator[str]:
    """What was promised of sets, thresholds and flags, and what came of it."""
    found = metrics.get("conformal", {})
    held = found.get("coverage", {})
    if held.get("value") is not None:
        what = "cases" if metrics["task"] == "multiclass" else "known answers (present or absent)"
        yield (
            f"Its prediction sets were to hold the truth in {100 * found['nominal']:.0f} of 100 {what}; here they held"
            f" it in {100 * held['value']:.0f}{_percent(held)}. In {100 * found['abstained']:.0f} of 100 cases the set"
            " names no single answer, which means: not sure."
        )
    for label, one in metrics.get("sensitivity", {}).get("labels", {}).items():
        share, stated = one["sensitivity"], metrics["sensitivity"]["stated"]
        if share["value"] is not None:
            yield (
                f"{label}: the threshold that was to find {100 * stated:.0f} of 100 cases found"
                f" {100 * share['value']:.0f}{_percent(share)}."
            )
    alarms = metrics.get("outliers", {})
    if alarms.get("flagged", {}).get("value") is not None:
        kind = "false alarms" if alarms["own"] else "more would mean that these cases are unlike those"
        yield (
            f"{100 * alarms['flagged']['value']:.0f} of 100 cases{_percent(alarms['flagged'])} were flagged as unlike"
            f" those of training, where about {100 * alarms['nominal']:.0f} were to be expected ({kind})."
        )


def _percent(figure: Mapping[str, Any]) -> str:
    low, high = figure.get("low"), figure.get("high")
    return "" if low is None or high is None else f" (95 % interval {100 * low:.0f} to {100 * high:.0f})"


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


def _confusion(metrics: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Tables of counts, each cell with the share of its row; one small table a label in a multilabel task."""
    confusion = metrics.get("confusion")
    if not confusion or not metrics["summary"]["n_cases"]:
        return []
    if "counts" in confusion:
        named = {"": (confusion["counts"], confusion["labels"])}
    else:
        named = {label: (counts, ["absent", "present"]) for label, counts in confusion["by_label"].items()}
    return [
        {
            "title": title,
            "columns": names,
            "rows": [
                (name, [(cell, cell / max(1, sum(row))) for cell in row])
                for name, row in zip(names, counts, strict=True)
            ],
        }
        for title, (counts, names) in named.items()
    ]
