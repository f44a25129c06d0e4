"""The figures of `metrics.json` for reading."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medfuse.review.texts import Texts, english

HEADLINE: Mapping[str, str] = {
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "brier": "Brier score",
    "ece": "ECE",
    "log_loss": "Log loss",
}  # names that are the same in every language; what they mean is the text `metric_NAME`
_EVIDENCE = ("image", "text", "tabular")


def figure_text(figure: Any, *, texts: Texts | None = None) -> tuple[str, str]:
    """A figure and its interval, `0.812` and `0.744 to 0.871`; `–` and `not defined` for what is not there."""
    t = texts or english()
    if not isinstance(figure, Mapping) or figure.get("value") is None:
        return "–", t("not_defined")
    if figure.get("low") is None or figure.get("high") is None:
        return f"{figure['value']:.3f}", t("no_interval")
    return f"{figure['value']:.3f}", t("from_to", low=f"{figure['low']:.3f}", high=f"{figure['high']:.3f}")


def best_reachable(summary: Mapping[str, Any], *, texts: Texts | None = None) -> list[str]:
    """Sentences on the best AUROC that the evidence allows, where the truth is known."""
    t = texts or english()
    known = {name: best for name, best in (summary.get("best_reachable_auroc") or {}).items() if best is not None}
    lines = []
    area = (summary.get("auroc") or {}).get("value")
    if "all" in known and area is not None:
        lines.append(t("best_known", best=f"{known['all']:.3f}", share=f"{100 * area / known['all']:.0f}"))
    parts = [f"{t('only_' + name)} {known[name]:.3f}" for name in _EVIDENCE if name in known]
    if parts:
        lines.append(t("best_with_less", parts=", ".join(parts)))
    return lines


def label_table(labels: Mapping[str, Mapping[str, Any]], *, texts: Texts | None = None) -> list[dict[str, Any]]:
    """One row a label: counts and each metric with its interval, as text."""
    t = texts or english()
    return [
        {t("label"): label, t("with_it"): figures.get("n_positive"), t("without_it"): figures.get("n_negative")}
        | {title: _cell(figures.get(name), t) for name, title in HEADLINE.items()}
        for label, figures in labels.items()
    ]


def subgroup_table(column: Mapping[str, Any], *, texts: Texts | None = None) -> list[dict[str, Any]]:
    """One row a group of a column of `metrics.json`'s subgroups, the largest first: AUROC, Brier score and their gaps.

    A group that is too small says so in place of figures.
    """
    t = texts or english()
    rows = []
    for name, entry in column["groups"].items():
        row: dict[str, Any] = {t("group"): name, t("cases"): entry["n_cases"], t("patients"): entry["n_patients"]}
        if "too_few" in entry:
            row[t("remark")] = t.said(entry["too_few"])
        else:
            row |= {HEADLINE[metric]: _cell(entry.get(metric), t) for metric in ("auroc", "brier")}
            gap = (entry.get("gap") or {}).get("auroc")
            row[t("gap")] = t("reference_group") if name == column.get("reference") else _cell(gap, t)
        rows.append(row)
    return rows


def _cell(figure: Any, t: Texts) -> str:
    value, interval = figure_text(figure, texts=t)
    return value if interval in (t("not_defined"), t("no_interval")) else f"{value} ({interval})"
