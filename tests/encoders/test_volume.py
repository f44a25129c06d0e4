"""Networks for volumes: tokens, weights that are there or named as missing, and back from a bundle."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from medfuse.config import Config, ImageConfig
from medfuse.encoders import build_image_encoder
from medfuse.encoders.volume import VOLUME_ENCODERS
from medfuse.errors import ConfigError, EncoderError

EXPECTED = {  # tokens and width for a window of 32 × 32 × 32
    "monai-3d-resnet10": (1, 512),
    "monai-3d-resnet18": (1, 512),
    "monai-3d-resnet50": (1, 2048),
    "monai-3d-densenet121": (1, 1024),
    "monai-3d-swin-unetr": (1, 768),
    "monai-3d-vit": (8, 768),
}


def config(encoder: str, **changes: object) -> ImageConfig:
    volume = {"size": (32, 32, 32)}
    return ImageConfig.model_validate(
        {"encoder": encoder, "weights": "random", "tune": "full", "volume": volume, **changes}
    )


@pytest.mark.parametrize("name", sorted(VOLUME_ENCODERS))
def test_every_network_gives_tokens_and_loads_its_own_weights(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder, receipt = build_image_encoder(config(name))
    assert receipt.source == "random"
    state = {f"module.{key}": value.contiguous() for key, value in encoder.network.body.state_dict().items()}
    save_file(state, tmp_path / "w.safetensors")
    again, receipt = build_image_encoder(config(name, weights=str(tmp_path / "w.safetensors"), tune="frozen"))
    assert receipt.loaded == len(state)
    voxels = torch.rand(2, 32, 32, 32)
    with torch.inference_mode():
        tokens = encoder.eval()(voxels)
        assert torch.equal(tokens, again.eval()(voxels))
    assert tokens.shape == (2, *EXPECTED[name])
    assert encoder.last_parameters()
    empty, receipt = build_image_encoder(config(name), architecture={})
    assert receipt.source == "bundle"
    empty.load_state_dict(encoder.state_dict())


def test_monais_swin_unetr_has_the_same_encoder(tmp_path: Path) -> None:
    from monai.networks.nets.swin_unetr import SwinUNETR

    torch.manual_seed(0)
    whole = SwinUNETR(in_channels=1, out_channels=2, feature_size=48).eval()
    save_file({k: v.contiguous() for k, v in whole.state_dict().items()}, tmp_path / "w.safetensors")
    encoder, receipt = build_image_encoder(
        config("monai-3d-swin-unetr", weights=str(tmp_path / "w.safetensors"), tune="frozen")
    )
    assert receipt.unused > 0
    voxels = torch.rand(1, 32, 32, 32)
    with torch.inference_mode():
        expected = whole.swinViT(voxels.unsqueeze(1), whole.normalize)[-1].flatten(2).transpose(1, 2)
        assert torch.equal(encoder.eval()(voxels), expected)


def test_a_network_that_learns_takes_a_single_window() -> None:
    encoder, _ = build_image_encoder(config("monai-3d-resnet10"))
    encoder.train()
    assert encoder(torch.rand(1, 16, 16, 16)).shape == (1, 1, 512)
    assert encoder.network.training


def test_weights_are_never_silently_random() -> None:
    with pytest.raises(EncoderError, match="no weights of its own"):
        build_image_encoder(config("monai-3d-resnet18", weights="embedded"))
    with pytest.raises(EncoderError, match="multiples of 32"):
        build_image_encoder(config("monai-3d-swin-unetr", volume={"size": (48, 32, 32)}))


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ({"encoder": "monai-3d-vit"}, "set image.volume"),
        ({"volume": {}}, "looks at single images"),
        ({"encoder": "monai-3d-vit", "volume": {}, "weights": "random"}, "set tune to full"),
    ],
)
def test_what_does_not_fit_is_one_clear_line(image: dict, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        Config.parse({"image": image}, source="x")
