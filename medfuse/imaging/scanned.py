"""DICOM files and series as grey pixels with a receipt."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from numpy import ndarray

from medfuse.case import ScanReceipt
from medfuse.imaging.dicom import Image, Parsed, image_of, parse
from medfuse.imaging.frames import planes_of
from medfuse.imaging.geometry import Plane, evenly, ordered
from medfuse.imaging.grey import luminance, render, warn_if_constant
from medfuse.imaging.header import LATERAL, frames_of
from medfuse.imaging.oddities import oddities
from medfuse.imaging.presentation import apply_state
from medfuse.imaging.series import choose, find_series, slices_of
from medfuse.imaging.sources import Source, is_directory, listed_by
from medfuse.imaging.stack import stacked

RADIOGRAPHS = ("CR", "DX", "RG")  # what is looked at for oddities
CHEST = (None, "CHEST", "THORAX", "LUNG")  # Body Part Examined of what may be a chest

# Pixels [rows, columns] or [slices, rows, columns], spacing in millimetres, and the receipt.
Scanned: TypeAlias = tuple[ndarray, tuple[float, float] | None, ScanReceipt]


def read_dicom(data: bytes, *, path: Path, sha256: str, rule: str, slices: int, state: bytes | None = None) -> Scanned:
    """Read one DICOM file: an image, several frames, or a DICOMDIR that names others.

    Args:
        data: The whole file.
        path: Where it lies; only a DICOMDIR needs it.
        sha256: Its digest, for the receipt.
        rule: Which of several series that a DICOMDIR names.
        slices: How many frames become pixels.
        state: A presentation state's file, for a single image.

    Raises:
        UnreadableError: If it is not readable, with the reason and what to do.
    """
    parsed = parse(data)
    warnings: list[str] = []
    if state is not None:
        apply_state(parsed.dataset, parse(state).dataset, warnings)
    if is_directory(parsed.dataset):
        return read_series(listed_by(parsed.dataset, path), sha256=sha256, rule=rule, slices=slices)
    if frames_of(parsed.dataset) > 1:
        planes = ordered(planes_of(parsed.dataset, 0), warnings)
        return _slices(lambda _: data, planes, warnings, sha256=sha256, series=None, slices=slices)
    return _single(parsed, warnings, sha256=sha256, series=None)


def read_series(sources: Sequence[Source], *, sha256: str, rule: str, slices: int) -> Scanned:
    """Read the series that a rule chooses among files; a series of one image is read as that image.

    Raises:
        UnreadableError: If there is none that is readable, with the reason and what to do.
    """
    warnings: list[str] = []
    chosen, words = choose(find_series(sources, warnings), rule)
    planes = slices_of(chosen, warnings)
    if len(planes) == 1 and planes[0].frame == 0:
        parsed = parse(sources[planes[0].source].read())
        if frames_of(parsed.dataset) == 1:
            return _single(parsed, warnings, sha256=sha256, series=words)
    return _slices(lambda place: sources[place].read(), planes, warnings, sha256=sha256, series=words, slices=slices)


def _single(parsed: Parsed, warnings: list[str], *, sha256: str, series: str | None) -> Scanned:
    image = image_of(parsed, warnings)
    if image.header.samples == 1:
        pixels, voi = render(image.stored, image.header.rules, warnings)
    else:
        pixels, voi = luminance(image.stored, bits=image.header.bits_stored), "colours as luminance"
    warn_if_constant(pixels, warnings)
    if image.header.modality in RADIOGRAPHS and image.header.samples == 1:
        chest = image.header.body_part in CHEST and image.header.view not in LATERAL
        warnings.extend(oddities(pixels, frontal=chest))
    return pixels, image.header.spacing, receipt_of(image, warnings, sha256=sha256, voi=voi, series=series)


def _slices(
    read: Callable[[int], bytes],
    planes: Sequence[Plane],
    warnings: list[str],
    *,
    sha256: str,
    series: str | None,
    slices: int,
) -> Scanned:
    places = evenly(len(planes), slices)
    stack = stacked(read, [planes[place] for place in places], warnings)
    warn_if_constant(stack.pixels, warnings)
    shown = tuple(place + 1 for place in places)
    receipt = receipt_of(
        stack.middle, warnings, sha256=sha256, voi=stack.voi, series=series, frames=len(planes), shown=shown
    )
    return stack.pixels, stack.middle.header.spacing, receipt


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
