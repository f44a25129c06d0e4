"""What looks wrong is said, and what is sound is let be."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread

from medfuse import read_scan
from medfuse.imaging.oddities import oddities

SAMPLES = sorted((Path(__file__).parents[2] / "sample_data" / "scans").glob("*.dcm"))
REAL = Path(os.environ.get("MEDFUSE_REAL_DATA", "nowhere")) / "covid-chestxray"


def test_sound_radiographs_are_let_be():
    assert len(SAMPLES) > 40
    assert [line for path in SAMPLES for line in oddities(read_scan(path).pixels, frontal=True)] == []


@pytest.mark.parametrize("path", SAMPLES[::6], ids=lambda path: path.stem)
def test_a_wrong_photometric_interpretation_shows(tmp_path, path):
    item = dcmread(path)
    item.PhotometricInterpretation = {"MONOCHROME1": "MONOCHROME2"}.get(item.PhotometricInterpretation, "MONOCHROME1")
    if "PresentationLUTShape" in item:
        del item.PresentationLUTShape
    item.save_as(tmp_path / "x.dcm")
    assert any("likely inverted" in line for line in read_scan(tmp_path / "x.dcm").receipt.warnings)
    item.ViewPosition = "LL"
    item.save_as(tmp_path / "x.dcm")
    assert not any("inverted" in line for line in read_scan(tmp_path / "x.dcm").receipt.warnings)
    item.ViewPosition, item.BodyPartExamined = "PA", "HAND"
    item.save_as(tmp_path / "x.dcm")
    assert not any("inverted" in line for line in read_scan(tmp_path / "x.dcm").receipt.warnings)


def picture(**parts: float) -> np.ndarray:
    """Noise between 0.2 and 0.8 with some parts of its rows taken up by black or white."""
    pixels = np.random.default_rng(0).uniform(0.2, 0.8, (300, 200)).astype(np.float32)
    if "white" in parts:
        pixels[100 : 100 + int(300 * parts["white"])] = 1
    if "black" in parts:
        pixels[100 : 100 + int(300 * parts["black"])] = 0
    if "border" in parts:
        pixels[: int(300 * parts["border"])] = 0
    return pixels


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({}, None),
        ({"white": 0.05}, None),
        ({"white": 0.2}, "saturated: 20% of the image is at white"),
        ({"border": 0.05}, None),
        ({"border": 0.2}, "a blank border (collimation or padding) takes up 20% of the image"),
        ({"black": 0.5}, None),
        ({"border": 0.9}, "nearly empty"),
        ({"border": 1.0}, "nearly empty"),
    ],
)
def test_bounds(parts, said):
    found = oddities(picture(**parts), frontal=False)
    assert [said in line for line in found] == ([True] if said else [])


def test_pictures_in_grey_are_looked_at_and_colours_are_not(tmp_path):
    grey = np.rint(picture(white=0.3) * 255).astype(np.uint8)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(np.stack([grey] * 3, axis=-1)).save(tmp_path / "colours.png")
    assert any("saturated" in line for line in read_scan(tmp_path / "grey.png").receipt.warnings)
    assert read_scan(tmp_path / "colours.png").receipt.warnings == ()


@pytest.mark.real
@pytest.mark.skipif(not REAL.exists(), reason="MEDFUSE_REAL_DATA is not set")
def test_on_real_radiographs():
    import pandas as pd

    table = pd.read_csv(REAL / "metadata.csv").drop_duplicates("filename")
    frontal = [
        REAL / "images" / name for name, view in zip(table["filename"], table["view"], strict=True) if view != "L"
    ]
    false, found = 0, 0
    for path in frontal:
        pixels = read_scan(path).pixels
        false += any(
            "inverted" in line or "saturated" in line or "empty" in line for line in oddities(pixels, frontal=True)
        )
        found += any("inverted" in line for line in oddities(1 - pixels, frontal=True))
    assert len(frontal) > 190
    assert false <= 2
    assert found / len(frontal) > 0.85
