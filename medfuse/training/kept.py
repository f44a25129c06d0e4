"""Encoded cases as training keeps them: in memory up to a budget, and beyond it in a file of the run's folder.

Frozen tokens of a case are a few hundred kilobytes, and a few tens once they are reduced. The file is read, not mapped,
so that what was read does not count as held; the system keeps it at hand as long as nobody else needs the room.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING

import torch

from medfuse.case import Modality
from medfuse.encoders.cache import bytes_in
from medfuse.encoders.cases import EncodedCase

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT_GB = 4  # 10⁹ bytes


def memory_budget() -> int:
    """Bytes of tokens that a training may hold: `MEDFUSE_MEMORY_GB`, or 4 GB.

    Raises:
        ConfigError: If the variable holds no number above 0.
    """
    return bytes_in("MEDFUSE_MEMORY_GB", DEFAULT_GB)


class Kept:
    """Takes encoded cases and gives them back with parts that are in memory, or in a file once the budget is spent.

    Args:
        folder: Where the file goes; it has no name and is gone with the process.
        budget: Bytes that may be in memory.
    """

    def __init__(self, folder: Path, budget: int) -> None:
        self._folder, self._left = folder, budget
        self._file: IO[bytes] | None = None

    def keep(self, one: EncodedCase) -> EncodedCase:
        """The same case; its parts must not be changed afterwards."""
        size = sum(part.numel() * part.element_size() for part in one.parts.values())
        if size <= self._left:
            self._left -= size
            return one
        self._left = 0  # what comes later goes to the file too, so that memory does not fill with the smallest cases
        if self._file is None:
            self._file = TemporaryFile(dir=self._folder)  # noqa: SIM115 - it lives as long as the cases in it
        places = {}
        for name, part in one.parts.items():
            places[name] = (self._file.tell(), part.dtype, tuple(part.shape))
            self._file.write(part.contiguous().numpy().tobytes())
        return replace(one, parts=_InFile(self._file, places))


class _InFile(Mapping[Modality, "Tensor"]):
    """The parts of a case, read whenever they are asked for."""

    def __init__(self, file: IO[bytes], places: Mapping[Modality, tuple[int, torch.dtype, tuple[int, ...]]]) -> None:
        self._file, self._places = file, places

    def __getitem__(self, name: Modality) -> Tensor:
        start, dtype, shape = self._places[name]
        self._file.flush()
        size = math.prod(shape) * dtype.itemsize
        content = bytearray(os.pread(self._file.fileno(), size, start))
        return torch.frombuffer(content, dtype=dtype).reshape(shape) if size else torch.empty(shape, dtype=dtype)

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def __iter__(self) -> Iterator[Modality]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)
