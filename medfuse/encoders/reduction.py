"""What frozen tokens vary in: a linear map to their leading principal components, fitted on the training split.

A frozen encoder's tokens are wide (1280 for EfficientNet-Lite0) and mostly redundant on one kind of scan. Reducing them
once makes every epoch many times cheaper and gives a small cohort fewer weights to fit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

MOST_TOKENS = 60_000  # sample from which the components are estimated; more change nothing
_PIECE = 8192  # tokens
_FLOOR = 0.01  # share of the first component's variance below which a component is not blown up any further


class Reduction(nn.Module):
    r"""$z = (x - \mu) U \,\mathrm{diag}(\lambda + 0.01 λ_1)^{-1/2}$, principal components with bounded whitening.

    Source: Jolliffe 2002, "Principal Component Analysis", 2nd edition, section 2.2; the floor keeps components that are
    mostly noise small.

    Args:
        native: Width of the encoder's tokens.
        width: Components kept.
    """

    mean: Tensor
    components: Tensor

    def __init__(self, native: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.register_buffer("mean", torch.zeros(native))
        self.register_buffer("components", torch.eye(native, width))

    def forward(self, tokens: Float[Tensor, "*n native"]) -> Float[Tensor, "*n width"]:
        """Tokens of the reduced width."""
        return tokens.float() @ self.components - self.mean @ self.components

    @torch.no_grad()
    def fit(self, tokens: Float[Tensor, "n native"]) -> Reduction:
        """Learn mean and components from tokens of the training split."""
        pieces = torch.split(tokens, _PIECE)  # in double precision only piece by piece
        mean = torch.stack([piece.double().mean(0) * (len(piece) / len(tokens)) for piece in pieces]).sum(0)
        self.mean.copy_(mean)
        squares = torch.zeros(tokens.shape[1], tokens.shape[1], dtype=torch.float64)
        for piece in pieces:
            centred = piece.double() - mean
            squares += centred.T @ centred
        variance, vectors = torch.linalg.eigh(squares / max(1, len(tokens) - 1))
        variance, vectors = variance.flip(0)[: self.width].clamp(min=0), vectors.flip(1)[:, : self.width]
        scale = (variance + _FLOOR * variance[0].clamp(min=1e-12)).rsqrt()
        self.components.copy_(vectors * scale)
        return self
