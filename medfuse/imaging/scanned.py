"""DICOM files and series as grey pixels with a receipt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from medfuse.case import ScanReceipt
from medfuse.imaging.coarse import GAP, coarse_grey, factors_of
from medfuse.imaging.dicom import Image, Parsed, image_of, parse
from medfuse.imaging.fit import placement_of
from medfuse.imaging.frames import planes_of
from medfuse.imaging.geometry import Plane, evenly, ordered
from medfuse.imaging.grey import Way, glance, grey_of, luminance, warn_if_constant, way_of
from medfuse.imaging.header import LATERAL, frames_of
from medfuse.imaging.oddities import oddities
from medfuse.imaging.presentation import check_state, holds_for
from medfuse.imaging.read import Scanned
from medfuse.imaging.series import choose, find_series, slices_of
from medfuse.imaging.sources import Source, is_directory, listed_by
from medfuse.imaging.stack import stacked

RADIOGRAPHS = ("CR", "DX", "RG")  # what is looked at for oddities
CHEST = (None, "CHEST", "THORAX", "LUNG")  # Body Part Examined of what may be a chest


def read_dicom(
    data: bytes | memoryview,
    *,
    path: Path,
    sha256: str,
    rule: str,
    slices: int,
    state: bytes | None = None,
    size: int | None = None,
) -> Scanned:
    """Read one DICOM file: an image, several frames, or a DICOMDIR that names others.

    Args:
        data: The whole file.
        path: Where it lies; only a DICOMDIR needs it.
        sha256: Its digest, for the receipt.
        rule: Which of several series that a DICOMDIR names.
        slices: How many frames become pixels.
        state: A presentation state's file.
        size: Side of the square that it will be fitted to, if a single image may be no finer than that needs.

    Raises:
        UnreadableError: If it is not readable, with the reason and what to do.
    """
    parsed = parse(data)
    warnings: list[str] = []
    if state is not None:
        parsed = replace(parsed, state=parse(state).dataset)
        check_state(parsed.dataset, parsed.state)
    if is_directory(parsed.dataset):
        return read_series(listed_by(parsed.dataset, path), sha256=sha256, rule=rule, slices=slices, size=size)
    if frames_of(parsed.dataset) > 1:
        planes = ordered(planes_of(parsed.dataset, 0), warnings)
        places = evenly(len(planes), slices)
        if state is not None and not holds_for(parsed.dataset, parsed.state, [planes[place].frame for place in places]):
            warnings.append("the presentation state is one of some frames only, and was not applied")
            parsed = replace(parsed, state=None)
        return _slices(lambda _: data, planes, warnings, sha256=sha256, series=None, slices=slices, state=parsed.state)
    return _single(parsed, warnings, sha256=sha256, series=None, size=size)


def read_series(sources: Sequence[Source], *, sha256: str, rule: str, slices: int, size: int | None = None) -> Scanned:
    """Read the series that a rule chooses among files; a series of one image is read as that image.

    Args:
        sources: The files.
        sha256: Their digest, for the receipt.
        rule: Which of several series.
        slices: How many slices become pixels.
        size: Side of the square that it will be fitted to, if a single image may be no finer than that needs.

    Raises:
        UnreadableError: If there is none that is readable, with the reason and what to do.
    """
    warnings: list[str] = []
    chosen, words = choose(find_series(sources, warnings), rule)
    planes = slices_of(chosen, warnings)
    if len(planes) == 1 and planes[0].frame == 0:
        parsed = parse(sources[planes[0].source].read())
        if frames_of(parsed.dataset) == 1:
            return _single(parsed, warnings, sha256=sha256, series=words, size=size)
    return _slices(lambda place: sources[place].read(), planes, warnings, sha256=sha256, series=words, slices=slices)


def _single(parsed: Parsed, warnings: list[str], *, sha256: str, series: str | None, size: int | None) -> Scanned:
    said = list(warnings)
    image = image_of(parsed, said, least=None if size is None else GAP * size)
    header = image.header
    if header.samples == 1:
        way = way_of(image.stored, header.rules, said)
        if way.span is not None and image.halvings:
            # The window shows nothing, and the range that is assumed instead is that of the image in full.
            return _single(parsed, warnings, sha256=sha256, series=series, size=None)
        pixels, shown, block = _greys(image, way, size)
        voi = way.words
    else:
        pixels = shown = luminance(image.stored, bits=header.bits_stored)
        voi, block = "colours as luminance", (1, 1)
    warn_if_constant(shown, said)
    if header.modality in RADIOGRAPHS and header.samples == 1:
        chest = header.body_part in CHEST and header.view not in LATERAL
        said.extend(oddities(shown, frontal=chest))
    return Scanned(pixels, header.spacing, receipt_of(image, said, sha256=sha256, voi=voi, series=series), block)


def _greys(image: Image, way: Way, size: int | None) -> tuple[ndarray, ndarray, tuple[int, int]]:
    """Grey pixels, no finer than a size needs, with those that are looked at for oddities, and the size of a block."""
    halved = 2**image.halvings
    if size is not None:
        header = image.header
        place = placement_of(header.rows, header.columns, header.spacing or (header.aspect, 1.0), size)
        down, across = factors_of(header.rows / halved, header.columns / halved, place.height, place.width)
        shown = grey_of(glance(image.stored), way)
        if (down > 1 or across > 1) and np.ptp(shown) > 0:  # an image that may be constant is looked at in full
            coarse = coarse_grey(image.stored, way, down=down, across=across)
            if coarse is not None:
                return coarse, shown, (halved * down, halved * across)
    pixels = grey_of(image.stored, way)
    return pixels, pixels, (halved, halved)


def _slices(
    read: Callable[[int], bytes | memoryview],
    planes: Sequence[Plane],
    warnings: list[str],
    *,
    sha256: str,
    series: str | None,
    slices: int,
    state: Any = None,
) -> Scanned:
    places = evenly(len(planes), slices)
    stack = stacked(read, [planes[place] for place in places], warnings, state=state)
    warn_if_constant(stack.pixels, warnings)
    shown = tuple(place + 1 for place in places)
    receipt = receipt_of(
        stack.middle, warnings, sha256=sha256, voi=stack.voi, series=series, frames=len(planes), shown=shown
    )
    return Scanned(stack.pixels, stack.middle.header.spacing, receipt)


def receipt_of(
    image: Image,
    warnings: Sequence[str],
    *,
    sha256: str,
    voi: str,
    series: str | None,
    frames: int = 1,
    shown: tuple[int, ...] = (1,),
) -> ScanReceipt:
    """What reading did, from the header that stands for it; each warning once."""
    header = image.header
    return ScanReceipt(
        sha256=sha256,
        format="DICOM",
        rows=header.rows,
        columns=header.columns,
        bits=header.bits_stored,
        photometric=header.photometric,
        inverted=header.rules.inverted,
        transfer_syntax=image.name,
        modality=header.modality,
        view=header.view,
        rescale=header.rules.rescale,
        voi=voi,
        aspect=header.aspect,
        frames=frames,
        shown=shown,
        series=series,
        warnings=tuple(dict.fromkeys(warnings)),
    )
