"""What every encoder gives and every fusion takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor


@dataclass(frozen=True)
class Encoded:
    """One modality of a batch of cases as tokens.

    Attributes:
        tokens: Token vectors [B, L, D]; zero where `mask` is false.
        mask: True [B, L] where a token stands for something, false for padding.
    """

    tokens: Float[Tensor, "b l d"]
    mask: Bool[Tensor, "b l"]

    @classmethod
    def of(cls, tokens: Float[Tensor, "b l d"], mask: Bool[Tensor, "b l"]) -> Encoded:
        """Zero what is masked, so that nothing of an absent input (not even a NaN) can reach a fusion."""
        return cls(tokens.masked_fill(~mask.unsqueeze(-1), 0.0), mask)

    @property
    def present(self) -> Bool[Tensor, " b"]:
        """Whether the case has this modality at all [B]."""
        return self.mask.any(1)

    def keep(self, kept: Bool[Tensor, " b"]) -> Encoded:
        """The same with the modality withheld from the cases where `kept` is false."""
        if bool(kept.all()):
            return self
        if not bool(kept.any()):  # no token of it is looked at any more
            return Encoded(self.tokens.new_zeros(len(kept), 1, self.tokens.shape[2]), self.mask.new_zeros(len(kept), 1))
        return Encoded.of(self.tokens, self.mask & kept.unsqueeze(1))
