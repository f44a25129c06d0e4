"""Window level and width: which greys of a scan the screen shows."""

from __future__ import annotations

from base64 import b64encode
from io import BytesIO

import numpy as np
from PIL import Image

DISPLAY_SIDE = 1200  # pixels; more than a screen shows of one scan, and less than a full radiograph to send


def windowed(pixels: np.ndarray, *, level: float, width: float, inverted: bool = False) -> np.ndarray:
    """Map greys in `level ± width / 2` linearly to 0…255, and cut off what lies outside.

    Args:
        pixels: [H, W], values in 0…1.
        level: The grey that becomes the middle of the screen's range, 0…1.
        width: The range of greys that is shown, above 0.
        inverted: Whether black and white change places.

    Returns:
        uint8 [H, W].
    """
    low = level - width / 2
    shown = np.clip((np.asarray(pixels, dtype=np.float32) - low) / max(width, 1e-6), 0.0, 1.0)
    return np.asarray(np.round(255 * (1 - shown if inverted else shown)), dtype=np.uint8)


def for_display(pixels: np.ndarray) -> np.ndarray:
    """The scan, made smaller if its longer side is above `DISPLAY_SIDE`; float32 [H, W] in 0…1."""
    longest = max(pixels.shape)
    if longest <= DISPLAY_SIDE:
        return np.asarray(pixels, dtype=np.float32)
    size = (
        max(1, round(pixels.shape[1] * DISPLAY_SIDE / longest)),
        max(1, round(pixels.shape[0] * DISPLAY_SIDE / longest)),
    )
    picture = Image.fromarray(np.asarray(pixels, dtype=np.float32))
    return np.asarray(picture.resize(size, Image.Resampling.BOX), dtype=np.float32)


def png_uri(greys: np.ndarray) -> str:
    """A uint8 [H, W] picture as a `data:` address."""
    stream = BytesIO()
    Image.fromarray(greys).save(stream, format="PNG", compress_level=1)
    return f"data:image/png;base64,{b64encode(stream.getvalue()).decode('ascii')}"
