from __future__ import annotations

import pytest
import torch

from medfuse.config import ImageConfig, TextConfig
from medfuse.encoders import build_image_encoder, build_text_encoder
from medfuse.encoders.blocks import blocks_of, recompute, recompute_no_more
from medfuse.encoders.lora import adapt
from medfuse.errors import EncoderError


def kept_and_gradients(encoder: torch.nn.Module, *inputs: torch.Tensor) -> tuple[int, list[torch.Tensor]]:
    """Numbers kept for the gradients, and the gradients."""
    kept = 0

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        nonlocal kept
        kept += tensor.numel()
        return tensor

    learning = [one for one in encoder.parameters() if one.requires_grad]
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = encoder(*inputs).square().mean()
    return kept, list(torch.autograd.grad(loss, learning))


@pytest.mark.parametrize("lora", [False, True])
def test_a_transformer_computed_twice_has_the_same_gradients(lora: bool) -> None:
    encoder = build_text_encoder(TextConfig(tune="full"))[0].eval()
    if lora:
        adapt(encoder.network, rank=2)
    ids = torch.randint(1000, 2000, (3, 24), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(24) < torch.tensor([[24], [10], [17]])
    names = list(encoder.state_dict())
    plain, expected = kept_and_gradients(encoder, ids, mask)
    recompute(encoder.network)
    less, found = kept_and_gradients(encoder, ids, mask)
    assert all(torch.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert less < plain / 2
    assert list(encoder.state_dict()) == names
    recompute_no_more(encoder.network)
    assert kept_and_gradients(encoder, ids, mask)[0] == plain


def test_blocks_are_those_of_the_network() -> None:
    text = build_text_encoder(TextConfig())[0]
    assert [type(block).__name__ for block in blocks_of(text.network)] == ["TransformerEncoderLayer"] * 6


def test_a_network_without_blocks_is_refused() -> None:
    encoder, _ = build_image_encoder(ImageConfig(encoder="monai-resnet18", weights="random", tune="full"))
    with pytest.raises(EncoderError, match=r"compute\.checkpointing is for encoders made of blocks"):
        recompute(encoder.network)
