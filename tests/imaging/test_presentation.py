"""Presentation states: their greys take the place of the image's."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset

from medfuse import read_scan
from medfuse.errors import ScanError
from medfuse.imaging import fit_scan

STORED = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def state(*, uid: str = "1.2.3.4", **elements: object) -> Dataset:
    """A presentation state of the image with this UID."""
    image, series, made = Dataset(), Dataset(), Dataset()
    image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = "1.2.840.10008.5.1.4.1.1.1", uid
    series.ReferencedImageSequence = [image]
    made.SOPClassUID, made.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.11.1", "1.2.3.5"
    made.ReferencedSeriesSequence = [series]
    made.PresentationLUTShape = "IDENTITY"
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    return made


def voi(centre: float, width: float, *uids: str) -> Dataset:
    item = Dataset()
    item.WindowCenter, item.WindowWidth = centre, width
    for uid in uids:
        image = Dataset()
        image.ReferencedSOPInstanceUID = uid
        item.ReferencedImageSequence = [image]
    return item


@pytest.fixture
def read(tmp_path, dataset, save):
    def read(made: Dataset, **elements: object):
        image = dataset(STORED, BitsStored=12, RescaleSlope=2, RescaleIntercept=-9, **elements)
        image.WindowCenter, image.WindowWidth = 100, 50
        path = save(tmp_path / "x.dcm", image)
        return read_scan(path, presentation=save(tmp_path / "state.dcm", made))

    return read


def test_window_of_the_state(read):
    scan = read(state(SoftcopyVOILUTSequence=[voi(1000, 501)]))
    # The state has no modality transform, so the image's own does not hold (PS3.4 N.2.1).
    np.testing.assert_allclose(scan.pixels, np.clip((STORED - 999.5) / 500 + 0.5, 0, 1), atol=2e-6)
    assert scan.receipt.rescale is None


def test_rescale_and_shape_of_the_state(read):
    made = state(RescaleSlope=3, RescaleIntercept=-5, SoftcopyVOILUTSequence=[voi(1000, 501)])
    made.PresentationLUTShape = "INVERSE"
    scan = read(made)
    wanted = 1 - np.clip((STORED * 3.0 - 5 - 999.5) / 500 + 0.5, 0, 1)
    np.testing.assert_allclose(scan.pixels, wanted, atol=2e-6)
    assert scan.receipt.inverted


def test_the_window_of_this_image(read):
    scan = read(state(SoftcopyVOILUTSequence=[voi(1, 2, "1.9"), voi(1000, 501, "1.2.3.4"), voi(3, 4)]))
    assert scan.receipt.voi == "window 1000/501 (LINEAR)"


def test_what_is_not_applied_is_said(read):
    scan = read(state(SoftcopyVOILUTSequence=[voi(1000, 501)], ShutterShape="CIRCULAR"))
    assert any("shutters" in line for line in scan.receipt.warnings)


def test_refusals(read, tmp_path):
    with pytest.raises(ScanError, match=r"x.dcm: the presentation state given belongs to other images"):
        read(state(uid="1.2.99"))
    other = state()
    other.SOPClassUID = "1.2.840.10008.5.1.4.1.1.1"
    with pytest.raises(ScanError, match="presentation state given is none"):
        read(other)
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "x.png")
    with pytest.raises(ScanError, match="with one DICOM image only"):
        read_scan(tmp_path / "x.png", presentation=tmp_path / "state.dcm")


def test_aspect_ratio_without_spacing(tmp_path, dataset, save):
    stored = np.full((20, 20), 255, np.uint8)
    stored[0, 0] = 0
    scan = read_scan(save(tmp_path / "x.dcm", dataset(stored, PixelAspectRatio=[2, 1])))
    assert (scan.spacing, scan.receipt.aspect) == (None, 2.0)
    shown = fit_scan(scan, 40).pixels > 0
    assert (shown.any(1).sum(), shown.any(0).sum()) == (40, 20)
