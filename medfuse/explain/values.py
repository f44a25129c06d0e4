"""What the measured values say: the share of each column in a label's logit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

from medfuse.encoders import Encoded, TabularEncoder, TabularFeatures
from medfuse.explain.aim import Aim
from medfuse.explain.tokens import Tokens, repeated
from medfuse.model import DiagnosisModel, Head

if TYPE_CHECKING:
    from torch import Tensor

STEPS = 24


def value_attributions(model: DiagnosisModel, tokens: Tokens, aim: Aim) -> Mapping[str, float]:
    """What each value adds, against all values being missing (integrated gradients over the tokens of the values).

    They add up to what is said of the case less what is said with the values missing but the modality there. The way
    from missing to the value is a straight line between the two tokens, so a category needs no order.

    Args:
        model: The model.
        tokens: The case's tokens; it has values.
        aim: What is explained.
    """
    from captum.attr import IntegratedGradients

    heads = [head for head in model.heads if isinstance(head, Head)]
    encoded, values = repeated(model, tokens, 1)
    assert values is not None
    with torch.no_grad():
        known = [head.project(encoded, values)["tabular"].tokens for head in heads]
        missing = [_missing(head, one) for head, one in zip(heads, known, strict=True)]

    def forward(*given: Tensor) -> Tensor:
        count = len(given[0])
        grown, _ = repeated(model, tokens, count)
        projected = []
        for head, own in zip(heads, given, strict=True):
            whole = head.project(grown, values.expand(count, -1))
            whole["tabular"] = Encoded(own, torch.ones(own.shape[:2], dtype=torch.bool))
            projected.append(whole)
        return aim(model.decide(projected).logits)

    found = IntegratedGradients(forward).attribute(tuple(known), baselines=tuple(missing), n_steps=STEPS)
    shares = torch.stack([_by_column(head, one[0]) for head, one in zip(heads, found, strict=True)]).sum(0)
    return {
        column.name: float(share)
        for column, share, value in zip(model.columns, shares, values[0], strict=True)
        if not bool(value.isnan())
    }


def _missing(head: Head, tokens: Tensor) -> Tensor:
    """The tokens of a case that has the modality and none of its values."""
    if isinstance(head.tabular, TabularEncoder):
        return head.tabular.missing.detach().unsqueeze(0).clone()
    return torch.zeros_like(tokens)  # the mean of a number, no category


def _by_column(head: Head, attribution: Tensor) -> Tensor:
    """Attributions [L, D] summed for each column [C]."""
    if isinstance(head.tabular, TabularFeatures):
        widths = [len(column.categories) or 1 for column in head.tabular.columns]
        return torch.stack([part.sum() for part in torch.split(attribution[0], widths)])
    return attribution.sum(1)
