"""LoRA: every linear map of a pretrained network learns a correction of low rank, which is merged into it afterwards.

peft wraps modules, and torch's own attention and transformer layers, on which `Bert` is built, read their parameters
without calling the modules that hold them, so a wrapper there would be silently skipped. Here torch parametrizes the
parameters themselves: whoever reads a weight gets the corrected one, on the fast path too. Merged, the network is what
it was with other numbers in it, so a bundle and its inference know nothing of any of this.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn.utils import parametrize

from medfuse.errors import EncoderError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor


class LowRank(nn.Module):
    r"""$W + B A$ with $A$ [r, in] drawn at random and $B$ [out, r] zero, so that it starts as $W$.

    Source: Hu et al. 2022, "LoRA: Low-Rank Adaptation of Large Language Models", ICLR (arXiv:2106.09685), equation 3,
    with $α = r$.

    Args:
        out: Rows of the weight.
        inputs: Columns of the weight.
        rank: r; no more than the smaller side is of use, or is taken.
    """

    def __init__(self, *, out: int, inputs: int, rank: int) -> None:
        super().__init__()
        rank = min(rank, out, inputs)
        self.down = nn.Parameter(torch.randn(rank, inputs) * inputs**-0.5)
        self.up = nn.Parameter(torch.zeros(out, rank))

    def forward(self, weight: Float[Tensor, "o i"]) -> Float[Tensor, "o i"]:
        """The corrected weight."""
        return weight + self.up @ self.down


def adapt(network: nn.Module, *, rank: int) -> None:
    """Freeze a network and give each of its linear maps a `LowRank` correction that learns.

    Raises:
        EncoderError: If the network has no linear map, as a purely convolutional one.
    """
    network.requires_grad_(requires_grad=False)
    found = list(_linear_maps(network))
    if not found:
        message = "tune 'lora' is for transformers, and this encoder has no linear map; set tune to last or full"
        raise EncoderError(message)
    for module, name in found:
        weight = getattr(module, name)
        correction = LowRank(out=weight.shape[0], inputs=weight.shape[1], rank=rank)
        parametrize.register_parametrization(module, name, correction)


def merge(network: nn.Module) -> None:
    """Put the corrections into the weights; afterwards the network has the parameters that it had before `adapt`."""
    for module in list(network.modules()):
        if isinstance(module, nn.Module) and parametrize.is_parametrized(module):
            for name in list(module.parametrizations):  # type: ignore[arg-type]
                parametrize.remove_parametrizations(module, name)


def _linear_maps(network: nn.Module) -> Iterator[tuple[nn.Module, str]]:
    """Where the weights of linear maps are; torch's attention keeps those of its three inputs as one."""
    for module in network.modules():
        if isinstance(module, nn.Linear):
            yield module, "weight"
        elif isinstance(module, nn.MultiheadAttention) and module.in_proj_weight is not None:
            yield module, "in_proj_weight"
