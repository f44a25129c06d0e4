"""One file to a Scan: paths, digests, cold start, and damaged files of every kind."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from io import BytesIO

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from medfuse.errors import ScanError
from medfuse.imaging import read_scan

STORED = np.random.default_rng(0).integers(0, 4096, (40, 36)).astype(np.uint16)


def refusal(path) -> str:
    with pytest.raises(ScanError) as error:
        read_scan(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_digest_and_path(tmp_path, dataset, save):
    path = save(tmp_path / "x.dcm", dataset(STORED, BitsStored=12))
    scan = read_scan(str(path))
    assert scan.path == path
    assert scan.receipt.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_paths_without_a_file(tmp_path):
    assert refusal(tmp_path / "none.dcm") == "none.dcm: no such file; check the path in the cohort's table"
    assert "there is no file in it" in refusal(tmp_path)
    assert refusal("a\0b").startswith("a b: no such file")
    assert "cannot be opened" in refusal(tmp_path / ("x" * 999))
    assert refusal(tmp_path / "two\nlines.dcm").startswith("two lines.dcm: ")
    os.mkfifo(tmp_path / "pipe")
    assert "a pipe" in refusal(tmp_path / "pipe")


def test_a_file_that_is_too_large(tmp_path):
    with (tmp_path / "x.dcm").open("wb") as stream:
        stream.truncate(2**30 + 1)  # sparse
    assert "larger than 1024 MiB" in refusal(tmp_path / "x.dcm")


def test_importing_the_room_is_light():
    code = (
        "import sys, medfuse.imaging, medfuse.imaging.read;"
        "print(sorted({'numpy', 'PIL', 'pydicom'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_a_picture_does_not_import_pydicom(tmp_path):
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "x.png")
    code = (
        "import sys; from medfuse.imaging import read_scan, fit_scan; fit_scan(read_scan(sys.argv[1]), 8);"
        "print(sorted({'pydicom', 'torch', 'scipy', 'pandas', 'jaxtyping'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path / "x.png"], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def original(tmp_path_factory, dataset, save) -> Callable[[str], bytes]:
    """One good file of each kind, with every element that steers grey in it."""
    folder = tmp_path_factory.mktemp("originals")
    files = {}
    for syntax in (
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEG2000Lossless,
        JPEGLSLossless,
        JPEGLosslessSV1,
    ):
        made = dataset(STORED, BitsStored=12, RescaleSlope=2, RescaleIntercept=-9, PixelPaddingValue=0)
        made.WindowCenter, made.WindowWidth, made.VOILUTFunction = [2000, 9], [3000, 8], "LINEAR"
        made.PixelSpacing, made.ViewPosition, made.PresentationLUTShape = [0.2, 0.2], "PA", "IDENTITY"
        files[syntax.keyword] = save(folder / "x", made, syntax).read_bytes()
    made = dataset(STORED % 256, PhotometricInterpretation="PALETTE COLOR")
    for colour in ("Red", "Green", "Blue"):
        setattr(made, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, 8])
        setattr(made, f"{colour}PaletteColorLookupTableData", bytes(range(256)))
    files["palette"] = save(folder / "x", made).read_bytes()
    for kind in ("PNG", "JPEG", "TIFF"):
        stream = BytesIO()
        Image.fromarray(STORED if kind == "TIFF" else (STORED // 16).astype(np.uint8)).save(stream, kind)
        files[kind] = stream.getvalue()
    return lambda kind: files[kind]  # a function, since Hypothesis prints what a failing test was given


def readable_or_refused(path, data: bytes) -> bool:
    path.write_bytes(data)
    try:
        scan = read_scan(path)
    except ScanError as error:
        message = str(error)
    else:
        message = ""
    if message:
        assert "\n" not in message
        assert "secret" not in message.lower()
        assert message.startswith(f"{path.name}: ")
        return False
    assert scan.pixels.dtype == np.float32
    assert scan.pixels.ndim == 2
    assert np.isfinite(scan.pixels).all()
    assert scan.pixels.min() >= 0
    assert scan.pixels.max() <= 1
    assert "secret" not in repr(scan).lower()
    return True


KINDS = [
    "ExplicitVRLittleEndian",
    "ImplicitVRLittleEndian",
    "ExplicitVRBigEndian",
    "DeflatedExplicitVRLittleEndian",
    "RLELossless",
    "JPEG2000Lossless",
    "JPEGLSLossless",
    "JPEGLosslessSV1",
    "palette",
    "PNG",
    "JPEG",
    "TIFF",
]
FUZZ = settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@FUZZ
def test_any_cut_is_refused_or_read(tmp_path, original, kind, data):
    whole = original(kind)
    readable_or_refused(tmp_path / "x.dcm", whole[: data.draw(st.integers(0, len(whole)))])


@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
@FUZZ
def test_any_mutation_is_refused_or_read(tmp_path, original, kind, data):
    mutant = bytearray(original(kind))
    # Most of a file is pixels: draw half of the places from its first 1000 bytes, where the header is.
    place = st.integers(0, min(1000, len(mutant)) - 1) | st.integers(0, len(mutant) - 1)
    for at, byte in data.draw(st.lists(st.tuples(place, st.integers(0, 255)), min_size=1, max_size=8)):
        mutant[at] = byte
    readable_or_refused(tmp_path / "x.dcm", bytes(mutant))


NUMBERS = st.sampled_from(["0", "-1", "1e300", "-1e300", "1e-300", "nan", "inf", "2000", "x", "", "1\\2\\3", "0.5"])


@given(
    rescale=st.tuples(NUMBERS, NUMBERS),
    window=st.tuples(NUMBERS, NUMBERS),
    function=st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID", "OTHER", ""]),
    spacing=NUMBERS,
    padding=st.none() | st.integers(0, 65535),
    photometric=st.sampled_from(["MONOCHROME1", "MONOCHROME2"]),
    stored=st.sampled_from([STORED, STORED.astype(np.int16) - 2000, STORED.astype(np.uint32) * 99999]),
)
@FUZZ
def test_any_header_numbers(tmp_path, dataset, save, rescale, window, function, spacing, padding, photometric, stored):
    made = dataset(stored, PhotometricInterpretation=photometric, VOILUTFunction=function)
    texts = dict(
        zip(("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth"), rescale + window, strict=True)
    )
    for keyword, text in {**texts, "PixelSpacing": spacing}.items():
        made.add_new(keyword, "DS", None)
        made[keyword].VR = "LO"  # any text can be written
        made[keyword].value = text
    if padding is not None:
        made.PixelPaddingValue = padding
        made["PixelPaddingValue"].VR = "US"
    path = save(tmp_path / "x.dcm", made, ImplicitVRLittleEndian)
    assert readable_or_refused(path, path.read_bytes())
