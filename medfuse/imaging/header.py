"""What of a DICOM data set the way to grey needs, as plain values: no element that is broken breaks the others."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydicom.errors import BytesLengthException, InvalidDicomError

from medfuse.imaging.boundary import FOREIGN, MAX_PIXELS, UnreadableError, foreign
from medfuse.imaging.grey import LUMA, GreyRules, Lut

PYDICOMS = (BytesLengthException, InvalidDicomError)  # its exceptions that derive from none of Python's own
BROKEN = (*FOREIGN, *PYDICOMS)  # what looking at an element may raise, since pydicom converts values when asked
GREYS = ("MONOCHROME1", "MONOCHROME2")
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
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
_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")  # a code string (VR CS), which leaves no room for a patient's name in words


@dataclass(frozen=True, slots=True)
class Header:
    """The image's form, the rules to its greys, and what the receipt tells.

    Attributes are DICOM's of the same name; `spacing` is in millimetres between rows and between columns.
    """

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    photometric: str
    planar: int
    modality: str | None
    view: str | None
    spacing: tuple[float, float] | None
    rules: GreyRules


def read_header(dataset: Any, *, pixel_keyword: str, warnings: list[str]) -> Header:
    """Read the image pixel, modality LUT, VOI LUT and related elements (PS3.3 C.7.6.3, C.11.1, C.11.2).

    Args:
        dataset: A pydicom data set.
        pixel_keyword: `PixelData`, `FloatPixelData` or `DoubleFloatPixelData`.
        warnings: Receives what was odd or assumed.

    Raises:
        UnreadableError: If the image is too large, has several frames, or lacks what cannot be assumed.
    """
    whole = _Whole(dataset, warnings)
    rows, columns = whole.need("Rows"), whole.need("Columns")
    frames = whole.get("NumberOfFrames", 1) or 1
    if rows < 1 or columns < 1 or frames < 1:
        reason = "the header states an image of no size; the file is damaged, fetch it again"
        raise UnreadableError(reason)
    if rows * columns * frames > MAX_PIXELS:
        reason = (
            f"the header promises {rows} x {columns} pixels in {frames} frames, above the bound of {MAX_PIXELS}; "
            "the file is damaged or no single image"
        )
        raise UnreadableError(reason)
    if frames > 1:
        reason = f"it has {frames} frames, and only single images are read; export the frame you want"
        raise UnreadableError(reason)
    photometric = _code(dataset, "PhotometricInterpretation")
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
    if _code(dataset, "BurnedInAnnotation") == "YES":
        warnings.append("text is burned into the image and may name the patient")
    return Header(
        rows=rows,
        columns=columns,
        samples=samples,
        bits_allocated=allocated,
        bits_stored=stored,
        high_bit=high,
        signed=signed,
        photometric=photometric,
        planar=whole.get("PlanarConfiguration", 0, say=samples > 1) & 1,
        modality=_code(dataset, "Modality"),
        view=view,
        spacing=_spacing(dataset, warnings),
        rules=_rules(dataset, photometric=photometric, bits=stored, signed=signed, floats=bool(floats), warn=warnings),
    )


class _Whole:
    """Whole numbers of a data set, tolerant of what is missing or broken."""

    def __init__(self, dataset: Any, warnings: list[str]) -> None:
        self._dataset, self._warnings = dataset, warnings

    def need(self, keyword: str) -> int:
        numbers = _numbers(self._dataset, keyword)
        if not numbers or not math.isfinite(numbers[0]):
            reason = f"the header lacks {keyword}, so it holds no readable image; fetch it again or leave it out"
            raise UnreadableError(reason)
        return int(numbers[0])

    def get(self, keyword: str, default: int, *, say: bool = False) -> int:
        numbers = _numbers(self._dataset, keyword)
        if numbers and math.isfinite(numbers[0]):
            return int(numbers[0])
        if say:
            self._warnings.append(f"{keyword} is missing; taken as {default}")
        return default


def _numbers(dataset: Any, keyword: str) -> tuple[float, ...]:
    """The values of an element as numbers, NaN where a value is none; empty if the element is missing or broken."""
    try:
        value = dataset.get(keyword)
        if value is None:
            return ()
        return tuple(map(_number, [value] if isinstance(value, str | bytes | int | float) else list(value)))
    except BROKEN:
        return ()


def _number(value: Any) -> float:
    try:
        return float(value)
    except BROKEN:
        return math.nan


def _code(dataset: Any, keyword: str) -> str | None:
    """A code string, or None if it is missing, empty or does not look like one."""
    try:
        value = dataset.get(keyword)
    except BROKEN:
        return None
    code = value.strip().upper() if isinstance(value, str) else ""
    return code if _CODE.fullmatch(code) else None


def _items(dataset: Any, keyword: str) -> list[Any]:
    try:
        return list(dataset.get(keyword) or ())
    except BROKEN:
        return []


def _view(dataset: Any) -> str | None:
    if view := _code(dataset, "ViewPosition"):
        return view
    for item in _items(dataset, "ViewCodeSequence"):
        try:
            return _MEANINGS.get(str(item.get("CodeMeaning", "")).strip().lower())
        except BROKEN:
            return None
    return None


def _spacing(dataset: Any, warnings: list[str]) -> tuple[float, float] | None:
    """Pixel Spacing, else Imager Pixel Spacing (at the detector, so not corrected for magnification)."""
    for keyword in ("PixelSpacing", "ImagerPixelSpacing"):
        numbers = _numbers(dataset, keyword)
        if len(numbers) == 2 and all(0 < number < math.inf for number in numbers):
            if not 0.99 < numbers[0] / numbers[1] < 1.01:
                warnings.append("pixels are not square; fitting to a network makes up for it")
            return numbers[0], numbers[1]
        if numbers:
            warnings.append(f"{keyword} makes no sense and was ignored")
    aspect = _numbers(dataset, "PixelAspectRatio")
    if len(aspect) == 2 and aspect[0] != aspect[1]:
        warnings.append("pixels are not square and no spacing is stated; proportions are not made up for")
    return None


def _rules(dataset: Any, *, photometric: str, bits: int, signed: bool, floats: bool, warn: list[str]) -> GreyRules:
    if photometric in COLOURS:
        return GreyRules(bits=bits)
    padding = _padding(dataset, bits=bits, signed=signed, floats=floats)
    if photometric == "PALETTE COLOR":
        return GreyRules(bits=bits, signed=signed, palette=_palette(dataset), padding=padding)
    slope, intercept = ((*_numbers(dataset, keyword), None)[0] for keyword in ("RescaleSlope", "RescaleIntercept"))
    rescale = None
    modality_lut = _first_lut(dataset, "ModalityLUTSequence", warn)
    if modality_lut is None and (slope is not None or intercept is not None):
        slope, intercept = 1.0 if slope is None else slope, 0.0 if intercept is None else intercept
        if math.isfinite(slope) and math.isfinite(intercept) and slope != 0:
            rescale = slope, intercept
        else:
            warn.append("Rescale Slope and Intercept make no sense and were ignored")
    function = _code(dataset, "VOILUTFunction") or "LINEAR"
    if function not in FUNCTIONS:
        warn.append("VOI LUT Function is not one of the standard; taken as LINEAR")
        function = "LINEAR"
    centres, widths = _numbers(dataset, "WindowCenter"), _numbers(dataset, "WindowWidth")
    stated = min(len(centres), len(widths))
    least = 1.0 if function == "LINEAR" else np.finfo(np.float64).tiny
    windows = tuple(
        (centre, width, number)
        for number, (centre, width) in enumerate(zip(centres, widths, strict=False), start=1)
        if math.isfinite(centre) and least <= width < math.inf
    )
    if len(windows) < stated:
        warn.append(f"{stated - len(windows)} of {stated} windows make no sense (width or centre) and were ignored")
    # PS3.3 C.7.6.3.1.2: MONOCHROME1 shows low values white, after the VOI transform. Presentation LUT Shape says the
    # same thing again (C.8.11.3: INVERSE goes with MONOCHROME1, IDENTITY with MONOCHROME2), so the two agreeing invert
    # once. Where they contradict each other the shape holds: it is the later stage of the pipeline, and PS3.4 N.2.1.4
    # lets it override the photometric interpretation; dcmtk and dcm4che do the same.
    shape = _code(dataset, "PresentationLUTShape")
    inverted = photometric == "MONOCHROME1"
    if shape in ("IDENTITY", "INVERSE") and inverted != (shape == "INVERSE"):
        inverted = not inverted
        warn.append(f"{photometric} and Presentation LUT Shape {shape} contradict each other; the shape was followed")
    return GreyRules(
        bits=bits,
        signed=signed,
        modality_lut=modality_lut,
        rescale=rescale,
        voi_lut=_first_lut(dataset, "VOILUTSequence", warn),
        windows=windows,
        function=function,
        stated_windows=stated,
        inverted=inverted,
        padding=padding,
    )


def _padding(dataset: Any, *, bits: int, signed: bool, floats: bool) -> tuple[float, float] | None:
    """Pixel Padding Value and Range Limit as stored values; a wrong VR turns -2000 into 63536, which is undone."""
    keywords = ("PixelPaddingValue", "PixelPaddingRangeLimit")
    if floats:
        keywords = ("FloatPixelPaddingValue", "FloatPixelPaddingRangeLimit")
    ends = [(*_numbers(dataset, keyword), math.nan)[0] for keyword in keywords]
    if not math.isfinite(ends[0]):
        return None
    if not math.isfinite(ends[1]):
        ends[1] = ends[0]
    if not floats:
        wrap = 2**16 if bits <= 16 else 2**32
        low = -wrap // 2 if signed else 0
        ends = [(end - low) % wrap + low for end in ends]
    return min(ends), max(ends)


def _first_lut(dataset: Any, keyword: str, warnings: list[str]) -> Lut | None:
    for item in _items(dataset, keyword):
        try:
            return _lut(dataset, descriptor=_numbers(item, "LUTDescriptor"), data=item.get("LUTData"))
        except BROKEN:
            warnings.append(f"{keyword} is broken and was ignored")
            return None
    return None


def _lut(dataset: Any, *, descriptor: tuple[float, ...], data: Any) -> Lut:
    """PS3.3 C.11.1.1: number of entries (0 means 65536), first value mapped, bits of an entry.

    Raises:
        ValueError: If there is no entry, or fewer than the descriptor says.
    """
    count, first, bits = (int(number) for number in descriptor)
    count = count or 2**16
    if isinstance(data, bytes):
        little = dataset.original_encoding[1] is not False
        wide = len(data) >= 2 * count  # 8-bit entries may stand in bytes or in words
        entries = np.frombuffer(data, dtype=("<u2" if little else ">u2") if wide else "u1")[:count]
    else:
        entries = np.atleast_1d(np.array(data, dtype=np.int64))[:count]
    if not 1 <= bits <= 16 or len(entries) < count or entries.min() < 0:
        message = "a lookup table that is not as long as it says"
        raise ValueError(message)
    bits = max(bits, int(entries.max()).bit_length())  # some writers understate it
    return Lut(entries=entries.astype(np.float64), first=float(first), bits=bits)


def _palette(dataset: Any) -> Lut:
    """The palette's red, green and blue (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6) as luminance in 0…1.

    Plain tables are read here, because pydicom's `apply_color_lut` wraps values of palettes that have more than 256
    entries of 8 bits; it expands segmented ones (C.7.9.2).
    """
    from pydicom.pixels import apply_color_lut

    with foreign("its colour palette is broken; convert it to RGB or fetch it again", *PYDICOMS):
        descriptor = _numbers(dataset, "RedPaletteColorLookupTableDescriptor")
        if dataset.get("SegmentedRedPaletteColorLookupTableData") is not None:
            count, first, bits = (int(number) for number in descriptor)
            if bits <= 8 and not 0 < count <= 256:
                message = "a segmented palette that pydicom would wrap"
                raise ValueError(message)
            red_green_blue = apply_color_lut(np.arange(first, first + (count or 2**16)), dataset)[:, :3]
            return Lut(entries=red_green_blue @ LUMA / (2**bits - 1), first=float(first), bits=1)
        tables = [
            _lut(
                dataset,
                descriptor=_numbers(dataset, f"{colour}PaletteColorLookupTableDescriptor"),
                data=dataset.get(f"{colour}PaletteColorLookupTableData"),
            )
            for colour in ("Red", "Green", "Blue")
        ]
        bits = max(table.bits for table in tables)
        channels = np.stack([table.entries for table in tables], axis=-1)
    return Lut(entries=channels @ LUMA / (2**bits - 1), first=tables[0].first, bits=1)
