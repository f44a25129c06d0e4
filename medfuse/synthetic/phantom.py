"""Pixels: a chest phantom that looks like a frontal radiograph and shows the findings it is told to show.

Only arithmetic that IEEE 754 fixes to the last bit is used (no exp, sin or pow, whose last bit depends on the
processor), so that one seed gives the same picture everywhere; compilers that fuse a product and a sum, and NumPy's
normal draws, can still change the last bit of a few pixels. Coordinates are in half widths of the chest: x grows to
the picture's right (the patient's left), y downwards, the origin lies in the middle of the chest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32

Plane = Float32[np.ndarray, "h w"]

SIDES = (-1.0, 1.0)
_SOLID = 0.12  # density from which an opacity is told from the fine mesh about it, which is at most 0.08


@dataclass(frozen=True)
class _Body:
    """What varies from one person and exposure to the next, besides the findings."""

    x: Plane
    y: Plane
    lung_width: float
    lung_top: float
    domes: Mapping[float, float]  # height of the diaphragm's dome by side
    rng: np.random.Generator

    def between(self, low: float, high: float) -> float:
        return float(self.rng.uniform(low, high))

    def texture(self, cells: int) -> Plane:
        """Smooth noise of mean 0 and deviation about 0.6, `cells` lumps along each side."""
        return _smooth_noise(self.x.shape[0], self.x.shape[1], cells, self.rng)


@dataclass(frozen=True)
class Drawn:
    """A picture and where in it the finding lies.

    Attributes:
        grey: Grey values [rows, columns] in 0…1; 1 is white, which is where least radiation arrived.
        opacity: True [rows, columns] where an opacity lies in the lung.
    """

    grey: Plane
    opacity: Bool[np.ndarray, "h w"]


def render(findings: Mapping[str, str], *, rows: int, columns: int, rng: np.random.Generator) -> Drawn:
    """A frontal chest phantom.

    Args:
        findings: States of `opacity` (none, focal, perihilar, basal), `heart` (normal, enlarged) and `effusion`
            (none, present).
        rows: Height, pixels.
        columns: Width, pixels.
        rng: Decides everything that the findings leave open.
    """
    x, y = _coordinates(rows, columns, rng)
    side = float(rng.choice(SIDES))  # where a one-sided opacity lies; fluid gathers on the other
    level = float(rng.uniform(0.56, 0.68))
    raised = {side: 0.20 if findings["opacity"] == "basal" else 0.0, -side: 0.0}
    domes = {s: level + 0.03 * s - raised[s] for s in SIDES}
    body = _Body(x, y, float(rng.uniform(0.33, 0.37)), float(rng.uniform(-0.86, -0.78)), domes, rng)
    solid = np.maximum(_heart(body, enlarged=findings["heart"] == "enlarged"), _vessel_stem(body))
    lungs = {s: _lung(body, s) * (1 - 0.88 * solid) for s in SIDES}
    if findings["effusion"] == "present":
        lungs[-side] *= 1 - _effusion(body, -side)
    air = lungs[-1.0] + lungs[1.0]
    density = _torso(body) + 0.06 * solid
    density += air * (_vessels(body) - 0.50 + 0.03 * body.texture(5))
    density += _bones(body, air) + _spine(body)
    opacity = _opacity(body, lungs, findings["opacity"], side)
    density += opacity
    density += _devices(body)
    return Drawn(_expose(density, body), opacity > _SOLID)


def _coordinates(rows: int, columns: int, rng: np.random.Generator) -> tuple[Plane, Plane]:
    """Where each pixel lies in the chest, after a slight turn, shift and change of size."""
    half = float(rng.uniform(-0.025, 0.025))  # tangent of half the angle: up to 2.9 degrees, without sine or cosine
    cosine, sine = (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)
    size = float(rng.uniform(0.96, 1.04))
    right, down = rng.uniform(-0.03, 0.03, 2)
    across = (np.arange(columns, dtype=np.float32) * 2 + 1 - columns) / columns * np.float32(size) + np.float32(right)
    along = (np.arange(rows, dtype=np.float32) * 2 + 1 - rows) / columns * np.float32(size) + np.float32(down)
    u, v = across[None, :], along[:, None]
    return (
        u * np.float32(cosine) - v * np.float32(sine),
        u * np.float32(sine) + v * np.float32(cosine),
    )


def _step(value: Plane, width: float) -> Plane:
    """0 below -width, 1 above +width, smooth in between (cubic Hermite)."""
    t = value * np.float32(0.5 / width)
    t += np.float32(0.5)
    np.maximum(t, 0, out=t)
    np.minimum(t, 1, out=t)
    square = t * t
    t *= -2
    t += 3
    square *= t
    return square


def _ellipse(body: _Body, x: float, y: float, across: float, along: float, soft: float) -> Plane:
    """1 inside an ellipse, 0 outside; `soft` is the breadth of its edge in parts of its radius."""
    radius = np.sqrt(((body.x - x) * (1 / across)) ** 2 + ((body.y - y) * (1 / along)) ** 2)
    return _step(1 - radius, soft)


def _bump(value: Plane, width: float) -> Plane:
    """1 at 0, 0 beyond `width`."""
    t = np.clip(1 - (value * np.float32(1 / width)) ** 2, 0, 1)
    return t * t


def _smooth_noise(rows: int, columns: int, cells: int, rng: np.random.Generator) -> Plane:
    """Value noise: normal values on a grid, joined smoothly."""
    grid = rng.standard_normal((cells + 2, cells + 2), dtype=np.float32)

    def weights(count: int) -> tuple[np.ndarray, np.ndarray]:
        position = np.arange(count, dtype=np.float32) * np.float32(cells / count)
        cell = position.astype(np.intp)
        t = position - cell.astype(np.float32)
        return cell, t * t * (3 - 2 * t)

    cell, t = weights(columns)
    grid = grid[:, cell] * (1 - t) + grid[:, cell + 1] * t
    cell, t = weights(rows)
    t = t[:, None]
    return np.asarray(grid[cell] * (1 - t) + grid[cell + 1] * t, dtype=np.float32)


def _torso(body: _Body) -> Plane:
    """Soft tissue: shoulders, chest wall and neck; air around it."""
    width = 0.98 + 0.06 * _step(body.y + 0.5, 0.4)
    inside = _step(width - np.abs(body.x), 0.05)
    shoulder = -0.88 + 0.34 * body.x * body.x + body.between(-0.03, 0.03)
    neck = _step(0.30 - np.abs(body.x), 0.08)
    inside = inside * np.maximum(_step(body.y - shoulder, 0.06), neck)
    thickness = 0.70 + 0.12 * _step(body.y - 0.55, 0.35) - 0.06 * body.x * body.x
    return np.asarray(inside * (thickness + 0.02 * body.texture(4)), dtype=np.float32)


def _lung(body: _Body, side: float) -> Plane:
    """One lung field: rounded at the top, cut by the dome of the diaphragm at the bottom."""
    centre = side * (0.12 + body.lung_width)
    t = np.clip((body.y - body.lung_top) / (body.domes[side] + 0.1 - body.lung_top), 0.0, 1.0)
    half = body.lung_width * np.sqrt(np.maximum(1 - (1 - t) ** 3, 0))  # narrow at the apex, full towards the base
    outward = side * body.x - abs(centre) + 0.1 * (1 - t)  # the apex leans to the middle
    walls = _step(half - np.abs(outward), 0.025) * _step(body.y - body.lung_top, 0.02)
    bow = (side * body.x - 0.42) / 0.45
    dome = body.domes[side] + bow * (0.16 * bow + 0.06 * np.abs(bow))
    return np.asarray(walls * _step(dome - body.y, 0.02), dtype=np.float32)


def _vessels(body: _Body) -> Plane:
    """Markings that fan out from both hila and fade towards the wall."""
    rays, rings = 30, 6
    aside, down = np.abs(body.x) - np.float32(0.16), body.y + np.float32(0.02)
    reach = np.sqrt(aside * aside + down * down)
    fade = np.maximum(1 - reach * 1.5, 0)
    angle = (down / (np.abs(aside) + np.abs(down) + np.float32(0.02)) + 1) * np.float32(0.5)  # 0 up, 1 down
    ray, ring = angle * (rays - 1), np.minimum(reach, 0.99) * rings
    cell_ray, cell_ring = ray.astype(np.int32), ring.astype(np.int32)
    ray -= cell_ray
    ring -= cell_ring
    ray *= ray * (3 - 2 * ray)
    grid = body.rng.standard_normal((2, rays + 1, rings + 1), dtype=np.float32).ravel()  # one fan a side
    corner = ((body.x > 0) * np.int32(rays + 1) + cell_ray) * np.int32(rings + 1) + cell_ring
    inner = grid.take(corner)
    inner += (grid.take(corner + np.int32(rings + 1)) - inner) * ray
    corner += 1
    outer = grid.take(corner)
    outer += (grid.take(corner + np.int32(rings + 1)) - outer) * ray
    fan = np.maximum(inner + (outer - inner) * ring, 0)
    hilum = fade * fade * fade * _step(0.3 - reach, 0.3)
    return np.asarray((0.13 * fan * fade + 0.10 * hilum) * _step(aside + 0.05, 0.01), dtype=np.float32)


def _bones(body: _Body, air: Plane) -> Plane:
    """Ribs (hind ones steep and bright, front ones faint), collarbones, shoulder blades."""
    reach = np.abs(body.x)
    cage = (
        _step(0.97 - reach, 0.03) * _step(reach - 0.06, 0.03) * _step(body.y + 0.80, 0.05) * _step(0.80 - body.y, 0.1)
    )
    spacing = body.between(0.165, 0.19)
    phase = body.between(0, 1)
    out = reach - 0.42
    hind = (body.y - 0.05 * reach - 0.55 * out * out * (1 + reach)) / spacing + phase
    front = (body.y + 0.34 * reach + 0.30 * out * out) / (spacing * 1.1) + body.between(0, 1)
    bones = cage * (0.3 + 0.7 * air) * (0.08 * _rib(hind, 0.27) + 0.035 * _rib(front, 0.30) * _step(reach - 0.2, 0.1))
    slope = body.between(-0.16, -0.06)
    for side in SIDES:
        along = side * body.x
        line = -0.70 + slope * (along - 0.4) + 0.18 * (along - 0.4) ** 2 + side * body.between(-0.015, 0.015)
        span = _step(along - 0.09, 0.03) * _step(0.86 - along, 0.05)
        bones += 0.13 * span * _step(0.034 - np.abs(body.y - line), 0.012)
        blade = _ellipse(body, side * body.between(0.84, 0.92), -0.42, 0.12, 0.40, 0.25)
        bones += 0.07 * blade
    return np.asarray(bones, dtype=np.float32)


def _rib(phase: Plane, half: float) -> Plane:
    """A band about each whole number, brighter at its edges as the hard shell of a rib is."""
    away = np.abs(phase - np.floor(phase) - np.float32(0.5))
    return _step(half - away, 0.05) * (0.75 + 0.5 * _bump(away - half + 0.05, 0.08))


def _spine(body: _Body) -> Plane:
    """Vertebrae, and the windpipe in front of them."""
    across = np.abs(body.x)
    disc = body.y * 6 - np.floor(body.y * 6) - np.float32(0.5)
    spine = 0.10 * _step(0.10 - across, 0.04) * (0.7 + 0.5 * _bump(disc, 0.5))
    windpipe = _step(0.05 - across, 0.02) * _step(-0.18 - body.y, 0.08) * _step(body.y + 0.95, 0.05)
    return np.asarray(spine - 0.16 * windpipe, dtype=np.float32)


def _vessel_stem(body: _Body) -> Plane:
    """Great vessels: a band in the middle, and the aortic knob."""
    band = _step(0.17 - np.abs(body.x), 0.03) * _step(body.y + 0.62, 0.15)
    return np.asarray(np.maximum(band, _ellipse(body, 0.15, -0.36, 0.10, 0.12, 0.2)), dtype=np.float32)


def _heart(body: _Body, *, enlarged: bool) -> Plane:
    """The heart's shadow; enlarged means wider than half the chest (cardiothoracic ratio above 0.5)."""
    left = body.between(0.66, 0.74) if enlarged else body.between(0.36, 0.42)
    right = body.between(0.26, 0.32) if enlarged else body.between(0.15, 0.19)
    height = body.between(0.36, 0.40) if enlarged else body.between(0.29, 0.33)
    centre, across = (left - right) / 2, (left + right) / 2
    tilted = (body.y - 0.32 - 0.22 * (body.x - centre)) * np.float32(1 / height)
    aside = (body.x - centre) * np.float32(1 / across)
    return _step(1 - np.sqrt(aside * aside + tilted * tilted), 0.10)


def _opacity(body: _Body, lungs: Mapping[float, Plane], kind: str, side: float) -> Plane:
    """What lies in the lung: one lobe's patch, wings about both hila, or a dense band above a raised dome."""
    if kind == "none":
        return np.zeros_like(body.x)
    air = lungs[-1.0] + lungs[1.0]
    mesh = body.between(0.06, 0.08) * _bump(body.texture(42), 0.3) * air  # fine lines: the tissue between is involved
    fluff = np.clip(0.85 + 0.25 * body.texture(11) + 0.2 * body.texture(27), 0.3, 1.2)
    if kind == "focal":
        x, y = side * body.between(0.46, 0.56), body.between(-0.28, 0.22)
        patch = _ellipse(body, x, y, body.between(0.34, 0.40), body.between(0.36, 0.42), 0.4)
        fissure = body.between(-0.20, 0.20) * (body.x - x) + body.between(0.20, 0.26)  # a sharp lower border
        return np.asarray(
            mesh + body.between(0.44, 0.50) * patch * _step(y + fissure - body.y, 0.02) * fluff * lungs[side],
            dtype=np.float32,
        )
    if kind == "perihilar":
        wings = np.zeros_like(body.x)
        for flank in SIDES:
            wings = np.maximum(wings, _ellipse(body, flank * 0.33, -0.04, 0.34, 0.56, 0.7))
        return np.asarray(mesh + body.between(0.36, 0.42) * wings * fluff * air, dtype=np.float32)
    level = body.domes[side]
    band = _step(body.y - level + body.between(0.26, 0.34), 0.12)
    streak = body.y - level + 0.44 + 0.12 * (side * body.x - 0.4)
    lines = _bump(streak, 0.03) + _bump(streak - 0.10, 0.025) + _bump(streak + 0.12, 0.025)
    return np.asarray(mesh + (0.46 * band * fluff + 0.24 * lines) * lungs[side], dtype=np.float32)


def _effusion(body: _Body, side: float) -> Plane:
    """Fluid at the foot of one lung, its upper rim rising to the wall (meniscus)."""
    out = np.clip(side * body.x - 0.10, 0, 1)
    rim = body.domes[side] + 0.06 - body.between(0.75, 0.90) * out * out
    return _step(body.y - rim, 0.05)


def _devices(body: _Body) -> Plane:
    """What lies on the patient: a side marker, and on some leads or a tube; it says nothing about the diagnosis."""
    x, y = body.x, body.y
    mark_x, mark_y = 0.80, -0.86
    stem = (np.abs(x - mark_x) < 0.012) & (np.abs(y - mark_y) < 0.05)
    foot = (np.abs(x - mark_x - 0.022) < 0.034) & (np.abs(y - mark_y - 0.045) < 0.012)
    shown = 0.5 * (stem | foot)
    for _ in range(int(body.rng.integers(0, 4)) if body.rng.random() < 0.2 else 0):
        to_x, to_y, bend = body.between(-0.6, 0.6), body.between(-0.5, 0.3), body.between(-0.5, 0.5)
        line = x - to_x - bend * (y - to_y) * (y - to_y - 0.8)
        shown = shown + 0.10 * (np.abs(line) < 0.008) * (y > to_y)
        shown = shown + 0.16 * _ellipse(body, to_x, to_y, 0.03, 0.03, 0.2)
    return shown.astype(np.float32)


def _expose(density: Plane, body: _Body) -> Plane:
    """Exposure: contrast curve, uneven field, and noise that is stronger where less radiation arrives."""
    rows, columns = density.shape
    field = body.between(-0.03, 0.03) * body.x + body.between(-0.03, 0.03) * body.y
    grey = np.clip((density + field) * body.between(0.95, 1.03) + body.between(-0.02, 0.02), 0, 1.3) / np.float32(1.3)
    curve = body.between(-0.15, 0.15)
    grey = grey + curve * grey * (1 - grey)
    noise = body.rng.standard_normal((rows, columns), dtype=np.float32)
    grain = noise[:, np.r_[1:columns, 0]] * 0.5 + noise  # neighbours share some of it, as scattered light does
    grey = grey + np.float32(body.between(0.002, 0.006)) * (0.4 + grey) * grain
    return np.clip(grey, 0, 1).astype(np.float32)
