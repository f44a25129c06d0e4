"""Encoders of volumes: MONAI's networks in three dimensions, a window of a volume to a grid of tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from medfuse.config import ImageConfig
from medfuse.encoders import weights
from medfuse.encoders.image import Features, ImageEncoder, Shortcut
from medfuse.encoders.weights import WeightsReceipt
from medfuse.errors import EncoderError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

_PATCH = 16  # side of a token of the ViT, voxels, as MONAI's self-supervised checkpoints have it
# What checkpoints put before the names of the part that is used here: DataParallel, and a whole SwinUNETR.
_PREFIXES = ("module.", "swinViT.")


class VolumeEncoder(ImageEncoder):
    """A network that turns windows of a volume into tokens.

    Args:
        network: Maps [N, 1, X, Y, Z] to a map [N, D, x, y, z] or to tokens [N, L, D].
        width: Width of a token.
        last: The part of the network that `tune: last` trains.
    """

    def __init__(self, network: nn.Module, *, width: int, last: nn.Module) -> None:
        super().__init__(network, width=width, last=last, architecture={})

    def forward(self, pixels: Float[Tensor, "n x y z"]) -> Float[Tensor, "n l d"]:
        """Tokens [N, L, width] of grey values [N, X, Y, Z] in 0…1."""
        whole = self.training and len(pixels) > 1
        if self.training and not whole:  # one window has no statistics of a batch
            self.network.eval()
        found: Tensor = self.network(pixels.unsqueeze(1))
        self.network.train(self.training)
        return found.flatten(2).transpose(1, 2) if found.ndim == 5 else found


def _resnet(depth: int, _: Sequence[int]) -> VolumeEncoder:
    from monai.networks.nets.resnet import ResNetFeatures

    body = ResNetFeatures(f"resnet{depth}", pretrained=False, spatial_dims=3, in_channels=1)
    Shortcut.within(body)
    network = Features(body, lambda net, voxels: net(voxels)[-1])
    return VolumeEncoder(network, width=512 if depth < 50 else 2048, last=body.layer4)


def _densenet121(_: Sequence[int]) -> VolumeEncoder:
    from monai.networks.nets.densenet import DenseNet121

    body = DenseNet121(spatial_dims=3, in_channels=1, out_channels=1)
    body.class_layers = nn.Identity()
    network = Features(body, lambda net, voxels: torch.relu(net.features(voxels)))
    return VolumeEncoder(network, width=1024, last=body.features.denseblock4)


def _swin_unetr(size: Sequence[int]) -> VolumeEncoder:
    from monai.networks.nets.swin_unetr import SwinTransformer

    _require_multiple(size, 32, "monai-3d-swin-unetr")
    # As in SwinUNETR with feature_size 48, whose decoder is left out.
    body = SwinTransformer(
        in_chans=1,
        embed_dim=48,
        window_size=(7, 7, 7),
        patch_size=(2, 2, 2),
        depths=(2, 2, 2, 2),
        num_heads=(3, 6, 12, 24),
    )
    network = Features(body, lambda net, voxels: net(voxels, normalize=True)[-1])
    return VolumeEncoder(network, width=768, last=body.layers4)


def _vit(size: Sequence[int]) -> VolumeEncoder:
    from monai.networks.nets.vit import ViT

    _require_multiple(size, _PATCH, "monai-3d-vit")
    body = ViT(in_channels=1, img_size=tuple(size), patch_size=(_PATCH,) * 3)
    network = Features(body, lambda net, voxels: net(voxels)[0])
    return VolumeEncoder(network, width=768, last=body.blocks[-1])


VOLUME_ENCODERS: Mapping[str, Callable[[Sequence[int]], VolumeEncoder]] = {
    "monai-3d-resnet10": lambda size: _resnet(10, size),
    "monai-3d-resnet18": lambda size: _resnet(18, size),
    "monai-3d-resnet50": lambda size: _resnet(50, size),
    "monai-3d-densenet121": _densenet121,
    "monai-3d-swin-unetr": _swin_unetr,
    "monai-3d-vit": _vit,
}


def build_volume_encoder(config: ImageConfig, *, bundled: bool = False) -> tuple[VolumeEncoder, WeightsReceipt]:
    """The encoder that the config names, with its weights.

    A file is one of MONAI's own networks, of MedicalNet (ResNets; Chen et al. 2019, arXiv:1904.00625), or of a
    SwinUNETR or its self-supervised encoder (Tang et al. 2022, arXiv:2111.14791).

    Args:
        config: Which network and which weights.
        bundled: Whether the weights are left for a bundle to fill in.

    Raises:
        EncoderError: If the weights are not there or do not fit, or the network cannot take windows of this size.
    """
    assert config.volume is not None
    encoder = VOLUME_ENCODERS[config.encoder](config.volume.size)
    if bundled:
        return encoder, WeightsReceipt("bundle")
    if config.weights == "random":
        return encoder, WeightsReceipt("random")
    path = Path(config.weights)
    if not path.is_file():
        message = (
            f"image.weights: no file '{config.weights}'; {config.encoder} has no weights of its own, so name a file, or"
            " set image.weights to random and image.tune to full to learn from nothing"
        )
        raise EncoderError(message)
    network = encoder.network
    assert isinstance(network, Features)
    tensors = {_plain(name): tensor for name, tensor in weights.read_tensors(path).items()}
    return encoder, weights.fill(network.body, tensors, source=config.weights, sha256=weights.sha256_of(path))


def _plain(name: str) -> str:
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name.replace(".mlp.fc", ".mlp.linear")  # as the self-supervised Swin checkpoints call them


def _require_multiple(size: Sequence[int], step: int, name: str) -> None:
    if any(side % step for side in size):
        message = f"image.volume.size is {list(size)}; {name} takes multiples of {step} along each axis"
        raise EncoderError(message)
