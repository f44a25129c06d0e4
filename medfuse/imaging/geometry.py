"""Slices in space: put in order along their normal, with gaps, duplicates and strangers found, and the affine of it.

DICOM's patient coordinates are LPS, in millimetres (PS3.3 C.7.6.2.1.1); affines here are RAS, as nibabel's and MONAI's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy import ndarray

SAME_DIRECTION = 1e-3  # difference of direction cosines below which two slices lie alike
SAME_PLACE = 0.01  # of the step between slices: nearer ones lie at the same place
UNEVEN = 0.02  # of the step: more deviation is said
GAP = 1.5  # steps: from here on a slice is missing
TILT = 0.01  # sine of the angle between the stack and its normal from which the tilt is said; half a degree
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True, slots=True)
class Plane:
    """One slice: where its pixels are kept and where it lies.

    Attributes:
        source: Place of its file in the list of files.
        frame: Place of its frame in the file.
        rows: Height, pixels.
        columns: Width, pixels.
        number: Instance Number, or place of the frame: the order of last resort.
        uid: SOP Instance UID.
        position: Centre of the first pixel in LPS, millimetres; None if not stated.
        orientation: Unit vectors along a row and along a column in LPS; None if not stated.
        spacing: Millimetres between rows and between columns; None if not stated.
        localiser: Whether it is a survey image that others are planned on (Image Type LOCALIZER).
    """

    source: int
    frame: int
    rows: int
    columns: int
    number: int = 0
    uid: str = ""
    position: tuple[float, float, float] | None = None
    orientation: tuple[float, float, float, float, float, float] | None = None
    spacing: tuple[float, float] | None = None
    localiser: bool = False

    @property
    def placed(self) -> bool:
        """Whether it is known where the slice lies."""
        return self.position is not None and self.orientation is not None

    @property
    def normal(self) -> ndarray:
        """Cross product of the row's and the column's direction [3]; the slice must be placed."""
        return np.cross(self.orientation[:3], self.orientation[3:])  # type: ignore[index]


def ordered(planes: Sequence[Plane], warnings: list[str]) -> list[Plane]:
    """Keep the slices that make one stack, and sort them by position along their normal.

    Args:
        planes: The slices of a series, in any order.
        warnings: Receives what was set aside, what is missing, and what was assumed.

    Returns:
        The slices, at least one. Without positions they stay in the order of their numbers.
    """
    kept = list(planes)
    if sizes := _others(Counter((plane.rows, plane.columns) for plane in kept)):
        kept = [plane for plane in kept if (plane.rows, plane.columns) not in sizes]
        warnings.append(f"{_slices(len(planes) - len(kept))} of another size set aside")
    placed = [plane for plane in kept if plane.placed]
    if len(placed) * 2 < len(kept) or len(kept) == 1:
        if len(kept) > 1:
            warnings.append("the slices state no position; they stay in the order of their numbers")
        return sorted(kept, key=lambda plane: (plane.number, plane.source, plane.frame))
    if len(placed) < len(kept):
        warnings.append(f"{_slices(len(kept) - len(placed))} without a position set aside")
    alike = _largest_alike(placed)
    if len(alike) < len(placed):
        warnings.append(f"mixed orientations: {_slices(len(placed) - len(alike))} that lie otherwise set aside")
    normal = alike[0].normal
    return _one_a_place(sorted(alike, key=lambda plane: (_along(plane, normal), plane.number, plane.frame)), warnings)


def affine_of(planes: Sequence[Plane], warnings: list[str]) -> ndarray:
    """The affine from voxel (column, row, slice) to RAS, millimetres.

    PS3.3 equation C.7.6.2.1-1 for a slice; between slices the mean step from the first to the last, which holds for a
    tilted gantry too. A single slice is taken to be as thick as its step is unknown: 1 mm, and said.

    Args:
        planes: Ordered slices with positions.
        warnings: Receives what was assumed.

    Returns:
        Float64 [4, 4].
    """
    first, last = planes[0], planes[-1]
    assert first.position is not None
    assert first.orientation is not None
    assert last.position is not None
    if first.spacing is None:
        warnings.append("no spacing stated; 1 mm assumed")
    down, across = first.spacing or (1.0, 1.0)
    affine = np.eye(4)
    affine[:3, 0] = np.multiply(first.orientation[:3], across)
    affine[:3, 1] = np.multiply(first.orientation[3:], down)
    affine[:3, 3] = first.position
    if len(planes) > 1:
        affine[:3, 2] = np.subtract(last.position, first.position) / (len(planes) - 1)
    else:
        affine[:3, 2] = first.normal
        warnings.append("a single slice; 1 mm of thickness assumed")
    return _LPS_TO_RAS @ affine


def evenly(count: int, wanted: int) -> tuple[int, ...]:
    """Places of `wanted` of `count` slices, each in the middle of an equal share; all if there are no more.

    Example:
        >>> evenly(100, 4)
        (12, 37, 62, 87)
    """
    if count <= wanted:
        return tuple(range(count))
    return tuple((2 * place + 1) * count // (2 * wanted) for place in range(wanted))


def _others(sizes: Counter[tuple[int, int]]) -> set[tuple[int, int]]:
    return set(sizes) - {sizes.most_common(1)[0][0]}


def _slices(count: int) -> str:
    return f"{count} slice{'s' if count > 1 else ''}"


def _largest_alike(planes: Sequence[Plane]) -> list[Plane]:
    groups: list[list[Plane]] = []
    for plane in planes:
        for group in groups:
            if np.allclose(plane.orientation, group[0].orientation, rtol=0, atol=SAME_DIRECTION):  # type: ignore[arg-type]
                group.append(plane)
                break
        else:
            groups.append([plane])
    return max(groups, key=len)


def _along(plane: Plane, normal: ndarray) -> float:
    return float(np.dot(plane.position, normal))  # type: ignore[arg-type]


def _one_a_place(planes: list[Plane], warnings: list[str]) -> list[Plane]:
    """Sorted slices with one a place; says what doubles, what is missing, and whether the stack is tilted."""
    if len(planes) < 2:
        return planes
    normal = planes[0].normal
    heights = np.array([_along(plane, normal) for plane in planes])
    steps = np.diff(heights)
    apart = steps[steps > 1e-6 * max(1.0, float(np.abs(heights).max()))]
    if not apart.size:
        warnings.append(f"{_slices(len(planes) - 1)} at the place of another set aside")
        return planes[:1]
    step = float(np.median(apart))
    kept = [planes[0]]
    for plane in planes[1:]:
        if _along(plane, normal) - _along(kept[-1], normal) > SAME_PLACE * step:
            kept.append(plane)
    if len(kept) < len(planes):
        warnings.append(f"{_slices(len(planes) - len(kept))} at the place of another set aside")
    heights = np.array([_along(plane, normal) for plane in kept])
    steps = np.diff(heights)
    step = float(np.median(steps))
    if missing := int(np.rint(steps[steps > GAP * step] / step - 1).sum()):
        warnings.append(f"gap in the stack: {_slices(missing)} missing")
    elif (np.abs(steps - step) > UNEVEN * step).any():
        warnings.append("the slices do not lie evenly; a mean step was taken")
    path = np.subtract(kept[-1].position, kept[0].position)  # type: ignore[arg-type]
    if np.linalg.norm(np.cross(path, normal)) > TILT * np.linalg.norm(path):
        warnings.append("the stack is not upright on its slices (tilted gantry); the affine follows it")
    return kept
