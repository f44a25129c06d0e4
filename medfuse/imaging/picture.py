"""PNG, JPEG and TIFF to grey pixels with a receipt."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy import ndarray
from PIL import Image, ImageOps

from medfuse.case import ScanReceipt
from medfuse.imaging.boundary import MAX_PIXELS, UnreadableError, foreign, hush
from medfuse.imaging.content import Kind
from medfuse.imaging.grey import GreyRules, render, warn_if_constant
from medfuse.imaging.oddities import oddities

if TYPE_CHECKING:
    from jaxtyping import Float32

_BITS = {"1": 1, "I": 32, "F": 32, "I;16": 16, "I;16B": 16, "I;16L": 16, "I;16N": 16}  # of a mode; all others 8
_ORIENTATION = 0x0112  # EXIF
_PHOTOMETRIC = 262  # TIFF; 0 is white is zero
_BITS_PER_SAMPLE = 258  # TIFF


def read_picture(
    data: bytes, *, kind: Kind, sha256: str
) -> tuple[Float32[ndarray, "h w"], tuple[float, float] | None, ScanReceipt]:
    """Read one picture: colours as luminance, alpha over black, turned upright as EXIF says.

    8 bits are shown as they are. More bits in one channel are detector values without a window, and are spread as in
    a DICOM file that states none; the receipt says so.

    Args:
        data: The whole file.
        kind: PNG, JPEG or TIFF.
        sha256: Its digest, for the receipt.

    Returns:
        Grey pixels in 0…1, None for the spacing (a picture's dots per inch are those of a printer), and the receipt.

    Raises:
        UnreadableError: If it is not one readable picture, with the reason and what to do.
    """
    damaged = f"this {kind} cannot be decoded; the file is damaged or cut short, fetch it again"
    hush()
    warnings: list[str] = []
    too_large = f"the picture promises more than {MAX_PIXELS} pixels; the file is damaged or no single image"
    with foreign(damaged):
        try:
            image: Image.Image = Image.open(BytesIO(data), formats=(kind,))
        except Image.DecompressionBombError as error:
            raise UnreadableError(too_large) from error
        rows, columns, mode = image.height, image.width, image.mode
        if rows * columns > MAX_PIXELS:
            raise UnreadableError(too_large)
        frames = 1 if kind == "JPEG" else getattr(image, "n_frames", 1)  # a camera's JPEG may carry previews
        if frames > 1:
            reason = f"it has {frames} frames, and only single images are read; export the frame you want"
            raise UnreadableError(reason)
        tags = getattr(image, "tag_v2", {})
        white_is_zero = tags.get(_PHOTOMETRIC) == 0
        depth = max(tags.get(_BITS_PER_SAMPLE, (8,))) if kind == "TIFF" else data[24] if kind == "PNG" else 8
        turned = image.getexif().get(_ORIENTATION) in range(2, 9)
        image.load()
        if turned:
            image = ImageOps.exif_transpose(image)  # nothing is left to do for a TIFF: loading it turns it
            warnings.append("turned upright as its EXIF orientation says")
        stored = _stored(image)
    bits = _BITS.get(mode, 8)
    if depth > 8 and bits == 8:
        warnings.append(f"{depth}-bit colours were read at 8 bits")
    # Pillow turns white-is-zero round itself, but only for pictures of up to 8 bits.
    pixels, voi = render(stored, GreyRules(bits=bits, inverted=white_is_zero and bits > 8), warnings)
    warn_if_constant(pixels, warnings)
    if mode == "L" or mode.startswith("I"):  # a radiograph, most often; a colour photograph is none
        warnings.extend(oddities(pixels, frontal=True))
    receipt = ScanReceipt(
        sha256=sha256,
        format=kind,
        rows=rows,
        columns=columns,
        bits=bits,
        photometric=mode,
        inverted=white_is_zero,
        voi=voi,
        warnings=tuple(warnings),
    )
    return pixels, None, receipt


def _stored(image: Image.Image) -> ndarray:
    """The values of a picture in one channel [rows, columns]."""
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return np.asarray(image)
    if image.mode in ("1", "L") and "transparency" not in image.info:
        return np.asarray(image).astype(np.uint8)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, (0, 0, 0, 255)), image)
    return np.asarray(image.convert("RGB").convert("L"))
