"""What a file is, told from its bytes: names and endings lie."""

from __future__ import annotations

import zlib
from typing import Literal

from medfuse.imaging.boundary import UnreadableError

Kind = Literal["DICOM", "NIfTI", "PNG", "JPEG", "TIFF", "zip"]

_SIGNATURES: tuple[tuple[bytes, Kind], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),  # BigTIFF
    (b"MM\x00+", "TIFF"),
    (b"PK\x03\x04", "zip"),
)
_STRANGERS: tuple[tuple[bytes, str], ...] = (
    (b"\x1f\x8b", "a gzip archive; unpack it first"),
    (b"%PDF", "a PDF document; export its images as DICOM or PNG"),
    (b"GIF8", "a GIF picture; save it as PNG"),
    (b"BM", "a BMP picture; save it as PNG"),
    (b"RIFF", "a WebP picture or a recording; save it as PNG"),
    (b"\x00\x00\x00\x0cjP  ", "a bare JPEG 2000 picture; save it as PNG"),
    (b"version https://git-lfs", "a Git LFS pointer, not the image; run `git lfs pull`"),
)
_LOOK = 4096  # bytes from the start that are looked at


def kind_of(data: bytes | memoryview) -> Kind:
    """Tell what kind of image a file holds.

    Args:
        data: The whole file.

    Raises:
        UnreadableError: If it is no image that is read here, saying what it is instead.
    """
    head = bytes(data[:_LOOK])
    if not head:
        reason = "the file is empty; fetch it again"
        raise UnreadableError(reason)
    if head[128:132] == b"DICM":  # before the signatures: the preamble may hold a TIFF header (PS3.10 7.1)
        return "DICOM"
    if head[344:348] == b"n+1\x00" or head[4:8] == b"n+2\x00" or _packed_nifti(head):
        return "NIfTI"
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if _starts_as_dicom(head):
        return "DICOM"
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html")) or (text.startswith(b"<") and b"<html" in text):
        reason = "this is an HTML page, not an image: a failed download; fetch the file again"
        raise UnreadableError(reason)
    for signature, what in _STRANGERS:
        if head.startswith(signature):
            reason = f"this is {what}"
            raise UnreadableError(reason)
    if head[344:348] == b"ni1\x00":
        reason = "this is the header of a NIfTI pair of files; store it as one .nii file"
        raise UnreadableError(reason)
    if b"\x00" not in head and sum(byte < 9 or 13 < byte < 32 for byte in head) == 0:
        reason = "this is a text file, not an image; give a DICOM, PNG, JPEG or TIFF file"
        raise UnreadableError(reason)
    reason = "this is neither DICOM, NIfTI, PNG, JPEG nor TIFF; convert it, or fetch it again if it should be one"
    raise UnreadableError(reason)


def _packed_nifti(head: bytes) -> bool:
    """Whether this is a gzip stream that begins as a NIfTI file does (`.nii.gz`)."""
    if not head.startswith(b"\x1f\x8b"):
        return False
    try:
        start = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(head, 348)
    except zlib.error:
        return False
    return start[344:348] == b"n+1\x00" or start[4:8] == b"n+2\x00"


def _starts_as_dicom(head: bytes) -> bool:
    """Whether bytes without the DICM prefix begin with a data element that a DICOM data set begins with.

    The group is 0002 (file meta) or 0008 (identification), in either byte order; what follows is a VR in capitals or a
    length that a first element can have; and some registered UID stands near the start, as no image goes without.
    """
    little = head[:4] in (b"\x02\x00\x00\x00", b"\x02\x00\x01\x00", b"\x02\x00\x10\x00") or head[:2] == b"\x08\x00"
    big = head[:2] == b"\x00\x08"
    named = head[4:6].isalpha() and head[4:6].isupper()
    short = little and int.from_bytes(head[4:8], "little") <= _LOOK
    return (little or big) and (named or short) and b"1.2.840.10008." in head
