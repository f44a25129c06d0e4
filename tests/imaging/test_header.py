"""Spacing, view and what else the receipt tells of a header."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.dataset import Dataset

from medfuse.imaging import read_scan


@pytest.fixture
def read(tmp_path, dataset, save):
    stored = np.arange(256, dtype=np.uint8).reshape(16, 16)
    return lambda **elements: read_scan(save(tmp_path / "x.dcm", dataset(stored, **elements)))


@pytest.mark.parametrize(
    ("elements", "spacing", "warned"),
    [
        ({}, None, False),
        ({"ImagerPixelSpacing": [0.2, 0.2]}, (0.2, 0.2), False),
        ({"ImagerPixelSpacing": [0.2, 0.2], "PixelSpacing": [0.14, 0.14]}, (0.14, 0.14), False),
        ({"PixelSpacing": [0.4, 0.2]}, (0.4, 0.2), True),
        ({"PixelSpacing": [0, 0.2], "ImagerPixelSpacing": [0.3, 0.3]}, (0.3, 0.3), True),
        ({"PixelSpacing": ["inf", 0.2]}, None, True),
        ({"PixelSpacing": 0.2}, None, True),
        ({"PixelAspectRatio": [2, 1]}, None, True),
    ],
)
def test_spacing(read, elements, spacing, warned):
    scan = read(**elements)
    assert (scan.spacing, bool(scan.receipt.warnings)) == (spacing, warned)


@pytest.mark.parametrize(("position", "lateral"), [("PA", False), ("AP", False), ("LL", True), ("LATERAL", True)])
def test_view(read, position, lateral):
    receipt = read(ViewPosition=position).receipt
    assert (receipt.view, "lateral view" in receipt.warnings) == (position, lateral)


@pytest.mark.parametrize(("meaning", "view"), [("Left Lateral", "LL"), ("postero-anterior", "PA"), ("Secret", None)])
def test_view_by_code(read, meaning, view):
    item = Dataset()
    item.CodeMeaning = meaning
    assert read(ViewCodeSequence=[item]).receipt.view == view


def test_what_is_no_code_is_not_repeated(read):
    receipt = read(Modality="Secret^Name of the patient", ViewPosition="Müller, Anna").receipt
    assert (receipt.modality, receipt.view) == (None, None)


def test_burned_in_text(read):
    assert "burned into" in read(BurnedInAnnotation="YES").receipt.warnings[0]
    assert not read(BurnedInAnnotation="NO").receipt.warnings
