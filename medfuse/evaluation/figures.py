"""The figures of a report, as panels made of `metrics.json`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from medfuse.evaluation.panels import BLUE, GREY, INK, RUST, Line, Panel
from medfuse.evaluation.reliance import WORDS

_DIAGONAL = Line((0, 1), (0, 1), colour=GREY, dashed=True)


def figures(metrics: Mapping[str, Any]) -> dict[str, list[Panel]]:
    """By name the panels of each figure; a figure without data is not there."""
    found = {
        "reliability": _reliability(metrics),
        "decision": _decision(metrics),
        "abstention": _abstention(metrics),
        "missing": _missing(metrics),
        "stress": _stress(metrics),
    }
    return {name: panels for name, panels in found.items() if panels}


def _reliability(metrics: Mapping[str, Any]) -> list[Panel]:
    """Bins with Wilson intervals, the smooth curve with its band, and the diagonal of perfect calibration."""
    panels = []
    for label, points in metrics.get("reliability", {}).items():
        if not points:
            continue
        lines = [_DIAGONAL]
        if curve := metrics.get("calibration", {}).get(label, {}).get("curve"):
            columns = {key: [point[key] for point in curve] for key in ("said", "observed", "low", "high")}
            lines.append(Line(columns["said"], columns["observed"], "smooth", RUST, columns["low"], columns["high"]))
        lines.append(
            Line(
                [point["mean_predicted"] for point in points],
                [point["observed"] for point in points],
                low=[point["low"] for point in points],
                high=[point["high"] for point in points],
                points=True,
                notes=[f"({point['n']} cases)" for point in points],
            )
        )
        panels.append(Panel(label, lines, ("mean probability", 0, 1), ("observed fraction", 0, 1)))
    return panels


def _decision(metrics: Mapping[str, Any]) -> list[Panel]:
    """Net benefit of the model, of acting on all and of acting on nobody."""
    panels = []
    for label, curve in metrics.get("decision_curves", {}).items():
        if not curve:
            continue
        at = [point["threshold"] for point in curve]
        model = [point["model"] for point in curve]
        low = [point["model"] if point["low"] is None else point["low"] for point in curve]
        high = [point["model"] if point["high"] is None else point["high"] for point in curve]
        share = metrics["labels"][label]["prevalence"] or 0.1
        lines = [
            Line((0, 1), (0, 0), "nobody", INK, dashed=True),
            Line(at, [max(point["all"], -share) for point in curve], "all", GREY),
            Line(at, model, "model", low=low, high=high),
        ]
        panels.append(Panel(label, lines, ("threshold probability", 0, 1), ("net benefit", -share / 2, share * 1.15)))
    return panels


def _abstention(metrics: Mapping[str, Any]) -> list[Panel]:
    """Error among the cases that are kept, over all and among the cases of each label."""
    found = metrics.get("abstention") or {}
    curves = {"all cases": found.get("curve"), **{k: v and v["curve"] for k, v in found.get("by_label", {}).items()}}
    panels = []
    for name, curve in curves.items():
        if curve:
            at, risk = ([point[key] for point in curve] for key in ("coverage", "risk"))
            level = Line((0, 1), (risk[-1], risk[-1]), colour=GREY, dashed=True)
            lines = [level, Line(at, risk, "error", RUST if name == "all cases" else BLUE)]
            panels.append(Panel(name, lines, ("share kept", 0, 1), ("error", 0, max(0.05, 1.1 * max(risk)))))
    return panels


def _missing(metrics: Mapping[str, Any]) -> list[Panel]:
    """AUROC and ECE against the share of cases that lack a modality, beside the best reachable where it is known."""
    areas, errors = [], []
    for name, curve in metrics.get("missing", {}).items():
        told = [point for point in curve if point["auroc"]["low"] is not None and point["ece"] is not None]
        if len(told) < 2:
            continue
        at = [point["rate"] for point in told]
        ends = {key: [point["auroc"][key] for point in told] for key in ("value", "low", "high")}
        lines = [Line((0, 1), (0.5, 0.5), "guessing", GREY, dashed=True)]
        if all(point.get("best_reachable_auroc") is not None for point in told):
            lines.append(Line(at, [point["best_reachable_auroc"] for point in told], "best reachable", RUST))
        lines.append(Line(at, ends["value"], "AUROC", low=ends["low"], high=ends["high"]))
        ece = [point["ece"] for point in told]
        title, share = f"{WORDS[name]} missing", (f"share without {WORDS[name]}", 0, 1)
        areas.append(Panel(title, lines, share, ("AUROC", 0.4, 1)))
        errors.append(Panel(title, [Line(at, ece, "ECE")], share, ("ECE", 0, max(0.1, 1.1 * max(ece)))))
    return areas + errors


def _stress(metrics: Mapping[str, Any]) -> list[Panel]:
    """AUROC against the strength of each change, with its interval."""
    panels = []
    for name, curve in metrics.get("stress", {}).items():
        told = [point for point in curve if point["auroc"]["value"] is not None and point["auroc"]["low"] is not None]
        if len(told) < 2:
            continue
        ends = {key: [point["auroc"][key] for point in told] for key in ("value", "low", "high")}
        at = [point["strength"] for point in told]
        lines = [
            Line((0, 1), (0.5, 0.5), "guessing", GREY, dashed=True),
            Line(at, ends["value"], name, low=ends["low"], high=ends["high"]),
        ]
        panels.append(Panel(name, lines, ("strength", 0, 1), ("AUROC", 0.4, 1)))
    return panels
