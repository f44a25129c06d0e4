"""Bars with their names and figures: probabilities, and how far each modality moved the most probable one.

Drawn by the page itself, since a case is opened often and plotly is almost five megabytes of code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Literal

from medfuse.case import Prediction
from medfuse.resources import shipped
from medfuse.review.texts import Texts, english

KINDS = {"image": "scan", "text": "note", "tabular": "values"}  # of texts, by modality


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar.

    Attributes:
        name: What it is of.
        start: Where it begins, a share of the room for bars.
        end: Where it ends; a bar to the left of `start` is one of less.
        text: Its figure.
        tone: `main`, `pale` or `less`.
    """

    name: str
    start: float
    end: float
    text: str
    tone: Literal["main", "pale", "less"]


def probability_bars(prediction: Prediction, *, texts: Texts | None = None) -> list[Bar]:
    """Calibrated probabilities, highest first; labels that can be excluded are pale."""
    t = texts or english()
    ordered = sorted(prediction.probabilities.items(), key=lambda pair: -pair[1])
    return [
        Bar(label, 0.0, value, t.percent(value), "main" if label in prediction.prediction_set else "pale")
        for label, value in ordered
    ]


def contribution_bars(prediction: Prediction, *, texts: Texts | None = None) -> list[Bar]:
    """How far each modality moved the most probable label, in percentage points with sign, greatest first."""
    t = texts or english()
    ordered = sorted(prediction.contributions.items(), key=lambda pair: -abs(pair[1]))
    low, high = min([0.0, *prediction.contributions.values()]), max([0.0, *prediction.contributions.values()])
    room = max(high - low, 0.01)
    zero = -low / room
    return [
        Bar(
            t(f"kind_{KINDS[name]}") if name in KINDS else name,
            round(zero, 4),
            round(zero + value / room, 4),
            f"{100 * value:+.0f}".replace("-", "−"),
            "main" if value >= 0 else "less",
        )
        for name, value in ordered
    ]


def show_bars(bars: Sequence[Bar], *, key: str, name: str) -> None:
    """Draw them.

    Args:
        bars: From the top down.
        key: Of the element.
        name: What they are, for screen readers.
    """
    _component()(data={"name": name, "bars": [asdict(one) for one in bars]}, key=key)


@cache
def _component() -> Any:
    from streamlit.components.v2 import component

    folder = shipped("dashboard") / "bars"
    css, js = ((folder / f"bars.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return component("medfuse_bars", css=css, js=js)
