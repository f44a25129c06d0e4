"""Frames of one file: functional groups (PS3.3 C.7.6.16) and where each frame lies."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from medfuse.imaging.elements import BROKEN, code_of, items_of, numbers_of, text_of
from medfuse.imaging.geometry import Plane
from medfuse.imaging.header import form_of, spacing_of

# What of a functional group says how a frame is shown and where it lies. Its elements have the names that they have at
# the top of a single-frame image, so putting them there makes every frame read like one.
_MACROS = (
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "FrameVOILUTSequence",
    "CTImageFrameTypeSequence",
    "MRImageFrameTypeSequence",
    "PETFrameTypeSequence",
)


def promote(dataset: Any, frame: int) -> None:
    """Put the functional groups of a frame, else those that all frames share, at the top of the data set."""
    if "SharedFunctionalGroupsSequence" not in dataset and "PerFrameFunctionalGroupsSequence" not in dataset:
        return
    shared = items_of(dataset, "SharedFunctionalGroupsSequence")
    own = items_of(dataset, "PerFrameFunctionalGroupsSequence")
    groups = [*own[frame : frame + 1], *shared[:1]]
    for macro in _MACROS:
        for item in (found for group in groups for found in items_of(group, macro)[:1]):
            try:
                for element in item:
                    dataset[element.tag] = element
            except BROKEN:
                continue
            break


def planes_of(dataset: Any, source: int) -> list[Plane]:
    """Where each frame of an image lies.

    Args:
        dataset: A pydicom data set.
        source: Place of its file in the list of files.

    Raises:
        UnreadableError: If it holds no image, or one beyond the bounds.
    """
    rows, columns, frames = form_of(dataset)
    number = (*numbers_of(dataset, "InstanceNumber"), 0.0)[0]
    uid = text_of(dataset, "SOPInstanceUID")
    offsets = numbers_of(dataset, "GridFrameOffsetVector")  # RT Dose (PS3.3 C.8.8.3.2)
    planes = []
    for frame in range(frames):
        promote(dataset, frame)
        position, orientation = _triple(dataset), _directions(dataset)
        if frames > 1 and "PerFrameFunctionalGroupsSequence" not in dataset:
            position = _shifted(position, orientation, offsets, frame)
        planes.append(
            Plane(
                source=source,
                frame=frame,
                rows=rows,
                columns=columns,
                number=int(number) if math.isfinite(number) else 0,
                uid=uid,
                position=position,
                orientation=orientation,
                spacing=spacing_of(dataset, []),
                localiser=_localiser(dataset),
            )
        )
    return planes


def _triple(dataset: Any) -> tuple[float, float, float] | None:
    numbers = numbers_of(dataset, "ImagePositionPatient")
    return numbers if len(numbers) == 3 and all(abs(number) < 1e6 for number in numbers) else None


def _directions(dataset: Any) -> tuple[float, float, float, float, float, float] | None:
    """Image Orientation (Patient), if it is two unit vectors at a right angle within 1 part in 100."""
    numbers = numbers_of(dataset, "ImageOrientationPatient")
    if len(numbers) != 6 or not all(abs(number) < 1.1 for number in numbers):
        return None
    row, column = np.array(numbers[:3]), np.array(numbers[3:])
    right = abs(row @ row - 1) < 0.02 and abs(column @ column - 1) < 0.02 and abs(row @ column) < 0.01
    return numbers if right else None


def _shifted(
    position: tuple[float, float, float] | None,
    orientation: tuple[float, float, float, float, float, float] | None,
    offsets: tuple[float, ...],
    frame: int,
) -> tuple[float, float, float] | None:
    """The place of a frame that is stated as an offset along the normal; None where none is stated."""
    if position is None or orientation is None or frame >= len(offsets) or not math.isfinite(offsets[frame]):
        return None
    normal = np.cross(orientation[:3], orientation[3:])
    x, y, z = np.add(position, (offsets[frame] - offsets[0]) * normal)
    return float(x), float(y), float(z)


def _localiser(dataset: Any) -> bool:
    try:
        kinds = dataset.get("FrameType") or dataset.get("ImageType") or ()
        return "LOCALIZER" in {str(kind).upper() for kind in kinds} or code_of(dataset, "FrameType") == "LOCALIZER"
    except BROKEN:
        return False
