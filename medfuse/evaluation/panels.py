"""Small charts drawn twice from one description: plotly for the screen, SVG for print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

INK, BLUE, GREY, RUST = "#1f2933", "#1d5fa8", "#9aa5b1", "#b4532a"
_WIDTH, _HEIGHT, _LEFT, _BELOW, _ABOVE = 300, 260, 52, 44, 28  # of one panel, pixels


@dataclass(frozen=True)
class Line:
    """A curve, with a band or error bars where `low` and `high` are given."""

    x: Sequence[float]
    y: Sequence[float]
    name: str = ""
    colour: str = BLUE
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None
    dashed: bool = False
    points: bool = False
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Panel:
    """One chart.

    Attributes:
        title: Above it.
        lines: From back to front.
        x: Name of the axis, and its range.
        y: Name of the axis, and its range.
    """

    title: str
    lines: Sequence[Line]
    x: tuple[str, float, float]
    y: tuple[str, float, float]


def to_plotly(panels: Sequence[Panel], *, name: str, across: int = 3) -> str:
    """The panels as one interactive figure in HTML; `name` is the element's id, so that a page is always the same."""
    from plotly import graph_objects
    from plotly.io import to_html
    from plotly.subplots import make_subplots

    if not panels:
        return ""
    across = min(across, len(panels))
    down = math.ceil(len(panels) / across)
    figure = make_subplots(
        rows=down,
        cols=across,
        subplot_titles=[_plain(panel.title) for panel in panels],
        horizontal_spacing=0.2 / across,
        vertical_spacing=0.3 / down,
    )
    for index, panel in enumerate(panels):
        place = {"row": index // across + 1, "col": index % across + 1}
        for line in panel.lines:
            for trace in _traces(line, graph_objects):
                figure.add_trace(trace, **place)
        figure.update_xaxes(title_text=panel.x[0], range=panel.x[1:], title_standoff=6, **place)
        figure.update_yaxes(range=panel.y[1:], **place)
        if index % across == 0:
            figure.update_yaxes(title_text=panel.y[0], **place)
    figure.update_layout(
        template="plotly_white",
        showlegend=False,
        height=60 + 290 * down,
        margin={"l": 60, "r": 20, "t": 40, "b": 50},
        font={"color": INK, "size": 12, "family": "system-ui, sans-serif"},
    )
    figure.update_annotations(font_size=13)
    config = {"displaylogo": False, "displayModeBar": False, "responsive": True}
    html = to_html(figure, include_plotlyjs=False, include_mathjax=False, full_html=False, config=config, div_id=name)
    return str(html)


def _traces(line: Line, objects: Any) -> list[Any]:
    traces = []
    if line.low is not None and line.high is not None and not line.points:
        edge = {"x": [*line.x, *reversed(line.x)], "y": [*line.high, *reversed(line.low)]}
        fill = f"rgba({int(line.colour[1:3], 16)},{int(line.colour[3:5], 16)},{int(line.colour[5:], 16)},0.15)"
        traces.append(objects.Scatter(**edge, fill="toself", fillcolor=fill, line={"width": 0}, hoverinfo="skip"))
    bars = None
    if line.low is not None and line.high is not None and line.points:
        bars = {
            "type": "data",
            "symmetric": False,
            "array": [high - y for high, y in zip(line.high, line.y, strict=True)],
            "arrayminus": [y - low for low, y in zip(line.low, line.y, strict=True)],
            "thickness": 1,
            "width": 2,
        }
    traces.append(
        objects.Scatter(
            x=list(line.x),
            y=list(line.y),
            name=_plain(line.name),
            mode="markers" if line.points else "lines",
            marker={"color": line.colour, "size": 6},
            line={"color": line.colour, "width": 1 if line.dashed else 2, "dash": "dash" if line.dashed else "solid"},
            error_y=bars,
            text=[_plain(note) for note in line.notes] or None,
            hovertemplate=f"{_plain(line.name)} %{{x:.3g}}, %{{y:.3f}} %{{text}}<extra></extra>"
            if line.notes
            else f"{_plain(line.name)} %{{x:.3g}}, %{{y:.3f}}<extra></extra>",
        )
    )
    return traces


def to_svg(panels: Sequence[Panel], *, across: int = 3) -> str:
    """The panels as one SVG file; numbers are rounded, so the same data always give the same bytes."""
    across = max(1, min(across, len(panels)))
    down = math.ceil(len(panels) / across)
    body = [_panel(panel, index % across * _WIDTH, index // across * _HEIGHT) for index, panel in enumerate(panels)]
    width, height = across * _WIDTH, down * _HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="system-ui, DejaVu Sans, sans-serif" font-size="11" fill="{INK}">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _panel(panel: Panel, left: int, top: int) -> str:
    from markupsafe import escape

    x0, x1 = left + _LEFT, left + _WIDTH - 14
    y0, y1 = top + _HEIGHT - _BELOW, top + _ABOVE
    centre = (x0 + x1) // 2

    def across(value: float) -> str:
        return f"{x0 + (value - panel.x[1]) / (panel.x[2] - panel.x[1]) * (x1 - x0):.1f}"

    def up(value: float) -> str:
        return f"{y0 + (value - panel.y[1]) / (panel.y[2] - panel.y[1]) * (y1 - y0):.1f}"

    parts = [f'<text x="{centre}" y="{top + 18}" text-anchor="middle" font-size="12">{escape(panel.title)}</text>']
    for y in _ticks(*panel.y[1:]):
        parts += [
            f'<line x1="{x0}" x2="{x1}" y1="{up(y)}" y2="{up(y)}" stroke="#e4e9ee"/>',
            f'<text x="{x0 - 5}" y="{up(y)}" dy="4" text-anchor="end">{y:.3g}</text>',
        ]
    for x in _ticks(*panel.x[1:]):
        parts.append(f'<text x="{across(x)}" y="{y0 + 15}" text-anchor="middle">{x:.3g}</text>')
    parts.append(f'<text x="{centre}" y="{y0 + 32}" text-anchor="middle">{escape(panel.x[0])}</text>')
    middle = (y0 + y1) // 2
    turned = f'transform="rotate(-90 {left + 13} {middle})"'
    parts.append(f'<text x="{left + 13}" y="{middle}" text-anchor="middle" {turned}>{escape(panel.y[0])}</text>')
    clip = f"c{left}x{top}"
    parts.append(f'<clipPath id="{clip}"><rect x="{x0}" y="{y1}" width="{x1 - x0}" height="{y0 - y1}"/></clipPath>')
    parts.append(f'<g clip-path="url(#{clip})">')
    for line in panel.lines:
        spots = [f"{across(x)},{up(y)}" for x, y in zip(line.x, line.y, strict=True)]
        ends = (line.low, line.high) if line.low is not None and line.high is not None else None
        if ends is not None and not line.points:
            upper = [f"{across(x)},{up(y)}" for x, y in zip(line.x, ends[1], strict=True)]
            lower = [f"{across(x)},{up(y)}" for x, y in zip(line.x, ends[0], strict=True)]
            parts.append(
                f'<polygon points="{" ".join([*upper, *reversed(lower)])}" fill="{line.colour}" opacity="0.15"/>'
            )
        if not line.points:
            dash = ' stroke-dasharray="4 3"' if line.dashed else ""
            parts.append(f'<polyline points="{" ".join(spots)}" fill="none" stroke="{line.colour}"{dash}/>')
            continue
        if ends is not None:
            parts += [
                f'<line x1="{across(x)}" x2="{across(x)}" y1="{up(low)}" y2="{up(high)}" stroke="{line.colour}"/>'
                for x, low, high in zip(line.x, *ends, strict=True)
            ]
        parts += [
            f'<circle cx="{across(x)}" cy="{up(y)}" r="3" fill="{line.colour}"/>'
            for x, y in zip(line.x, line.y, strict=True)
        ]
    return "\n".join([*parts, "</g>"])


def _ticks(low: float, high: float) -> list[float]:
    """Four to seven round numbers within the range."""
    rough = (high - low) / 6
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough)
    return [round(k * step, 10) + 0.0 for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def _plain(text: str) -> str:
    """Text as plain text: plotly reads some HTML in it, so that goes in escaped."""
    from markupsafe import escape

    return str(escape(text))
