"""Deflated data: what zlib made comes back, damage and bombs are refused."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from medfuse.imaging.boundary import UnreadableError
from medfuse.imaging.inflate import inflate


def deflated(content: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(content) + packer.flush()


@given(content=st.binary(max_size=2000), after=st.sampled_from((b"", b"\0")))
def test_what_zlib_made_comes_back(content, after):
    assert inflate(memoryview(deflated(content) + after)) == content


@given(content=st.binary(min_size=200, max_size=2000), kept=st.floats(0, 0.9))
def test_a_stream_that_is_cut_is_refused(content, kept):
    stream = deflated(content)
    with pytest.raises(UnreadableError, match="cut short"):
        inflate(memoryview(stream[: int(kept * len(stream))]))


def test_damage_raises_what_zlib_raises():
    with pytest.raises(zlib.error):
        inflate(memoryview(b"\xff" * 50))


def test_no_more_than_the_bound(monkeypatch):
    monkeypatch.setattr("medfuse.imaging.inflate.MAX_BYTES", 1000)
    assert len(inflate(memoryview(deflated(b"a" * 1000)))) == 1000
    with pytest.raises(UnreadableError, match="inflates to more"):
        inflate(memoryview(deflated(b"a" * 1001)))
