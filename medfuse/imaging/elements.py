"""Elements of a DICOM data set as plain values, tolerant of what is missing or broken."""

from __future__ import annotations

import math
import re
from typing import Any

from pydicom.errors import BytesLengthException, InvalidDicomError

from medfuse.imaging.boundary import FOREIGN, UnreadableError

PYDICOMS = (BytesLengthException, InvalidDicomError)  # its exceptions that derive from none of Python's own
BROKEN = (*FOREIGN, *PYDICOMS)  # what looking at an element may raise, since pydicom converts values when asked
_CODE = re.compile(r"[A-Z0-9_ ]{1,16}")  # a code string (VR CS), which leaves no room for a patient's name in words


class Whole:
    """Whole numbers of a data set, tolerant of what is missing or broken."""

    def __init__(self, dataset: Any, warnings: list[str]) -> None:
        self._dataset, self._warnings = dataset, warnings

    def need(self, keyword: str) -> int:
        """The number; the image is refused without it."""
        numbers = numbers_of(self._dataset, keyword)
        if not numbers or not math.isfinite(numbers[0]):
            reason = f"the header lacks {keyword}, so it holds no readable image; fetch it again or leave it out"
            raise UnreadableError(reason)
        return int(numbers[0])

    def get(self, keyword: str, default: int, *, say: bool = False) -> int:
        """The number, or a default that may be said."""
        numbers = numbers_of(self._dataset, keyword)
        if numbers and math.isfinite(numbers[0]):
            return int(numbers[0])
        if say:
            self._warnings.append(f"{keyword} is missing; taken as {default}")
        return default


def numbers_of(dataset: Any, keyword: str) -> tuple[float, ...]:
    """The values of an element as numbers, NaN where a value is none; empty if the element is missing or broken."""
    try:
        value = dataset.get(keyword)
        if value is None:
            return ()
        return tuple(map(_number, [value] if isinstance(value, str | bytes | int | float) else list(value)))
    except BROKEN:
        return ()


def _number(value: Any) -> float:
    try:
        return float(value)
    except BROKEN:
        return math.nan


def code_of(dataset: Any, keyword: str) -> str | None:
    """A code string, or None if it is missing, empty or does not look like one."""
    try:
        value = dataset.get(keyword)
    except BROKEN:
        return None
    code = value.strip().upper() if isinstance(value, str) else ""
    return code if _CODE.fullmatch(code) else None


def text_of(dataset: Any, keyword: str) -> str:
    """The value of an element as text; empty if it is missing or broken."""
    try:
        return str(dataset.get(keyword) or "").strip()
    except BROKEN:
        return ""


def items_of(dataset: Any, keyword: str) -> list[Any]:
    """The items of a sequence; none if it is missing or broken."""
    try:
        return list(dataset.get(keyword) or ())
    except BROKEN:
        return []
