from __future__ import annotations

from pathlib import Path

import pytest
import torch

from medfuse.config import ImageConfig
from medfuse.encoders import build_image_encoder
from medfuse.errors import EncoderError


@pytest.mark.parametrize(
    ("name", "width"),
    [("monai-densenet121", 1024), ("monai-resnet18", 512), ("monai-resnet50", 2048), ("torchvision-resnet50", 2048)],
)
def test_every_network_gives_tokens_and_is_built_again_from_a_bundle(name: str, width: int) -> None:
    encoder, receipt = build_image_encoder(ImageConfig(encoder=name, weights="random", size=64))
    assert receipt.source == "random"
    pixels = torch.rand(2, 64, 64)
    again, _ = build_image_encoder(ImageConfig(encoder=name, weights="random", size=64), architecture={})
    again.load_state_dict(encoder.state_dict())
    with torch.inference_mode():
        tokens = encoder.eval()(pixels)
        assert torch.equal(tokens, again.eval()(pixels))
    assert tokens.shape == (2, 4, width)
    assert encoder.last_parameters()


def test_the_default_has_weights_and_they_matter() -> None:
    encoder, receipt = build_image_encoder(ImageConfig(size=64))
    assert receipt.loaded > 200
    assert len(receipt.sha256) == 64
    with torch.inference_mode():
        tokens = encoder.eval()(torch.stack([torch.zeros(64, 64), torch.eye(64)]))
    assert tokens.shape == (2, 4, 1280)
    assert (tokens[0] - tokens[1]).abs().max() > 0.1


def test_a_transformers_folder_loads(tmp_path: Path) -> None:
    from transformers import ViTConfig, ViTModel

    config = ViTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, image_size=32, patch_size=8
    )
    torch.manual_seed(0)
    model = ViTModel(config).eval()
    model.save_pretrained(tmp_path)
    encoder, receipt = build_image_encoder(ImageConfig(encoder="transformers", weights=str(tmp_path), size=32))
    assert receipt.loaded > 10
    with torch.inference_mode():
        grey = torch.rand(1, 32, 32)
        rgb = (grey.unsqueeze(1) - encoder.mean) / encoder.deviation
        assert torch.allclose(encoder.eval()(grey), model(rgb).last_hidden_state, atol=1e-6)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (ImageConfig(encoder="monai-densenet121"), "no embedded weights"),
        (ImageConfig(weights="/nowhere.pt"), "no file"),
        (ImageConfig(encoder="monai-resnet18", weights="imagenet"), "imagenet"),
    ],
)
def test_weights_that_are_not_there_are_an_error_and_never_random(config: ImageConfig, said: str) -> None:
    with pytest.raises(EncoderError, match=said):
        build_image_encoder(config)


def test_a_pickle_is_not_loaded(tmp_path: Path) -> None:
    import pickle

    (tmp_path / "w.pt").write_bytes(pickle.dumps({"w": print}))
    with pytest.raises(EncoderError, match="read safely"):
        build_image_encoder(ImageConfig(weights=str(tmp_path / "w.pt")))
