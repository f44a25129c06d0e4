"""Measured values to tokens: one token a column, and a token of its own where the value is missing.

After the feature tokenizer of Gorishniy et al. 2021, "Revisiting Deep Learning Models for Tabular Data",
arXiv:2106.11959, section 3.3.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from medfuse.encoders.encoded import Encoded

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from medfuse.case import Case
    from medfuse.cohort import Kind

_LIMIT = 4.0  # standard deviations beyond which a value is taken as that many, so that a typing error cannot dominate


@dataclass(frozen=True)
class Column:
    """A column as the training split has it.

    Attributes:
        name: Its name.
        mean: Mean of its numbers; 0 for a category.
        deviation: Standard deviation of its numbers; 1 for a category.
        categories: Its categories in order; empty for numbers.
    """

    name: str
    mean: float = 0.0
    deviation: float = 1.0
    categories: tuple[str, ...] = ()

    @classmethod
    def fit(cls, name: str, kind: Kind, cases: Sequence[Case]) -> Column | None:
        """Learn a column from the training split; None if it has no value there."""
        values = [value for case in cases if (value := case.values.get(name)) is not None]
        if not values:
            return None
        if kind == "category":
            return cls(name, categories=tuple(sorted({str(value) for value in values})))
        numbers = torch.tensor([float(value) for value in values], dtype=torch.float64)
        deviation = float(numbers.std(correction=0))
        return cls(name, mean=float(numbers.mean()), deviation=deviation or 1.0)

    def encode(self, value: float | str | None) -> float:
        """A standardised number, the index of a category, or NaN where missing or never seen in training."""
        if value is None:
            return float("nan")
        if self.categories:
            return float(self.categories.index(str(value))) if value in self.categories else float("nan")
        return max(-_LIMIT, min(_LIMIT, (float(value) - self.mean) / self.deviation))


class TabularEncoder(nn.Module):
    """Values [B, C] to tokens [B, C, D].

    Args:
        columns: The columns in order.
        width: Width of a token.
    """

    is_number: Tensor

    def __init__(self, columns: Sequence[Column], *, width: int) -> None:
        super().__init__()
        self.columns = tuple(columns)
        self.width = width
        levels = max([len(column.categories) for column in columns] + [1])
        is_number = torch.tensor([not column.categories for column in columns])
        self.register_buffer("is_number", is_number, persistent=False)
        self.slope = nn.Parameter(torch.randn(len(columns), width) / width**0.5)
        self.offset = nn.Parameter(torch.randn(len(columns), width) / width**0.5)
        self.missing = nn.Parameter(torch.zeros(len(columns), width))
        self.level = nn.Parameter(torch.randn(len(columns), levels, width) / width**0.5)

    def forward(self, values: Float[Tensor, "b c"]) -> Encoded:
        """Encode a batch; a case without a single value lacks the modality."""
        known = ~values.isnan()
        filled = values.nan_to_num(0.0)
        numbers = filled.unsqueeze(-1) * self.slope + self.offset
        places = torch.arange(len(self.columns), device=values.device)
        index = torch.where(self.is_number, 0, filled).long()
        tokens = torch.where(self.is_number.unsqueeze(-1), numbers, self.level[places, index])
        tokens = torch.where(known.unsqueeze(-1), tokens, self.missing)
        present = known.any(1, keepdim=True)
        return Encoded.of(tokens, present.expand_as(known))

    @staticmethod
    def architecture_of(columns: Sequence[Column]) -> list[dict[str, Any]]:
        """What is needed to build the encoder again without its weights, as JSON holds it."""
        return [asdict(column) for column in columns]

    @staticmethod
    def columns_from(architecture: Sequence[Mapping[str, Any]]) -> tuple[Column, ...]:
        """The columns that `architecture_of` wrote."""
        return tuple(Column(**{**column, "categories": tuple(column["categories"])}) for column in architecture)


class TabularFeatures(nn.Module):
    """Values [B, C] to one token [B, 1, K]: standardised numbers, 0 (the mean) where missing, and one-hot categories.

    Args:
        columns: The columns in order.

    Attributes:
        width: K.
    """

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        self.columns = tuple(columns)
        self.width = sum(len(column.categories) or 1 for column in columns)

    def forward(self, values: Float[Tensor, "b c"]) -> Encoded:
        """Encode a batch; a case without a single value lacks the modality."""
        known = ~values.isnan()
        filled = values.nan_to_num(0.0)
        parts = []
        for place, column in enumerate(self.columns):
            part = filled[:, place : place + 1]
            if column.categories:
                part = nn.functional.one_hot(part[:, 0].long(), len(column.categories)) * known[:, place : place + 1]
            parts.append(part.float())
        return Encoded.of(torch.cat(parts, dim=1).unsqueeze(1), known.any(1, keepdim=True))
