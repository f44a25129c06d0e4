"""Rows and columns from compressed streams, before a decoder runs."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from medfuse.imaging.codestream import stated_size


@pytest.mark.parametrize(
    "options", [{"format": "JPEG"}, {"format": "JPEG", "progressive": True}, {"format": "JPEG2000"}]
)
def test_size(options):
    stream = BytesIO()
    Image.fromarray(np.zeros((70, 90), np.uint8)).save(stream, **options)
    assert stated_size(stream.getvalue()) == (70, 90)


@given(
    st.binary(max_size=60),
    st.sampled_from([b"", b"\xff\xd8", b"\xff\x4f\xff\x51", b"\xff\xd8\xff\xff\xff\xd0\xff\xe0"]),
)
@settings(deadline=None, max_examples=60)
def test_any_bytes_give_a_size_or_none(data, start):
    size = stated_size(start + data)
    assert size is None or len(size) == 2
