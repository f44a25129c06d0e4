"""Slices in space."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from medfuse.imaging.geometry import Plane, affine_of, evenly, ordered

AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def planes(*heights: float, **settings) -> list[Plane]:
    return [
        Plane(source=place, frame=0, rows=4, columns=4, position=(0, 0, height), orientation=AXIAL, **settings)
        for place, height in enumerate(heights)
    ]


def heights(found: list[Plane]) -> list[float]:
    return [plane.position[2] for plane in found]


@pytest.mark.parametrize(
    ("given", "kept", "said"),
    [
        ((3, 1, 2), [1, 2, 3], None),
        ((0, 1, 2, 4, 5), [0, 1, 2, 4, 5], "gap in the stack: 1 slice missing"),
        ((0, 1, 2, 5, 6, 9), [0, 1, 2, 5, 6, 9], "gap in the stack: 4 slices missing"),
        ((0, 1, 1, 2), [0, 1, 2], "1 slice at the place of another"),
        ((0, 1, 1.001, 2), [0, 1, 2], "1 slice at the place of another"),
        ((5, 5, 5), [5], "2 slices at the place of another"),
        ((0, 1, 2.2, 3), [0, 1, 2.2, 3], "do not lie evenly"),
        ((0, 1, 2.001, 3), [0, 1, 2.001, 3], None),
        ((7,), [7], None),
    ],
)
def test_order(given, kept, said):
    warnings: list[str] = []
    assert heights(ordered(planes(*given), warnings)) == kept
    assert [said in line for line in warnings] == ([True] if said else [])


def test_affine_follows_the_standard():
    """PS3.3 equation C.7.6.2.1-1: the first column goes along a row by the spacing between columns."""
    made = planes(10, 12.5, spacing=(0.5, 0.25))
    np.testing.assert_allclose(affine_of(made, []), [[-0.25, 0, 0, 0], [0, -0.5, 0, 0], [0, 0, 2.5, 10], [0, 0, 0, 1]])


def test_affine_of_what_is_not_stated():
    warnings: list[str] = []
    np.testing.assert_allclose(affine_of(planes(0), warnings), np.diag([-1, -1, 1, 1]))
    assert len(warnings) == 2


@given(count=st.integers(1, 500), wanted=st.integers(1, 64))
def test_evenly_spaced(count, wanted):
    places = evenly(count, wanted)
    assert len(places) == min(count, wanted)
    assert list(places) == sorted(set(places))
    assert places[0] >= 0
    assert places[-1] < count
    steps = np.diff(places)
    assert not len(steps) or steps.max() - steps.min() <= 1
    assert abs((count - 1 - places[-1]) - places[0]) <= 1  # as much is left out at either end


@given(
    order=st.permutations(range(8)),
    angle=st.floats(-3, 3),
    tilt=st.floats(-1.2, 1.2),
)
@settings(deadline=None)
def test_any_direction_and_order(order, angle, tilt):
    row = np.array([np.cos(angle), np.sin(angle), 0])
    column = np.array([-np.sin(angle) * np.cos(tilt), np.cos(angle) * np.cos(tilt), np.sin(tilt)])
    normal = np.cross(row, column)
    made = [
        Plane(k, 0, 4, 4, position=tuple(place * 1.5 * normal + 30), orientation=(*row, *column), spacing=(1, 1))
        for k, place in enumerate(order)
    ]
    warnings: list[str] = []
    found = ordered(made, warnings)
    assert [order[plane.source] for plane in found] == list(range(8))
    assert warnings == []
    affine = affine_of(found, warnings)
    np.testing.assert_allclose(affine[:3, 2], 1.5 * normal * (-1, -1, 1), atol=1e-6)
