"""What of a DICOM data set the way to grey needs, as plain values: no element that is broken breaks the others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from medfuse.imaging.boundary import MAX_FRAMES, MAX_PIXELS, MAX_VOXELS, UnreadableError
from medfuse.imaging.elements import BROKEN, Whole, code_of, items_of, numbers_of, text_of
from medfuse.imaging.grey import GreyRules
from medfuse.imaging.lut import first_lut, palette_of

GREYS = ("MONOCHROME1", "MONOCHROME2")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_MARKS = "marks of a reader or a program on another image, not an image; name the image that it belongs to"
# Classes whose pixels are no scan (PS3.4 B.5); what has no pixels at all is refused for that.
REFUSED = {
    "1.2.840.10008.5.1.4.1.1.66.4": f"this is a segmentation: {_MARKS}",
    "1.2.840.10008.5.1.4.1.1.66.7": f"this is a label map: {_MARKS}",
    "1.2.840.10008.5.1.4.1.1.77.1.6": "this is a whole slide image in tiles; export the region you want as PNG",
}
CT_WINDOW = (40.0, 400.0)  # Hounsfield units, soft tissue: what a CT without a window is shown with
FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")
LATERAL = frozenset({"LL", "RL", "LAT", "LATERAL"})
# Meanings of CID 4010 (DX View) as View Positions, for DX files that state the view by code only.
_MEANINGS = {
    "postero-anterior": "PA",
    "antero-posterior": "AP",
    "left lateral": "LL",
    "right lateral": "RL",
    "lateral": "LATERAL",
}


@dataclass(frozen=True, slots=True)
class Header:
    """The image's form, the rules to its greys, and what the receipt tells.

    Attributes are DICOM's of the same name; `spacing` is in millimetres between rows and between columns,
    `aspect` the height of a pixel over its width where no spacing is stated.
    """

    rows: int
    columns: int
    frames: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str
    planar: int
    modality: str | None
    view: str | None
    body_part: str | None
    spacing: tuple[float, float] | None
    aspect: float
    rules: GreyRules


def read_header(dataset: Any, *, pixel_keyword: str, warnings: list[str]) -> Header:
    """Read the image pixel, modality LUT, VOI LUT and related elements (PS3.3 C.7.6.3, C.11.1, C.11.2).

    Args:
        dataset: A pydicom data set.
        pixel_keyword: `PixelData`, `FloatPixelData` or `DoubleFloatPixelData`.
        warnings: Receives what was odd or assumed.

    Raises:
        UnreadableError: If the image is too large, of a class that is refused, or lacks what cannot be assumed.
    """
    whole = Whole(dataset, warnings)
    rows, columns, frames = form_of(dataset)
    photometric = code_of(dataset, "PhotometricInterpretation")
    samples = whole.get("SamplesPerPixel", 3 if photometric in COLOURS else 1)
    if photometric is None:
        photometric = "RGB" if samples == 3 else "MONOCHROME2"
        warnings.append(f"Photometric Interpretation is missing; taken as {photometric}")
    if photometric not in (*GREYS, *COLOURS, "PALETTE COLOR") or samples != (3 if photometric in COLOURS else 1):
        reason = "its photometric interpretation is not one that is read; convert it to MONOCHROME2 or RGB"
        raise UnreadableError(reason)
    floats = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(pixel_keyword)
    allocated = floats or whole.need("BitsAllocated")
    stored = floats or whole.get("BitsStored", allocated, say=True)
    if allocated not in (1, 8, 16, 32, 64) or not 1 <= stored <= allocated:
        reason = "the header's Bits Allocated and Bits Stored do not fit together; the file is damaged, fetch it again"
        raise UnreadableError(reason)
    high = whole.get("HighBit", stored - 1)
    if not stored - 1 <= high < allocated:
        warnings.append("High Bit does not fit Bits Stored and was ignored")
        high = stored - 1
    representation = whole.get("PixelRepresentation", 0, say=floats is None)
    if representation not in (0, 1):
        warnings.append("Pixel Representation is neither 0 nor 1; taken as unsigned")
    signed = representation == 1 and floats is None
    view = _view(dataset)
    if view in LATERAL:
        warnings.append("lateral view")
    if code_of(dataset, "BurnedInAnnotation") == "YES":
        warnings.append("text is burned into the image and may name the patient")
    spacing = spacing_of(dataset, warnings)
    return Header(
        rows=rows,
        columns=columns,
        frames=frames,
        samples=samples,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        signed=signed,
        photometric=photometric,
        planar=whole.get("PlanarConfiguration", 0, say=samples > 1) & 1,
        modality=code_of(dataset, "Modality"),
        view=view,
        body_part=code_of(dataset, "BodyPartExamined"),
        spacing=spacing,
        aspect=1.0 if spacing else _aspect(dataset, warnings),
        rules=_rules(dataset, photometric=photometric, bits=stored, signed=signed, floats=bool(floats), warn=warnings),
    )


def frames_of(dataset: Any) -> int:
    """Number of Frames as stated, 1 if it is not; whether they are there is not looked at."""
    return Whole(dataset, []).get("NumberOfFrames", 1) or 1


def form_of(dataset: Any) -> tuple[int, int, int]:
    """Rows, columns and frames, within the bounds.

    Raises:
        UnreadableError: If they are missing, not possible or too many, or if the class is one that holds no scan.
    """
    uid = text_of(dataset, "SOPClassUID")
    if uid in REFUSED:
        raise UnreadableError(REFUSED[uid])
    whole = Whole(dataset, [])
    rows, columns = whole.need("Rows"), whole.need("Columns")
    frames = frames_of(dataset)
    if rows < 1 or columns < 1 or frames < 1:
        reason = "the header states an image of no size; the file is damaged, fetch it again"
        raise UnreadableError(reason)
    if rows * columns > MAX_PIXELS or rows * columns * frames > MAX_VOXELS or frames > MAX_FRAMES:
        reason = (
            f"the header promises {rows} x {columns} pixels in {frames} frames, above the bound of {MAX_PIXELS} "
            f"a frame and {MAX_VOXELS} in all; the file is damaged or no single scan"
        )
        raise UnreadableError(reason)
    return rows, columns, frames


def _view(dataset: Any) -> str | None:
    if view := code_of(dataset, "ViewPosition"):
        return view
    for item in items_of(dataset, "ViewCodeSequence"):
        try:
            return _MEANINGS.get(str(item.get("CodeMeaning", "")).strip().lower())
        except BROKEN:
            return None
    return None


def spacing_of(dataset: Any, warnings: list[str]) -> tuple[float, float] | None:
    """Read Pixel Spacing, else Imager Pixel Spacing (at the detector, so not corrected for magnification)."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        numbers = numbers_of(dataset, keyword)
        if len(numbers) == 2 and all(0 < number < math.inf for number in numbers):
            if not 0.99 < numbers[0] / numbers[1] < 1.01:
                warnings.append("pixels are not square; fitting to a network makes up for it")
            return numbers[0], numbers[1]
        if numbers:
            warnings.append(f"{keyword} makes no sense and was ignored")
    return None


def _aspect(dataset: Any, warnings: list[str]) -> float:
    """Height of a pixel over its width (Pixel Aspect Ratio), which is stated where no spacing is."""
    aspect = numbers_of(dataset, "PixelAspectRatio")
    if len(aspect) != 2 or not all(0 < side < math.inf for side in aspect) or not 0.01 < aspect[0] / aspect[1] < 100:
        return 1.0
    if not 0.99 < aspect[0] / aspect[1] < 1.01:
        warnings.append("pixels are not square; fitting to a network makes up for it")
    return aspect[0] / aspect[1]


def _rules(dataset: Any, *, photometric: str, bits: int, signed: bool, floats: bool, warn: list[str]) -> GreyRules:
    if photometric in COLOURS:
        return GreyRules(bits=bits)
    padding = _padding(dataset, bits=bits, signed=signed, floats=floats)
    if photometric == "PALETTE COLOR":
        return GreyRules(bits=bits, signed=signed, palette=palette_of(dataset), padding=padding)
    slope, intercept = ((*numbers_of(dataset, keyword), None)[0] for keyword in ("RescaleSlope", "RescaleIntercept"))
    rescale = None
    modality_lut = first_lut(dataset, "ModalityLUTSequence", warn)
    if modality_lut is None and (slope is not None or intercept is not None):
        slope, intercept = 1.0 if slope is None else slope, 0.0 if intercept is None else intercept
        if math.isfinite(slope) and math.isfinite(intercept) and slope != 0:
            rescale = slope, intercept
        else:
            warn.append("Rescale Slope and Intercept make no sense and were ignored")
    function = code_of(dataset, "VOILUTFunction") or "LINEAR"
    if function not in FUNCTIONS:
        warn.append("VOI LUT Function is not one of the standard; taken as LINEAR")
        function = "LINEAR"
    centres, widths = numbers_of(dataset, "WindowCenter"), numbers_of(dataset, "WindowWidth")
    stated = min(len(centres), len(widths))
    least = 1.0 if function == "LINEAR" else np.finfo(np.float64).tiny
    windows = tuple(
        (centre, width, number)
        for number, (centre, width) in enumerate(zip(centres, widths, strict=False), start=1)
        if math.isfinite(centre) and least <= width < math.inf
    )
    assumed = False
    voi_lut = first_lut(dataset, "VOILUTSequence", warn)
    if not windows and voi_lut is None and rescale is not None and code_of(dataset, "Modality") == "CT":
        windows, function, assumed = ((*CT_WINDOW, 1),), "LINEAR", True
    if len(windows) < stated:
        warn.append(f"{stated - len(windows)} of {stated} windows make no sense (width or centre) and were ignored")
    # PS3.3 C.7.6.3.1.2: MONOCHROME1 shows low values white, after the VOI transform. Presentation LUT Shape says the
    # same thing again (C.8.11.3: INVERSE goes with MONOCHROME1, IDENTITY with MONOCHROME2), so the two agreeing invert
    # once. Where they contradict each other the shape holds: it is the later stage of the pipeline, and PS3.4 N.2.1.4
    # lets it override the photometric interpretation; dcmtk and dcm4che do the same.
    shape = code_of(dataset, "PresentationLUTShape")
    inverted = photometric == "MONOCHROME1"
    if shape in ("IDENTITY", "INVERSE") and inverted != (shape == "INVERSE"):
        inverted = not inverted
        warn.append(f"{photometric} and Presentation LUT Shape {shape} contradict each other; the shape was followed")
    return GreyRules(
        bits=bits,
        signed=signed,
        modality_lut=modality_lut,
        rescale=rescale,
        voi_lut=voi_lut,
        windows=windows,
        function=function,
        stated_windows=stated,
        assumed=assumed,
        inverted=inverted,
        padding=padding,
    )


def _padding(dataset: Any, *, bits: int, signed: bool, floats: bool) -> tuple[float, float] | None:
    """Pixel Padding Value and Range Limit as stored values; a wrong VR turns -2000 into 63536, which is undone."""
    keywords = ("PixelPaddingValue", "PixelPaddingRangeLimit")
    if floats:
        keywords = ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit")
    ends = [(*numbers_of(dataset, keyword), math.nan)[0] for keyword in keywords]
    if not math.isfinite(ends[0]):
        return None
    if not math.isfinite(ends[1]):
        ends[1] = ends[0]
    if not floats:
        wrap = 2**16 if bits <= 16 else 2**32
        low = -wrap // 2 if signed else 0
        ends = [(end - low) % wrap + low for end in ends]
    return min(ends), max(ends)
