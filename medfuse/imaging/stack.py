"""Several frames of one file or series as grey pixels [slices, rows, columns], all by one window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy import ndarray

from medfuse.imaging.boundary import MAX_PIXELS, UnreadableError
from medfuse.imaging.dicom import Image, Parsed, image_of, parse
from medfuse.imaging.geometry import Plane
from medfuse.imaging.grey import GreyRules, levels_of, luminance, render

if TYPE_CHECKING:
    from jaxtyping import Float32


@dataclass(frozen=True, slots=True)
class Stack:
    """Slices as they are shown.

    Attributes:
        pixels: Grey values [S, H, W], float32 in 0…1.
        middle: The slice whose header stands for the stack.
        voi: What mapped stored values to grey, in words.
    """

    pixels: Float32[ndarray, "s h w"]
    middle: Image
    voi: str


def images(
    read: Callable[[int], bytes | memoryview], planes: Sequence[Plane], warnings: list[str], *, state: Any = None
) -> Iterator[Image]:
    """Decode slices one after the other; a file is parsed once for all of its frames that follow each other.

    Args:
        read: Gives the bytes of a file by its place in the list of files.
        planes: Which frames.
        warnings: Receives what was odd or assumed, each thing once.
        state: A presentation state of the file, for all of these frames.

    Raises:
        UnreadableError: If a slice cannot be decoded or is of another size than its series.
    """
    parsed: Parsed | None = None
    for number, plane in enumerate(planes):
        if parsed is None or plane.source != planes[number - 1].source:
            parsed = replace(parse(read(plane.source)), state=state)
        said: list[str] = []
        image = image_of(parsed, said, frame=plane.frame)
        warnings.extend(line for line in said if line not in warnings)
        if (image.header.rows, image.header.columns) != (plane.rows, plane.columns):
            reason = "a slice changed while it was read; read it again"
            raise UnreadableError(reason)
        yield image


def stacked(
    read: Callable[[int], bytes | memoryview], planes: Sequence[Plane], warnings: list[str], *, state: Any = None
) -> Stack:
    """Show slices by the window of the middle one, so that a tissue has the same grey in each.

    Where slices are rescaled differently (as in PET), the window is applied to the rescaled values. Where no window is
    stated, the range is taken over all of these slices.

    Args:
        read: Gives the bytes of a file by its place in the list of files.
        planes: Which frames, at least one.
        warnings: Receives what was odd or assumed.
        state: A presentation state of the file, for all of these frames.

    Raises:
        UnreadableError: If they cannot be decoded, or are together larger than one image may be.
    """
    if len(planes) * planes[0].rows * planes[0].columns > MAX_PIXELS:
        reason = (
            f"{len(planes)} slices hold more than {MAX_PIXELS} pixels; set a smaller number of slices in the config"
        )
        raise UnreadableError(reason)
    found = list(images(read, planes, warnings, state=state))
    middle = found[len(found) // 2]
    rules = middle.header.rules
    if middle.header.samples > 1 or rules.palette is not None:
        pixels = [_coloured(image, warnings) for image in found]
        words = "colours as luminance" if middle.header.samples > 1 else "palette colours as luminance"
        return Stack(np.stack(pixels), middle, words)
    if len({_same(image.header.rules) for image in found}) == 1 and len({i.stored.dtype for i in found}) == 1:
        grey, words = render(np.stack([image.stored for image in found]), rules, warnings)
    else:
        levels = np.stack([levels_of(image.stored, image.header.rules) for image in found])
        done = replace(rules, rescale=None, modality_lut=None, padding=None, bits=max(rules.bits, 16))
        grey, words = render(levels, done, warnings)
    return Stack(grey, middle, words)


def _coloured(image: Image, warnings: list[str]) -> ndarray:
    if image.header.samples > 1:
        return luminance(image.stored, bits=image.header.bits_stored)
    return render(image.stored, image.header.rules, warnings)[0]


def _same(rules: GreyRules) -> tuple[object, ...]:
    """What two slices must share for their stored values to mean the same."""
    lut = rules.modality_lut
    table = None if lut is None else (lut.first, lut.bits, lut.entries.tobytes())
    return rules.bits, rules.signed, rules.rescale, rules.padding, table
