from __future__ import annotations

from base64 import b64decode
from io import BytesIO

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as some
from PIL import Image

from medfuse.review.window import DISPLAY_SIDE, for_display, png_uri, windowed

RAMP = np.linspace(0, 1, 256, dtype=np.float32)[None, :]


def test_the_whole_range_is_the_scan_itself() -> None:
    assert windowed(RAMP, level=0.5, width=1.0).tolist() == [list(range(256))]
    assert windowed(RAMP, level=0.5, width=1.0, inverted=True).tolist() == [list(range(255, -1, -1))]


def test_a_narrow_window_stretches_and_cuts_off() -> None:
    shown = windowed(RAMP, level=0.6, width=0.2)[0]
    assert (shown[RAMP[0] < 0.499] == 0).all()
    assert (shown[RAMP[0] > 0.701] == 255).all()
    assert abs(int(shown[153]) - 128) <= 1  # 153 / 255 is the level


@settings(deadline=None, max_examples=60)
@given(some.floats(0, 1), some.floats(0.0, 2), some.booleans())
def test_windows_keep_the_order_of_greys(level: float, width: float, inverted: bool) -> None:
    shown = windowed(RAMP, level=level, width=width, inverted=inverted)[0].astype(int)
    steps = np.diff(shown)
    assert (steps <= 0).all() if inverted else (steps >= 0).all()


def test_large_scans_are_made_smaller_in_shape() -> None:
    large = np.ones((3 * DISPLAY_SIDE, 2 * DISPLAY_SIDE), dtype=np.float32)
    assert for_display(large).shape == (DISPLAY_SIDE, 2 * DISPLAY_SIDE // 3)
    assert for_display(large).min() == 1
    assert for_display(RAMP) is not large
    np.testing.assert_array_equal(for_display(RAMP), RAMP)
    assert for_display(np.zeros((4 * DISPLAY_SIDE, 1), dtype=np.float32)).shape == (DISPLAY_SIDE, 1)


def test_png_is_lossless() -> None:
    greys = windowed(RAMP, level=0.5, width=1.0)
    uri = png_uri(greys)
    assert uri.startswith("data:image/png;base64,")
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(b64decode(uri.split(",")[1])))), greys)
