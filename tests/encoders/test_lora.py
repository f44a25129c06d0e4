from __future__ import annotations

import pytest
import torch
from torch import nn

from medfuse.config import ImageConfig
from medfuse.encoders import ImageEncoder, build_image_encoder
from medfuse.encoders.bert import Bert
from medfuse.encoders.lora import adapt, merge
from medfuse.errors import EncoderError

SMALL = {
    "vocab_size": 40,
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "max_position_embeddings": 16,
    "type_vocab_size": 2,
}
IDS = torch.arange(1, 25).reshape(2, 12)
MASK = torch.ones(2, 12, dtype=torch.bool).index_fill(1, torch.tensor([10, 11]), value=False)


def bert() -> Bert:
    torch.manual_seed(0)
    return Bert(SMALL).eval()


def taught(network: nn.Module, *inputs: torch.Tensor, steps: int = 5) -> list[float]:
    learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
    optimiser = torch.optim.Adam(learning, lr=0.02)
    losses = []
    for _ in range(steps):
        loss = (network(*inputs) - 1).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    return losses


def test_adapted_it_starts_as_it_was_and_few_numbers_learn() -> None:
    network = bert()
    with torch.no_grad():
        before = network(IDS, MASK)
        adapt(network, rank=2)
        assert torch.equal(network(IDS, MASK), before)
    sides = [(96, 32), (32, 32), (64, 32), (32, 64)]  # a layer's inputs to attention, its output, and both of its MLP
    learn = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
    assert learn == SMALL["num_hidden_layers"] * sum(2 * (out + inputs) for out, inputs in sides)  # type: ignore[operator]


def test_the_loss_falls_while_the_pretrained_weights_stay() -> None:
    network = bert()
    kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    adapt(network, rank=2)
    losses = taught(network, IDS, MASK)
    assert losses[-1] < losses[0]
    now = {
        name.replace("parametrizations.", "").replace(".original", ""): tensor
        for name, tensor in network.state_dict().items()
        if not name.endswith((".up", ".down"))
    }
    assert now.keys() == kept.keys()
    assert all(torch.equal(now[name], tensor) for name, tensor in kept.items())


def test_merged_it_has_its_own_weights_again_and_says_the_same() -> None:
    network, plain = bert(), bert()
    adapt(network, rank=2)
    taught(network, IDS, MASK)
    slow = network(IDS, MASK)  # with gradients, so not by torch's fast path
    with torch.no_grad():
        fast = network(IDS, MASK)
    merge(network)
    plain.load_state_dict(network.state_dict())
    with torch.no_grad():
        merged = plain(IDS, MASK)
    assert merged[MASK].allclose(fast[MASK], atol=1e-5)
    assert merged[MASK].allclose(slow[MASK], atol=1e-5)
    with torch.no_grad():
        assert not merged[MASK].allclose(bert()(IDS, MASK)[MASK], atol=1e-2)


def test_a_vision_transformer_adapts_and_a_convolutional_network_is_refused() -> None:
    deep = ImageConfig.model_validate({"encoder": "monai-3d-vit", "volume": {"size": (16, 16, 16)}, "tune": "full"})
    from medfuse.encoders.volume import VOLUME_ENCODERS

    vit: ImageEncoder = VOLUME_ENCODERS[deep.encoder]((16, 16, 16)).eval()
    cubes = torch.rand(1, 16, 16, 16)
    with torch.no_grad():
        before = vit(cubes)
        adapt(vit.network, rank=1)
        assert torch.equal(vit(cubes), before)
    assert taught(vit, cubes, steps=2)[1] < (before - 1).square().mean()
    flat, _ = build_image_encoder(ImageConfig(size=32))
    with pytest.raises(EncoderError, match="no linear map"):
        adapt(flat.network, rank=1)
