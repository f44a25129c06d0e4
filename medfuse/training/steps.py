"""The cases of each step, cut into parts: processes share them, and each takes its share one after another.

A step is the same cases whatever becomes of its parts, and each part knows the labels of the whole step. So the loss
is divided by what counts in all of them, parts may differ in size, and no case stands twice to make them equal.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from medfuse.case import Modality
from medfuse.encoders.cases import EncodedCase
from medfuse.model import Padded, collate

if TYPE_CHECKING:
    from torch import Tensor

    from medfuse.training.augment import Augment


class Step(NamedTuple):
    """What a part knows of its step (a named tuple, because Lightning moves those to a device).

    Attributes:
        truth: Targets of all cases of the step [B, C].
        present: Which modalities they have [B, M], in the order of the model's.
        part: Number of the part, from 0.
        parts: How many the step has.
    """

    truth: Tensor
    present: Tensor
    part: int
    parts: int


Batch: TypeAlias = "tuple[dict[Modality, Padded], Tensor, Step]"


class Order(Sampler):
    """A new order each epoch that depends on the seed and the epoch alone, so that a resumed run goes on exactly."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning says which epoch begins."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed * 100_003 + self.epoch)
        return iter(torch.randperm(self.count, generator=generator).tolist())


class _Chosen(NamedTuple):
    """Which cases a part is of: those of its step, of which it takes every `parts`th."""

    epoch: int
    rows: list[int]
    part: int
    parts: int


class Parts(Sampler):
    """The parts of each step that one process takes.

    Args:
        count: How many cases there are.
        batch: Cases in one step.
        parts: Parts of a step; a multiple of `processes`.
        seed: Of the order, which is new each epoch; None keeps that of the cases.
        rank: Number of this process.
        processes: How many there are.
    """

    def __init__(
        self, count: int, *, batch: int, parts: int = 1, seed: int | None, rank: int = 0, processes: int = 1
    ) -> None:
        self.order = None if seed is None else Order(count, seed)
        self.count, self.batch, self.parts = count, batch, parts
        self.rank, self.processes, self.epoch = rank, processes, 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning says which epoch begins."""
        self.epoch = epoch
        if self.order is not None:
            self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return -(-self.count // self.batch) * (self.parts // self.processes)

    def __iter__(self) -> Iterator[_Chosen]:
        rows = list(range(self.count) if self.order is None else self.order)
        for start in range(0, self.count, self.batch):
            for part in range(self.rank, self.parts, self.processes):
                yield _Chosen(self.epoch, rows[start : start + self.batch], part, self.parts)


class _Cases(Dataset):
    """Encoded cases with their targets [N, C], a part of a step at a time."""

    def __init__(
        self, encoded: Sequence[EncodedCase], truth: Tensor, modalities: Sequence[Modality], augment: Augment | None
    ) -> None:
        self.encoded, self.truth, self.modalities, self.augment = encoded, truth, modalities, augment
        has = [[name in one.parts for name in modalities] for one in encoded]
        self.present = torch.tensor(has, dtype=torch.bool).reshape(len(encoded), len(modalities))

    def __getitem__(self, chosen: _Chosen) -> Batch:
        rows = chosen.rows[chosen.part :: chosen.parts]
        truth = self.truth[rows]
        if not rows:  # every process takes as many parts: here a case of which nothing counts
            rows = chosen.rows[:1]
            truth = torch.full_like(self.truth[rows], torch.nan)
        step = Step(self.truth[chosen.rows], self.present[chosen.rows], chosen.part, chosen.parts)
        return collate([self._parts(row, chosen.epoch) for row in rows], self.modalities), truth, step

    def _parts(self, row: int, epoch: int) -> Mapping[Modality, Tensor]:
        one = self.encoded[row]
        if self.augment is None or "image" not in one.parts:
            return one.parts
        return {**one.parts, "image": self.augment(one.parts["image"], case_id=one.case.case_id, epoch=epoch)}


def loader(
    encoded: Sequence[EncodedCase],
    *,
    truth: Tensor,
    modalities: Sequence[Modality],
    batch: int,
    seed: int | None,
    parts: int = 1,
    rank: int = 0,
    processes: int = 1,
    augment: Augment | None = None,
) -> DataLoader:
    """Parts of steps of encoded cases with their targets [N, C]; see `Parts`.

    Args:
        encoded: The cases.
        truth: Their targets [N, C].
        modalities: Those of the model, in order.
        batch: Cases in one step.
        seed: Of the order; None keeps that of the cases.
        parts: Parts of a step; a multiple of `processes`.
        rank: Number of this process.
        processes: How many there are.
        augment: Alters the pictures of a case; None leaves them as they are.
    """
    return DataLoader(
        _Cases(encoded, truth, modalities, augment),
        batch_size=None,  # a part is a batch already
        sampler=Parts(len(encoded), batch=batch, parts=parts, seed=seed, rank=rank, processes=processes),
        collate_fn=lambda part: part,
        pin_memory=torch.cuda.is_available(),  # Lightning copies from there without waiting
    )
