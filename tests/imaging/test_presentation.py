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


FRAMES = np.arange(3 * 64 * 64, dtype=np.uint16).reshape(3, 64, 64)


@pytest.fixture
def read_frames(tmp_path, dataset, save):
    def read(made: Dataset):
        image = dataset(FRAMES[0], NumberOfFrames=3, WindowCenter=100, WindowWidth=50)
        image.PixelData = FRAMES.tobytes()
        path = save(tmp_path / "x.dcm", image)
        return read_scan(path, presentation=save(tmp_path / "state.dcm", made))

    return read


def test_several_frames(read_frames):
    scan = read_frames(state(SoftcopyVOILUTSequence=[voi(6000, 9001)]))
    np.testing.assert_allclose(scan.pixels, np.clip((FRAMES - 5999.5) / 9000 + 0.5, 0, 1), atol=2e-6)
    assert scan.receipt.voi == "window 6000/9001 (LINEAR)"


def test_the_window_of_these_frames(read_frames):
    other, own = voi(1, 2, "1.2.3.4"), voi(6000, 9001, "1.2.3.4")
    other.ReferencedImageSequence[0].ReferencedFrameNumber = 7
    own.ReferencedImageSequence[0].ReferencedFrameNumber = [1, 2, 3]
    assert read_frames(state(SoftcopyVOILUTSequence=[other, own])).receipt.voi == "window 6000/9001 (LINEAR)"


def test_a_state_of_some_frames_is_not_applied_and_said(read_frames):
    made = state(SoftcopyVOILUTSequence=[voi(6000, 9001)])
    made.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedFrameNumber = [1, 3]
    scan = read_frames(made)
    assert scan.receipt.voi == "window 100/50 (LINEAR)"
    assert any("some frames only" in line for line in scan.receipt.warnings)


def test_enhanced_frames_take_the_state_too(tmp_path, dataset, save):
    image, group, own = dataset(FRAMES[0], NumberOfFrames=3), Dataset(), Dataset()
    own.WindowCenter, own.WindowWidth = 100, 50
    group.FrameVOILUTSequence = [own]
    image.SharedFunctionalGroupsSequence = [group]
    image.PixelData = FRAMES.tobytes()
    path = save(tmp_path / "x.dcm", image)
    assert read_scan(path).receipt.voi == "window 100/50 (LINEAR)"
    made = save(tmp_path / "state.dcm", state(SoftcopyVOILUTSequence=[voi(6000, 9001)]))
    assert read_scan(path, presentation=made).receipt.voi == "window 6000/9001 (LINEAR)"


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
