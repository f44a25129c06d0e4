"""From tokens to logits, for many variants of one case at once and with gradients where they are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from medfuse.case import Modality
from medfuse.encoders import Encoded
from medfuse.model import DiagnosisModel, Head

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

Tokens = dict[Modality, "Tensor"]
"""Of one case: `image` and `text` [L, D], `tabular` the encoded values [C]; what is absent is not there."""


def stacked(model: DiagnosisModel, variants: Sequence[Tokens]) -> tuple[dict[Modality, Encoded], Tensor | None]:
    """Variants as one batch: encoded modalities and, if the model uses values, the values [B, C]."""
    count = len(variants)
    encoded: dict[Modality, Encoded] = {}
    values = None
    for name in model.modalities:
        given = [one[name] for one in variants if name in one]
        if name == "tabular":
            missing = torch.full((len(model.columns),), torch.nan)
            values = torch.stack([one.get(name, missing) for one in variants])
            continue
        length = max((len(one) for one in given), default=1)
        tokens = torch.zeros(count, length, width_of(model, name))
        mask = torch.zeros(count, length, dtype=torch.bool)
        for row, one in enumerate(variants):
            if name in one:
                tokens[row, : len(one[name])] = one[name]
                mask[row, : len(one[name])] = True
        encoded[name] = Encoded(tokens, mask)
    return encoded, values


def repeated(model: DiagnosisModel, tokens: Tokens, count: int) -> tuple[dict[Modality, Encoded], Tensor | None]:
    """One case as a batch of the same case `count` times, to put something else in for one of its modalities."""
    encoded, values = stacked(model, [tokens])
    grown = {
        name: Encoded(one.tokens.expand(count, -1, -1), one.mask.expand(count, -1)) for name, one in encoded.items()
    }
    return grown, None if values is None else values.expand(count, -1)


def logits_of(
    model: DiagnosisModel, encoded: Mapping[Modality, Encoded], values: Tensor | None
) -> Float[Tensor, "b c"]:
    """Logits of a batch of encoded cases."""
    projected = [head.project(encoded, values) for head in model.heads if isinstance(head, Head)]
    return model.decide(projected).logits


def width_of(model: DiagnosisModel, name: Modality) -> int:
    """Width of a modality's tokens as the heads take them."""
    if name in model.reductions:
        return model.config.fusion.components
    encoder = model.image if name == "image" else model.text
    assert encoder is not None
    return encoder.width
