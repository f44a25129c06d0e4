"""Deflated data (RFC 1951) within a bound."""

from __future__ import annotations

import contextlib
import zlib
from typing import cast

import numpy as np

from medfuse.imaging.boundary import CUT, MAX_BYTES, UnreadableError
from medfuse.imaging.elements import BROKEN

_MOST = 1032  # times that deflate can shrink bytes: 258 of them to two bits at best (RFC 1951 3.2.5)


def inflate(deflated: memoryview) -> bytes | memoryview:
    """Inflate a raw deflate stream; bytes that follow it are left.

    libdeflate (by imagecodecs) takes less than half of zlib's time. zlib is asked where it fails, to tell why.

    Args:
        deflated: The stream.

    Raises:
        UnreadableError: If it inflates to more than `MAX_BYTES`, or ends too early.
        zlib.error: If it is damaged.
    """
    with contextlib.suppress(ImportError, *BROKEN):
        from imagecodecs import deflate_decode

        room = np.empty(min(MAX_BYTES, _MOST * len(deflated)), np.uint8)  # takes memory only as it is filled
        return memoryview(deflate_decode(cast(bytes, deflated), raw=True, out=cast(memoryview, room)))
    return within_bound(deflated, -zlib.MAX_WBITS, damaged=CUT)


def within_bound(packed: bytes | memoryview, wbits: int, *, damaged: str) -> bytes:
    """Inflate by zlib, to no more than `MAX_BYTES`; bytes that follow the stream are left.

    Args:
        packed: The stream.
        wbits: Its form, as zlib counts: raw, zlib or gzip.
        damaged: The reason where it ends too early.

    Raises:
        UnreadableError: If it inflates to more, or ends too early.
        zlib.error: If it is damaged.
    """
    inflater = zlib.decompressobj(wbits)
    inflated = inflater.decompress(packed, MAX_BYTES)
    if inflater.unconsumed_tail:
        reason = f"it inflates to more than {MAX_BYTES >> 20} MiB, which no scan needs; check what it is"
        raise UnreadableError(reason)
    if not inflater.eof:
        raise UnreadableError(damaged)
    return inflated
