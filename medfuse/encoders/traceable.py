"""Text networks written out, so that they can be exported for notes of any length.

torch's own layers check and fix the shapes that they were traced with. The weights and the outputs are those of the
networks that are trained; `tests/inference/test_engines.py` and `test_onnx.py` hold them to it.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from medfuse.encoders.bert import Bert
from medfuse.encoders.text import Recurrent, TextEncoder

if TYPE_CHECKING:
    from torch import Tensor

_OUT = -1e4  # added to the score of what must not be attended to; its softmax is 0 in single precision


class TraceableText(nn.Module):
    """The same as a text encoder, but for padding, where it gives zeros."""

    def __init__(self, encoder: TextEncoder) -> None:
        super().__init__()
        network = encoder.network
        if isinstance(network, Bert):
            network = TraceableBert(network)
        elif isinstance(network, Recurrent):
            network = TraceableRecurrent(network)
        self.network = network

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Vectors [N, T, width] of the ids [N, T]."""
        found: Tensor = self.network(ids, mask)
        return found.masked_fill(~mask.unsqueeze(-1), 0.0)


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


class TraceableRecurrent(nn.Module):
    """The same network as a `Recurrent`, on its weights, without packed sequences.

    A GRU that reads forwards does not see the padding behind a note. One that reads backwards is given each note turned
    round in its place, and what it says is turned back.
    """

    def __init__(self, network: Recurrent) -> None:
        super().__init__()
        self.words, gru = network.words, network.gru
        self.directions = nn.ModuleList(
            nn.GRU(gru.input_size, gru.hidden_size, batch_first=True) for _ in ("", "_reverse")
        )
        for direction, name in zip(self.directions, ("", "_reverse"), strict=True):
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                setattr(direction, f"{kind}_l0", getattr(gru, f"{kind}_l0{name}"))

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Vectors [N, T, width] of the ids [N, T]; those that `mask` leaves out lie behind a note, and say nothing."""
        embedded = self.words(ids)
        place = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)
        turned = torch.where(mask, mask.sum(1, keepdim=True) - 1 - place, place).unsqueeze(-1)
        forwards = self.directions[0](embedded)[0]
        backwards = self.directions[1](embedded.gather(1, turned.expand(embedded.shape)))[0]
        backwards = backwards.gather(1, turned.expand(backwards.shape))
        return torch.cat([forwards, backwards], dim=2)


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
