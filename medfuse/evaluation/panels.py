"""Small charts as SVG: one drawing for the report, where it answers the pointer, and for print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

INK, BLUE, GREY, RUST = "#1f2933", "#1d5fa8", "#9aa5b1", "#b4532a"
READ = 25  # points of a curve that tell their value
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
        y: The same.
    """

    title: str
    lines: Sequence[Line]
    x: tuple[str, float, float]
    y: tuple[str, float, float]


def to_svg(panels: Sequence[Panel], *, name: str = "figure", across: int = 3) -> str:
    """The panels as one SVG; numbers are rounded, so the same data always give the same bytes.

    Args:
        panels: In reading order.
        name: What stands before the ids inside, so that a page can hold several figures.
        across: Panels beside each other.
    """
    across = max(1, min(across, len(panels)))
    down = math.ceil(len(panels) / across)
    places = ((index % across * _WIDTH, index // across * _HEIGHT) for index in range(len(panels)))
    body = [_panel(panel, left, top, name) for panel, (left, top) in zip(panels, places, strict=True)]
    width, height = across * _WIDTH, down * _HEIGHT
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="figure" viewBox="0 0 {width} {height}" width="{width}" '
        f'height="{height}" font-family="system-ui, DejaVu Sans, sans-serif" font-size="11" fill="{INK}">\n'
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def _panel(panel: Panel, left: int, top: int, name: str) -> str:
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
    clip = f"{name}-{left}-{top}"
    parts.append(f'<clipPath id="{clip}"><rect x="{x0}" y="{y1}" width="{x1 - x0}" height="{y0 - y1}"/></clipPath>')
    parts.append(f'<g clip-path="url(#{clip})">')
    told = []
    for line in panel.lines:
        spots = [(across(x), up(y)) for x, y in zip(line.x, line.y, strict=True)]
        ends = (line.low, line.high) if line.low is not None and line.high is not None else None
        parts += _marks(line, spots, [] if ends is None else [[up(y) for y in end] for end in ends])
        if not line.dashed:
            told += [_reading(line, place, spots, panel) for place in _read(len(line.x), line)]
    return "\n".join([*parts, "</g>", *told])


def _marks(line: Line, spots: Sequence[tuple[str, str]], ends: Sequence[Sequence[str]]) -> list[str]:
    """What is seen of a line: its band or error bars, and the curve or points."""
    pairs = [f"{x},{y}" for x, y in spots]
    if not line.points:
        dash = ' stroke-dasharray="4 3"' if line.dashed else ""
        curve = f'<polyline points="{" ".join(pairs)}" fill="none" stroke="{line.colour}"{dash}/>'
        if not ends:
            return [curve]
        lower, upper = ([f"{x},{y}" for (x, _), y in zip(spots, end, strict=True)] for end in ends)
        outline = " ".join([*upper, *reversed(lower)])
        return [f'<polygon points="{outline}" fill="{line.colour}" opacity="0.15"/>', curve]
    bars = [
        f'<line x1="{x}" x2="{x}" y1="{low}" y2="{high}" stroke="{line.colour}"/>'
        for (x, _), low, high in (zip(spots, *ends, strict=True) if ends else ())
    ]
    return [*bars, *(f'<circle cx="{x}" cy="{y}" r="3" fill="{line.colour}"/>' for x, y in spots)]


def _read(count: int, line: Line) -> list[int]:
    """Which of a line's points tell their value: all of what is drawn as points, some of a curve."""
    if line.points or count <= READ:
        return list(range(count))
    return sorted({round(k * (count - 1) / (READ - 1)) for k in range(READ)})


def _reading(line: Line, place: int, spots: Sequence[tuple[str, str]], panel: Panel) -> str:
    """An unseen spot that shows itself and its value under the pointer."""
    from markupsafe import escape

    x, y = spots[place]
    value = f"{line.name or panel.y[0]} {line.y[place]:.3f} at {panel.x[0]} {line.x[place]:.3g}"
    if line.low is not None and line.high is not None:
        value += f", 95 % {line.low[place]:.3f} to {line.high[place]:.3f}"
    if line.notes:
        value += f" {line.notes[place]}"
    return (
        f'<circle class="spot" cx="{x}" cy="{y}" r="4" fill="{line.colour}" opacity="0">'
        f"<title>{escape(panel.title)}: {escape(value)}</title></circle>"
    )


def _ticks(low: float, high: float) -> list[float]:
    """Four to seven round numbers within the range."""
    rough = (high - low) / 6
    power = 10 ** math.floor(math.log10(rough))
    step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= rough)
    return [round(k * step, 10) + 0.0 for k in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]
