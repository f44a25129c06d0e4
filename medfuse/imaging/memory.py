"""Files in memory: read once into one buffer, and their pixels are seen where they lie, not copied."""

from __future__ import annotations

import os
from pathlib import Path

_LONG = 2**16  # bytes of pixels from which a copy is worth sparing
_PIXEL_DATA = b"\xe0\x7f\x10\x00"  # the tag (7FE0,0010) in little endian
_HEADERS = (12, 8)  # bytes from the tag to the value with explicit VR (OB and OW) and with implicit VR (PS3.5 7.1)


def held(path: Path) -> memoryview:
    """The bytes of a file.

    numpy's buffers are asked for in huge pages, so that a large file does not cost a page fault for every 4 KiB of it:
    these took half of the time of reading an uncompressed radiograph.

    Raises:
        OSError: If it cannot be read.
    """
    import numpy as np

    with path.open("rb", buffering=0) as file:
        buffer = np.empty(os.fstat(file.fileno()).st_size, np.uint8).data
        filled = 0
        while filled < len(buffer) and (count := file.readinto(buffer[filled:])):
            filled += count
        return buffer[:filled].toreadonly()


class HeldFile:
    """Bytes as a file for pydicom, whose data set then holds a view of long Pixel Data instead of a copy.

    Args:
        content: The whole file.
    """

    def __init__(self, content: bytes | memoryview) -> None:
        self._content = memoryview(content)
        self._place = 0

    def read(self, size: int | None = -1) -> bytes | memoryview:
        """The next bytes, fewer at the end; a view if they are long Pixel Data."""
        start, whole = self._place, len(self._content)
        end = max(start, whole if size is None or size < 0 else min(start + size, whole))
        self._place = end
        part = self._content[start:end]
        return part if len(part) > _LONG and self._after_pixel_tag(start) else part.tobytes()

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place, counted from the start, from here, or from the end."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: len(self._content)}[whence]
        self._place = max(0, origin + offset)
        return self._place

    def tell(self) -> int:
        """The place that is read next."""
        return self._place

    def close(self) -> None:
        """Nothing is open."""

    def _after_pixel_tag(self, place: int) -> bool:
        return any(place >= far and self._content[place - far : place - far + 4] == _PIXEL_DATA for far in _HEADERS)
