"""BERT on torch's own TransformerEncoder, for every checkpoint of model type `bert`.

Importing transformers' own BERT costs three times what importing torch costs, which a single classification from a
cold process would pay each time. The network is the same (Devlin et al. 2019, arXiv:1810.04805): a post-norm encoder
with learned positions; `tests/encoders/test_bert.py` holds it to transformers' outputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from torch import Tensor

# One layer of a transformers checkpoint, by the name it has in nn.TransformerEncoderLayer.
_LAYER = {
    "self_attn.out_proj": "attention.output.dense",
    "norm1": "attention.output.LayerNorm",
    "linear1": "intermediate.dense",
    "linear2": "output.dense",
    "norm2": "output.LayerNorm",
}
_UNUSED = ("pooler.", "cls.", "embeddings.position_ids")


class Bert(nn.Module):
    """Token ids to contextual vectors.

    Args:
        architecture: The checkpoint's `config.json`.

    Attributes:
        width: Width of a token vector.
    """

    def __init__(self, architecture: Mapping[str, Any]) -> None:
        super().__init__()
        self.width = int(architecture["hidden_size"])
        self.words, self.positions, self.types = (
            _table(architecture[size], self.width)
            for size in ("vocab_size", "max_position_embeddings", "type_vocab_size")
        )
        epsilon = architecture.get("layer_norm_eps", 1e-12)
        dropout = architecture.get("hidden_dropout_prob", 0.1)
        self.norm = nn.LayerNorm(self.width, eps=epsilon)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            self.width,
            architecture["num_attention_heads"],
            architecture["intermediate_size"],
            dropout=dropout,
            activation="gelu",
            layer_norm_eps=epsilon,
            batch_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, architecture["num_hidden_layers"], enable_nested_tensor=False)

    def forward(self, ids: Int[Tensor, "n t"], mask: Bool[Tensor, "n t"]) -> Float[Tensor, "n t d"]:
        """Vectors [N, T, width] of the ids [N, T]; what `mask` leaves out is not attended to."""
        places = torch.arange(ids.shape[1], device=ids.device)
        embedded = self.words(ids) + self.positions(places) + self.types.weight[0]
        vectors: Tensor = self.layers(self.dropout(self.norm(embedded)), src_key_padding_mask=~mask)
        return vectors

    @staticmethod
    def is_bert(architecture: Mapping[str, Any]) -> bool:
        """Whether a checkpoint's `config.json` describes what this class can hold."""
        return (
            architecture.get("model_type") == "bert"
            and architecture.get("hidden_act", "gelu") == "gelu"
            and architecture.get("position_embedding_type", "absolute") == "absolute"
        )

    @staticmethod
    def rename(checkpoint: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A transformers BERT checkpoint under this class's names; heads for other purposes are dropped."""
        source = {name.removeprefix("bert."): tensor for name, tensor in checkpoint.items()}
        source = {_modern(name): tensor for name, tensor in source.items() if not name.startswith(_UNUSED)}
        renamed: dict[str, Tensor] = {}
        for new, old in (("words", "word"), ("positions", "position"), ("types", "token_type")):
            if (key := f"embeddings.{old}_embeddings.weight") in source:
                renamed[f"{new}.weight"] = source.pop(key)
        for kind in ("weight", "bias"):
            if (key := f"embeddings.LayerNorm.{kind}") in source:
                renamed[f"norm.{kind}"] = source.pop(key)
        number = 0
        while any(name.startswith(f"encoder.layer.{number}.") for name in source):
            old, new = f"encoder.layer.{number}", f"layers.layers.{number}"
            for kind in ("weight", "bias"):
                parts = [f"{old}.attention.self.{part}.{kind}" for part in ("query", "key", "value")]
                if all(part in source for part in parts):
                    renamed[f"{new}.self_attn.in_proj_{kind}"] = torch.cat([source.pop(part) for part in parts])
                for ours, theirs in _LAYER.items():
                    if (key := f"{old}.{theirs}.{kind}") in source:
                        renamed[f"{new}.{ours}.{kind}"] = source.pop(key)
            number += 1
            leftover = [name for name in source if name.startswith(f"{old}.")]
            renamed |= {f"unknown.{name}": source.pop(name) for name in leftover}
        return renamed | source


def _table(rows: int, width: int) -> nn.Embedding:
    """An embedding; on the device `meta`, where a bundle's weights take its place, nothing is drawn for it."""
    values = torch.empty(rows, width)
    return nn.Embedding(rows, width, _weight=values if values.is_meta else values.normal_())


def _modern(name: str) -> str:
    """Checkpoints converted from TensorFlow call a norm's weight gamma and its bias beta."""
    return name.replace(".gamma", ".weight").replace(".beta", ".bias")
