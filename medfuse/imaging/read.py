"""One file to a Scan: the bytes are read once, told apart by content, and refused in one line if they are no good."""

from __future__ import annotations

import hashlib
from pathlib import Path

from medfuse.case import Scan
from medfuse.errors import ScanError
from medfuse.imaging.boundary import MAX_BYTES, UnreadableError
from medfuse.imaging.content import kind_of


def read_scan(path: str | Path) -> Scan:
    """Read one DICOM, PNG, JPEG or TIFF file.

    Example:
        >>> read_scan("chest.dcm").receipt.voi  # doctest: +SKIP
        'window 2048/4096 (LINEAR)'

    Args:
        path: The file; its content decides what it is, not its ending.

    Returns:
        The scan with `pixels` [rows, columns], float32 in 0…1 (1 is white: denser on a radiograph), `spacing` in
        millimetres between rows and between columns if the file states it, and its receipt.

    Raises:
        ScanError: If the file cannot be read as one image; the message is one line with the file's name, what is
            wrong and what to do, and holds no value of the file's header.
    """
    path = Path(path)
    name = " ".join(
        "".join(c if c.isprintable() else " " for c in path.name).split()
    )  # one line, whatever it is called
    try:
        data = _bytes_of(path)
        sha256 = hashlib.sha256(data).hexdigest()
        kind = kind_of(data)
        # Each reader imports its library only when such a file comes: pydicom alone takes half a second.
        if kind == "DICOM":
            from medfuse.imaging.dicom import read_dicom

            pixels, spacing, receipt = read_dicom(data, sha256=sha256)
        else:
            from medfuse.imaging.picture import read_picture

            pixels, spacing, receipt = read_picture(data, kind=kind, sha256=sha256)
    except UnreadableError as refusal:
        message = f"{name}: {refusal}"
        raise ScanError(message) from refusal
    return Scan(path=path, pixels=pixels, spacing=spacing, receipt=receipt)


def _bytes_of(path: Path) -> bytes:
    try:
        if not path.exists():
            reason = "no such file; check the path in the cohort's table"
            raise UnreadableError(reason)
        if path.is_dir():
            reason = "this is a folder; a series is not read yet, name one file of it"
            raise UnreadableError(reason)
        if not path.is_file():
            reason = "this is a device or a pipe, not a file; copy the image into a file"
            raise UnreadableError(reason)
        if path.stat().st_size > MAX_BYTES:
            reason = f"the file is larger than {MAX_BYTES >> 20} MiB, which no single image needs; check what it is"
            raise UnreadableError(reason)
        return path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = f"cannot be opened ({getattr(error, 'strerror', None) or 'not a valid path'}); check path and rights"
        raise UnreadableError(reason) from error
