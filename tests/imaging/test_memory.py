"""Files in memory: the bytes are those of the file, and only long pixels are views."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from medfuse.imaging.memory import HeldFile, held


@given(content=st.binary(max_size=300))
def test_the_bytes_of_a_file(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("held") / "x"
    path.write_bytes(content)
    view = held(path)
    assert view == content
    assert view.readonly


@given(
    content=st.binary(max_size=200),
    steps=st.lists(st.tuples(st.sampled_from(("read", "set", "move", "end")), st.integers(-1, 250)), max_size=12),
)
def test_reads_and_seeks_as_a_file_does(content, steps):
    ours, theirs = HeldFile(content), BytesIO(content)
    for step, number in steps:
        if step == "read":
            assert ours.read(number) == theirs.read(number)
        else:
            whence = ("set", "move", "end").index(step)
            target = {"set": abs(number), "move": number, "end": -abs(number)}[step]
            base = (0, theirs.tell(), len(content))[whence]
            if base + target < 0:
                continue
            assert ours.seek(target, whence) == theirs.seek(target, whence)
        assert ours.tell() == theirs.tell()


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian])
def test_long_pixels_are_seen_and_other_long_values_are_bytes(syntax):
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
    dataset.TextValue = "word " * 20_000
    pixels = np.arange(70_000, dtype="<u2").tobytes()
    dataset.BitsAllocated = 16
    dataset.PixelData = pixels
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    read = dcmread(HeldFile(stream.getvalue()))
    assert isinstance(read.PixelData, memoryview)
    assert read.PixelData == pixels
    assert read.TextValue.strip() == dataset.TextValue.strip()
