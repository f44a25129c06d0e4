"""BERT with its attention written out, so that it can be exported for notes of any length.

torch's own layer checks and fixes the shapes that it was traced with. The weights and the outputs are those of
`medfuse.encoders.bert`; `tests/inference/test_engines.py` holds it to them.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from medfuse.encoders.bert import Bert

if TYPE_CHECKING:
    from torch import Tensor

_OUT = -1e4  # added to the score of what must not be attended to; its softmax is 0 in single precision


class TraceableBert(nn.Module):
    """The same network as a `Bert`, on copies of its weights.

    Args:
        bert: A network whose layers are those of `medfuse.encoders.bert`.
    """

    def __init__(self, bert: Bert) -> None:
        super().__init__()
        bert = copy.deepcopy(bert).float()
        self.words, self.positions, self.norm = bert.words, bert.positions, bert.norm
        self.register_buffer("kind", bert.types.weight[0].detach())
        self.layers = nn.ModuleList(_Layer(layer) for layer in bert.layers.layers)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Vectors [N, T, width] of the ids [N, T]."""
        embedded = self.words(ids) + self.positions.weight[: ids.shape[1]] + self.kind
        vectors = self.norm(embedded)
        bias = (1.0 - mask.to(vectors.dtype))[:, None, None, :] * _OUT
        for layer in self.layers:
            vectors = layer(vectors, bias)
        return torch.as_tensor(vectors)


class _Layer(nn.Module):
    def __init__(self, layer: Any) -> None:
        super().__init__()
        attention = layer.self_attn
        self.heads, width = attention.num_heads, attention.embed_dim
        self.inputs = nn.ModuleList(nn.Linear(width, width) for _ in range(3))
        for part, weight, bias in zip(
            self.inputs, attention.in_proj_weight.split(width), attention.in_proj_bias.split(width), strict=True
        ):
            part.weight, part.bias = nn.Parameter(weight.detach()), nn.Parameter(bias.detach())
        self.output = nn.Linear(width, width)
        self.output.weight, self.output.bias = attention.out_proj.weight, attention.out_proj.bias
        self.norm1, self.norm2 = layer.norm1, layer.norm2
        self.wider, self.narrower = layer.linear1, layer.linear2

    def forward(self, vectors: Tensor, bias: Tensor) -> Tensor:
        count, length, width = vectors.shape
        query, key, value = (
            part(vectors).reshape(count, length, self.heads, width // self.heads).transpose(1, 2)
            for part in self.inputs
        )
        weights = (query @ key.transpose(2, 3) * (width // self.heads) ** -0.5 + bias).softmax(-1)
        joined = (weights @ value).transpose(1, 2).reshape(count, length, width)
        vectors = self.norm1(vectors + self.output(joined))
        return torch.as_tensor(self.norm2(vectors + self.narrower(nn.functional.gelu(self.wider(vectors)))))
