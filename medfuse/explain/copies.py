"""Copies of a network for one explanation, so that nothing another thread classifies with is touched."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

if TYPE_CHECKING:
    from medfuse.encoders import ImageEncoder
    from medfuse.model import DiagnosisModel

M = TypeVar("M", bound=nn.Module)


def structure_of(module: M) -> M:
    """A copy of its own structure, to hook into or to change parts of, that shares all weights."""
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    return copy.deepcopy(module, shared)


def with_parts(
    model: DiagnosisModel, *, image: ImageEncoder | None = None, heads: nn.ModuleList | None = None
) -> DiagnosisModel:
    """The model with another imaging encoder or other heads; what is not given is shared."""
    found = copy.copy(model)
    found._modules = dict(model._modules)  # noqa: SLF001 - a shallow copy shares the register of parts
    if image is not None:
        found.image = image
    if heads is not None:
        found.heads = heads
    return found


def shuffled(module: M, *, seed: int) -> M:
    """A copy in which the entries of every weight tensor are shuffled, so that nothing learned is left but its scale.

    Args:
        module: What is copied.
        seed: Decides the order.
    """
    generator = torch.Generator().manual_seed(seed)
    found = copy.deepcopy(module)
    with torch.no_grad():
        for weights in found.parameters():
            order = torch.randperm(weights.numel(), generator=generator)
            weights.copy_(weights.flatten()[order].view_as(weights))
    return found
