"""What the network sees is the same whether all pixels were mapped to grey first or only means over blocks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, RLELossless

from medfuse import read_scan
from medfuse.errors import ScanError
from medfuse.imaging import fit_scan, read_fitted, scan_digest
from medfuse.imaging.coarse import block_means, coarse_grey
from medfuse.imaging.grey import GreyRules, Way, grey_of
from tests.imaging.test_golden import WAYS, transform


def pattern(rows: int, columns: int, bits: int, *, signed: bool, seed: int, noise: float = 0.15) -> np.ndarray:
    """Stored values with a gradient, noise, and both ends of their range."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:rows, :columns] / max(rows, columns)
    grey = np.clip(0.5 + 0.5 * np.sin(5 * x + 3 * y) + rng.normal(0, noise, (rows, columns)), 0, 1)
    low = -(2 ** (bits - 1)) if signed else 0
    kind = np.dtype(f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}")
    return (low + np.rint(grey * (2**bits - 1))).astype(kind)


def same(path, size, **settings):
    """Both ways, their pixels and whether all else is the same."""
    series = {"presentation": settings.pop("presentation", None)}
    full = fit_scan(read_scan(path, **series), size, **settings)
    fast = read_fitted(path, size, **series, **settings)
    assert fast.receipt == full.receipt
    assert fast.spacing == full.spacing
    return full.pixels, fast.pixels


@given(data=st.data())
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_two_ways_agree(tmp_path, dataset, save, data):
    draw = data.draw
    bits, signed = draw(st.sampled_from([6, 8, 10, 12, 16])), draw(st.booleans())
    rows, columns = draw(st.integers(30, 330)), draw(st.integers(30, 330))
    stored = pattern(rows, columns, bits, signed=signed, seed=draw(st.integers(0, 9)))
    way = draw(st.sampled_from([*WAYS, "none"]))
    elements = {} if way == "none" else transform(way, -(2 ** (bits - 1)) if signed else 0, 2**bits)[0]
    if draw(st.booleans()):
        elements["PixelPaddingValue"] = int(stored[0, 0])
    if draw(st.booleans()):
        elements["PixelAspectRatio"] = [draw(st.integers(1, 4)), draw(st.integers(1, 4))]
    elif draw(st.booleans()):
        elements["PixelSpacing"] = [0.2, draw(st.sampled_from([0.1, 0.2, 0.5]))]
    shape = draw(st.sampled_from([None, "IDENTITY", "INVERSE"]))
    made = dataset(
        stored,
        BitsStored=bits,
        PhotometricInterpretation=draw(st.sampled_from(["MONOCHROME1", "MONOCHROME2"])),
        **elements,
        **({"PresentationLUTShape": shape} if shape else {}),
    )
    if "PixelPaddingValue" in elements:
        made["PixelPaddingValue"].VR = "SS" if signed else "US"
    syntax = draw(st.sampled_from([ExplicitVRLittleEndian, RLELossless] if signed else [JPEGLSLossless, RLELossless]))
    full, fast = same(save(tmp_path / "x.dcm", made, syntax), draw(st.integers(5, 60)))
    np.testing.assert_allclose(fast, full, atol=1 / 128)


def test_equalised_and_by_a_presentation_state(tmp_path, dataset, save):
    from tests.imaging.test_presentation import state, voi

    path = save(tmp_path / "x.dcm", dataset(pattern(300, 200, 12, signed=False, seed=0), BitsStored=12))
    made = save(tmp_path / "state.dcm", state(SoftcopyVOILUTSequence=[voi(2000, 1602)]))
    full, fast = same(path, 32, presentation=made)
    np.testing.assert_allclose(fast, full, atol=1e-6)
    assert not np.allclose(full, same(path, 32)[0], atol=0.05)
    full, fast = same(path, 32, equalise=True)
    np.testing.assert_allclose(fast, full, atol=1e-2)  # ranks: what rounding parts is a few places apart


@pytest.mark.parametrize(
    ("stored", "elements"),
    [
        (np.full((700, 700), 77, np.uint16), {}),
        (np.full((700, 700), 77, np.uint16), {"WindowCenter": 500, "WindowWidth": 1000}),
        (pattern(700, 700, 12, signed=False, seed=1), {"WindowCenter": 60000, "WindowWidth": 900}),
        (np.where(np.arange(490000).reshape(700, 700) == 351, 900, 77).astype(np.uint16), {}),
        (pattern(700, 700, 12, signed=False, seed=1), {"WindowCenter": 300, "WindowWidth": 600}),
        (pattern(700, 700, 12, signed=False, seed=1), {"WindowCenter": 9000, "WindowWidth": 16000}),
    ],
    ids=["constant", "constant with a window", "window beside", "one pixel", "saturated", "nearly constant"],
)
def test_what_is_odd_is_said_by_both(tmp_path, dataset, save, stored, elements):
    full, fast = same(save(tmp_path / "x.dcm", dataset(stored, BitsStored=12, **elements)), 64)
    np.testing.assert_allclose(fast, full, atol=1e-6)


def test_blocks_against_plain_means():
    stored = pattern(103, 77, 16, signed=True, seed=2)
    means = block_means(stored, down=4, across=3, low=-9000, high=20000)
    clipped = stored.clip(-9000, 20000).astype(float)
    wanted = [[clipped[r : r + 4, c : c + 3].mean() for c in range(0, 77, 3)] for r in range(0, 103, 4)]
    np.testing.assert_allclose(means, wanted, rtol=1e-5)


def test_straight_ways_only():
    stored = pattern(60, 60, 12, signed=False, seed=3)
    window = GreyRules(bits=12, windows=((2000.0, 2002.0, 1),))
    means = coarse_grey(stored, Way(window, ""), down=3, across=3)
    wanted = grey_of(stored, Way(window, "")).reshape(20, 3, 20, 3).mean((1, 3))
    np.testing.assert_allclose(means, wanted, atol=1e-5)
    for rules in (
        replace(window, function="SIGMOID"),
        replace(window, windows=((2000.0, 3.0, 1),)),
        replace(window, padding=(float(stored[0, 0]), float(stored[0, 0]))),
    ):
        assert coarse_grey(stored, Way(rules, ""), down=3, across=3) is None


def test_size_below_one(tmp_path):
    with pytest.raises(ScanError, match="at least 1"):
        read_fitted(tmp_path / "x.dcm", 0)


def test_a_digest_that_is_known_is_not_computed_again(tmp_path):
    path = tmp_path / "x.png"
    Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16)).save(path)
    assert read_fitted(path, 8).receipt.sha256 == scan_digest(path)
    assert read_fitted(path, 8, sha256="known").receipt.sha256 == "known"
