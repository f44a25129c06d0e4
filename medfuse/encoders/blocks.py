"""The blocks of a network, of which a transformer is a list; and gradient checkpointing of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from medfuse.errors import EncoderError


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """What the network's outermost lists hold, in order; none where it has no list, as a ResNet."""
    return list(_blocks(network))


def recompute(network: nn.Module) -> None:
    """Keep only what enters each block, and compute the rest again for the gradients, which are the same.

    Source: Chen et al. 2016, "Training Deep Nets with Sublinear Memory Cost" (arXiv:1604.06174).

    Raises:
        EncoderError: If the network has no list of blocks.
    """
    blocks = blocks_of(network)
    if not blocks:
        message = "compute.checkpointing is for encoders made of blocks, as transformers are; set it to false"
        raise EncoderError(message)
    for block in blocks:
        block.forward = partial(_twice, block.forward)


def recompute_no_more(network: nn.Module) -> None:
    """Leave the network as it was before `recompute`."""
    for block in blocks_of(network):
        vars(block).pop("forward", None)


def _twice(forward: Callable[..., Any], *inputs: Any, **named: Any) -> Any:
    if not torch.is_grad_enabled():
        return forward(*inputs, **named)
    return checkpoint(forward, *inputs, use_reentrant=False, **named)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from _blocks(child)
