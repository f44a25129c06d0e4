"""What the network sees."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import rankdata

from medfuse.case import Scan, ScanReceipt
from medfuse.errors import ScanError
from medfuse.imaging import fit_scan
from medfuse.imaging.fit import spread


def scan_of(pixels, spacing=None) -> Scan:
    pixels = np.asarray(pixels, np.float32)
    receipt = ScanReceipt(sha256="", format="PNG", rows=1, columns=1, bits=8, photometric="L", warnings=("w",))
    return Scan(path=Path("x.png"), pixels=pixels, spacing=spacing, receipt=receipt)


def test_thumbnail_is_exactly_what_the_network_sees():
    fitted = fit_scan(scan_of(np.random.default_rng(0).random((300, 200))), 64)
    shown = np.asarray(Image.open(BytesIO(fitted.thumbnail)))
    assert (shown.shape, shown.dtype) == ((64, 64), np.uint8)
    np.testing.assert_array_equal(shown, np.rint(fitted.pixels * 255))
    assert fitted.receipt.warnings == ("w",)


def test_letterbox_keeps_proportions_and_pads_with_black():
    fitted = fit_scan(scan_of(np.ones((400, 200)), spacing=(0.2, 0.2)), 100)
    assert fitted.pixels.dtype == np.float32
    np.testing.assert_array_equal(fitted.pixels[:, 25:75], 1)
    assert not fitted.pixels[:, :25].any()
    assert not fitted.pixels[:, 75:].any()
    assert fitted.spacing == pytest.approx((0.8, 0.8))


@pytest.mark.parametrize(("shape", "spacing"), [((200, 400), (0.4, 0.2)), ((400, 200), (0.2, 0.4))])
def test_spacing_makes_up_for_pixels_that_are_not_square(shape, spacing):
    fitted = fit_scan(scan_of(np.ones(shape), spacing), 100)
    assert fitted.pixels.all()
    assert fitted.spacing == pytest.approx((0.8, 0.8))


def test_shrinking_is_antialiased():
    stripes = np.tile([0.0, 1.0], (512, 256))
    fitted = fit_scan(scan_of(stripes), 64)
    np.testing.assert_allclose(fitted.pixels[:, 2:-2], 0.5, atol=0.02)


def test_close_to_a_mean_over_blocks():
    y, x = np.mgrid[:1024, :1024] / 1024
    smooth = 0.5 + 0.4 * np.sin(9 * x + 4 * y)
    fitted = fit_scan(scan_of(smooth), 128)
    np.testing.assert_allclose(fitted.pixels, smooth.reshape(128, 8, 128, 8).mean((1, 3)), atol=0.01)


def test_already_fitting_is_untouched():
    pixels = np.random.default_rng(0).random((32, 32)).astype(np.float32)
    np.testing.assert_array_equal(fit_scan(scan_of(pixels), 32).pixels, pixels)


@given(
    rows=st.integers(1, 80),
    columns=st.integers(1, 80),
    size=st.integers(1, 70),
    spacing=st.none() | st.tuples(*[st.floats(1e-300, 1e300)] * 2),
)
@settings(deadline=None, max_examples=60)
def test_any_shape_fits(rows, columns, size, spacing):
    pixels = np.random.default_rng(0).random((rows, columns))
    fitted = fit_scan(scan_of(pixels, spacing), size).pixels
    assert fitted.shape == (size, size)
    assert np.isfinite(fitted).all()
    assert fitted.min() >= 0
    assert fitted.max() <= 1


def test_what_cannot_be_fitted():
    with pytest.raises(ScanError, match="call read_scan first"):
        fit_scan(Scan(path=Path("x.png")), 64)
    with pytest.raises(ScanError, match="at least 1"):
        fit_scan(scan_of(np.ones((3, 3))), 0)


@given(data=st.data(), levels=st.integers(1, 9))
@settings(deadline=None, max_examples=40)
def test_spreading_is_the_rank_of_every_value(data, levels):
    shape = data.draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    grey = np.random.default_rng(0).integers(0, levels, shape).astype(np.float32) / levels
    rank = rankdata(grey, method="max").reshape(shape)
    np.testing.assert_allclose(spread(grey), (rank - rank.min()) / max(1, grey.size - rank.min()), atol=1e-6)


def test_spreading_undoes_any_exposure_and_leaves_the_padding_black():
    pixels = np.random.default_rng(0).random((40, 20)).astype(np.float32)
    spreaded, brighter = (fit_scan(scan_of(one), 40, equalise=True).pixels for one in (pixels, pixels**0.5 * 0.8))
    np.testing.assert_allclose(spreaded, brighter, atol=1e-6)
    assert spreaded[:, :10].max() == 0
    assert spreaded.max() == 1
