"""Lookup tables of a DICOM data set: modality, VOI and palette (PS3.3 C.11.1.1, C.11.2.1.1, C.7.6.3.1.5)."""

from __future__ import annotations

from typing import Any

import numpy as np

from medfuse.imaging.boundary import foreign
from medfuse.imaging.elements import BROKEN, PYDICOMS, items_of, numbers_of
from medfuse.imaging.grey import LUMA, Lut


def first_lut(dataset: Any, keyword: str, warnings: list[str]) -> Lut | None:
    """The table of a sequence's first item; None if there is none or it is broken, which is said."""
    for item in items_of(dataset, keyword):
        try:
            return _lut(item, descriptor=numbers_of(item, "LUTDescriptor"), data=item.get("LUTData"))
        except BROKEN:
            warnings.append(f"{keyword} is broken and was ignored")
            return None
    return None


def _lut(dataset: Any, *, descriptor: tuple[float, ...], data: Any) -> Lut:
    """PS3.3 C.11.1.1: number of entries (0 means 65536), first value mapped, bits of an entry.

    Raises:
        ValueError: If there is no entry, or fewer than the descriptor says.
    """
    count, first, bits = (int(number) for number in descriptor)
    count = count or 2**16
    if isinstance(data, bytes):
        little = dataset.original_encoding[1] is not False
        wide = len(data) >= 2 * count  # 8-bit entries may stand in bytes or in words
        entries = np.frombuffer(data, dtype=("<u2" if little else ">u2") if wide else "u1")[:count]
    else:
        entries = np.atleast_1d(np.array(data, dtype=np.int64))[:count]
    if not 1 <= bits <= 16 or len(entries) < count or entries.min() < 0:
        message = "a lookup table that is not as long as it says"
        raise ValueError(message)
    bits = max(bits, int(entries.max()).bit_length())  # some writers understate it
    return Lut(entries=entries.astype(np.float64), first=float(first), bits=bits)


def palette_of(dataset: Any) -> Lut:
    """The palette's red, green and blue (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6) as luminance in 0…1.

    Plain tables are read here, because pydicom's `apply_color_lut` wraps values of palettes that have more than 256
    entries of 8 bits; it expands segmented ones (C.7.9.2).
    """
    from pydicom.pixels import apply_color_lut

    with foreign("its colour palette is broken; convert it to RGB or fetch it again", *PYDICOMS):
        descriptor = numbers_of(dataset, "RedPaletteColorLookupTableDescriptor")
        if dataset.get("SegmentedRedPaletteColorLookupTableData") is not None:
            count, first, bits = (int(number) for number in descriptor)
            if bits <= 8 and not 0 < count <= 256:
                message = "a segmented palette that pydicom would wrap"
                raise ValueError(message)
            red_green_blue = apply_color_lut(np.arange(first, first + (count or 2**16)), dataset)[:, :3]
            return Lut(entries=red_green_blue @ LUMA / (2**bits - 1), first=float(first), bits=1)
        tables = [
            _lut(
                dataset,
                descriptor=numbers_of(dataset, f"{colour}PaletteColorLookupTableDescriptor"),
                data=dataset.get(f"{colour}PaletteColorLookupTableData"),
            )
            for colour in ("Red", "Green", "Blue")
        ]
        bits = max(table.bits for table in tables)
        channels = np.stack([table.entries for table in tables], axis=-1)
    return Lut(entries=channels @ LUMA / (2**bits - 1), first=tables[0].first, bits=1)
