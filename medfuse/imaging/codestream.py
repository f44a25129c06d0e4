"""How large an image a compressed stream says it is, read before a decoder takes memory for it."""

from __future__ import annotations

_SIZ = b"\xff\x4f\xff\x51"  # JPEG 2000: start of codestream, then the SIZ segment (ISO 15444-1 A.5.1)
_JP2 = b"\x00\x00\x00\x0cjP  "  # a JP2 file, which PS3.5 8.2.4 does not allow but some write
# Start of frame: every SOFn of ISO 10918-1 table B.1 (C4, C8 and CC are other things), and SOF55 of JPEG-LS.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC} | {0xF7}
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a length


def stated_size(stream: bytes) -> tuple[int, int] | None:
    """Read rows and columns from a JPEG, JPEG-LS or JPEG 2000 stream.

    Args:
        stream: The compressed frame.

    Returns:
        Rows and columns, or None if the stream does not say (the decoder will then find what is wrong).

    Raises:
        ValueError: If a box of a JP2 file has no length; pydicom's walk over the boxes would never end.
    """
    at = _past_boxes(stream) if stream.startswith(_JP2) else 0
    if stream.startswith(_SIZ, at) and len(stream) >= at + 24:
        right, bottom, left, top = (int.from_bytes(stream[at + k : at + k + 4], "big") for k in (8, 12, 16, 20))
        return bottom - top, right - left
    at = 2 if stream.startswith(b"\xff\xd8") else len(stream)
    while at + 9 <= len(stream):
        if stream[at] != 0xFF:
            return None
        marker = stream[at + 1]
        if marker == 0xFF:
            at += 1  # fill byte
        elif marker in _ALONE:
            at += 2
        elif marker in _FRAMES:
            return int.from_bytes(stream[at + 5 : at + 7], "big"), int.from_bytes(stream[at + 7 : at + 9], "big")
        else:
            at += 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
    return None


def stated_depth(stream: bytes) -> tuple[int, int, bool] | None:
    """Components, and bits and sign of the first, that a bare JPEG 2000 codestream states (ISO 15444-1 A.5.1)."""
    if not stream.startswith(_SIZ) or len(stream) < 43:
        return None
    return int.from_bytes(stream[40:42], "big"), (stream[42] & 0x7F) + 1, stream[42] > 0x7F


def _past_boxes(stream: bytes) -> int:
    """Where the codestream of a JP2 file begins: in its `jp2c` box (ISO 15444-1 I.4)."""
    at = 0
    while at < len(stream):
        if stream[at + 4 : at + 8] == b"jp2c":
            return at + 8
        length = int.from_bytes(stream[at : at + 4], "big")
        if length < 8:
            message = "a box without a length"
            raise ValueError(message)
        at += length
    return at
