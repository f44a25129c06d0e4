"""The figures of `metrics.json` for reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADLINE: Mapping[str, tuple[str, str]] = {
    "auroc": ("AUROC", "How often a case with the label gets a higher probability than one without. 0.5 is guessing."),
    "auprc": ("AUPRC", "Precision over all recalls; guessing gives the label's share of the cases."),
    "brier": ("Brier score", "Mean squared error of the probabilities. Lower is better."),
    "ece": ("ECE", "How far probabilities are from what is observed, on average. Lower is better."),
    "log_loss": ("Log loss", "Punishes confident mistakes. Lower is better."),
}
_EVIDENCE = {"image": "the image alone", "text": "the notes alone", "tabular": "the values alone", "all": "everything"}


def figure_text(figure: Any) -> tuple[str, str]:
    """A figure and its interval, `0.812` and `0.744 to 0.871`; `–` and `not defined` for what is not there."""
    if not isinstance(figure, Mapping) or figure.get("value") is None:
        return "–", "not defined"
    if figure.get("low") is None or figure.get("high") is None:
        return f"{figure['value']:.3f}", "no interval"
    return f"{figure['value']:.3f}", f"{figure['low']:.3f} to {figure['high']:.3f}"


def best_reachable(summary: Mapping[str, Any]) -> list[str]:
    """Sentences on the best AUROC that the evidence allows, where the truth is known."""
    known = {name: best for name, best in (summary.get("best_reachable_auroc") or {}).items() if best is not None}
    lines = []
    area = (summary.get("auroc") or {}).get("value")
    if "all" in known and area is not None:
        lines.append(
            f"These cases are synthetic, so the best that any model could reach is known: an AUROC of "
            f"{known['all']:.3f}. This model reaches {100 * area / known['all']:.0f} % of it."
        )
    parts = [f"{_EVIDENCE[name]} {best:.3f}" for name, best in known.items() if name in _EVIDENCE and name != "all"]
    if parts:
        lines.append(f"With less evidence the best would be: {', '.join(parts)}.")
    return lines


def label_table(labels: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row a label: counts and each metric with its interval, as text."""
    rows = []
    for label, figures in labels.items():
        row: dict[str, Any] = {
            "Label": label,
            "With": figures.get("n_positive"),
            "Without": figures.get("n_negative"),
        }
        for name, (title, _) in HEADLINE.items():
            value, interval = figure_text(figures.get(name))
            row[title] = f"{value} ({interval})" if interval[0].isdigit() else value
        rows.append(row)
    return rows
