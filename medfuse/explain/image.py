"""What in a scan speaks for a label: heat maps by gradients, by attention and by covering."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isqrt
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.functional import avg_pool2d, interpolate

from medfuse.encoders import Encoded, ImageEncoder
from medfuse.explain.aim import Aim
from medfuse.explain.copies import structure_of
from medfuse.explain.tokens import Tokens, logits_of, repeated
from medfuse.model import DiagnosisModel

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

STEPS = 24  # of integrated gradients, Gauss-Legendre
_AT_ONCE = 4  # scans in one pass
_WINDOWS = 7  # covers of an occlusion along a side, moved by half of their side


@dataclass(frozen=True)
class SeenScan:
    """One scan of a case, with all else of the case held as it is.

    Attributes:
        model: The model.
        pixels: Grey squares [N, S, S]; one, or a volume's slices.
        before: Tokens [L, D] of the scans before it, as the heads take them.
        after: Tokens of the scans after it.
        others: Tokens of the other modalities.
        aim: What is explained.
    """

    model: DiagnosisModel
    pixels: Float[Tensor, "n s s"]
    before: Float[Tensor, "l d"]
    after: Float[Tensor, "l d"]
    others: Tokens
    aim: Aim

    @property
    def encoder(self) -> ImageEncoder:
        """The imaging encoder."""
        assert self.model.image is not None
        return self.model.image

    def score(self, tokens: Float[Tensor, "bn l d"], *, mask: Tensor | None = None) -> Float[Tensor, " b"]:
        """What is explained, of tokens as the encoder gives them for several versions of the scan.

        Args:
            tokens: [B * N, L, D].
            mask: False [B, N * L] where a token is left out.
        """
        count = len(tokens) // len(self.pixels)
        own = tokens.float()
        if "image" in self.model.reductions:
            own = self.model.reductions["image"](own)
        own = own.reshape(count, -1, own.shape[-1])
        whole = torch.cat([self.before.expand(count, -1, -1), own, self.after.expand(count, -1, -1)], dim=1)
        kept = torch.ones(whole.shape[:2], dtype=torch.bool)
        if mask is not None:
            kept[:, len(self.before) : len(self.before) + own.shape[1]] = mask
        encoded, values = repeated(self.model, self.others, count)
        encoded["image"] = Encoded.of(whole, kept)
        return self.aim(logits_of(self.model, encoded, values))

    def seen(self, pixels: Float[Tensor, "b n s s"]) -> Float[Tensor, " b"]:
        """What is explained, of several versions of the scan."""
        return self.score(self.encoder(pixels.flatten(0, 1)))


def to_map(tokens: Float[Tensor, "n l d"]) -> tuple[Float[Tensor, "n d h h"], Float[Tensor, "n e d"]]:
    """Tokens as a square map, and those before it that stand for no place (the class token of a transformer)."""
    side = isqrt(tokens.shape[1])
    extra = tokens.shape[1] - side * side
    maps = tokens[:, extra:].transpose(1, 2)
    return maps.reshape(*maps.shape[:2], side, side), tokens[:, :extra]


def from_map(maps: Float[Tensor, "n d h h"], extra: Float[Tensor, "n e d"]) -> Float[Tensor, "n l d"]:
    """What `to_map` took apart."""
    return torch.cat([extra, maps.flatten(2).transpose(1, 2)], dim=1)


def grad_cam(scan: SeenScan) -> Float[Tensor, "n s s"]:
    """Grad-CAM on the map that the encoder gives, with its sign (Selvaraju et al. 2017, arXiv:1610.02391, section 3).

    Where the mean token is what counts, as in the fusion `experts`, it is the exact share of every place in the logit,
    up to a constant (class activation mapping, Zhou et al. 2016, arXiv:1512.04150).
    """
    from captum.attr import LayerGradCam

    return _on_map(scan, LayerGradCam)


def hires_cam(scan: SeenScan) -> Float[Tensor, "n s s"]:
    """Gradient times activation at every place of the map that the encoder gives (Draelos & Carin, arXiv:2011.08891).

    Unlike Grad-CAM it keeps where the gradient was, which matters where places are attended to.
    """
    from captum.attr import LayerGradientXActivation

    return _on_map(scan, LayerGradientXActivation)


def _on_map(scan: SeenScan, kind: Any) -> Float[Tensor, "n s s"]:
    probe = nn.Identity()
    with torch.no_grad():
        tokens = scan.encoder(scan.pixels)

    def forward(given: Tensor) -> Tensor:
        maps, extra = to_map(given)
        return scan.score(from_map(probe(maps), extra))

    found = kind(forward, probe).attribute(tokens.clone().requires_grad_())
    return grown(found.detach().sum(1), scan.pixels.shape[-1])


def layer_cam(scan: SeenScan) -> Float[Tensor, "n s s"]:
    """Gradient times activation on the finest map of at least twice the resolution of the last, with its sign.

    After LayerCAM (Jiang et al. 2021, IEEE TIP 30, equation 3), which keeps only positive gradients. An encoder whose
    maps are all of one resolution, as a vision transformer's are, gives its last one.
    """
    from captum.attr import LayerGradientXActivation

    copied = structure_of(scan.encoder)
    layer = _finer_layer(copied, scan.pixels[:1])
    if layer is None:
        return hires_cam(scan)
    inside = replace(scan, model=_with_image(scan.model, copied))
    pixels = scan.pixels.clone().unsqueeze(0).requires_grad_()
    found = LayerGradientXActivation(inside.seen, layer).attribute(pixels)
    return grown(found.detach().sum(1), scan.pixels.shape[-1])


def _finer_layer(encoder: ImageEncoder, pixels: Float[Tensor, "1 s s"]) -> nn.Module | None:
    """The last block whose map has twice the side of the encoder's."""
    sides: list[tuple[nn.Module, int]] = []
    hooks = [
        module.register_forward_hook(
            lambda module, _, out: (
                sides.append((module, out.shape[-1])) if isinstance(out, torch.Tensor) and out.ndim == 4 else None
            )
        )
        for module in encoder.modules()
        if any(True for _ in module.children())  # what has no parts may be changed in place by what follows it
    ]
    with torch.no_grad():
        last = isqrt(encoder(pixels).shape[1])
    for hook in hooks:
        hook.remove()
    return next((module for module, side in reversed(sides) if side == 2 * last), None)


def _with_image(model: DiagnosisModel, encoder: ImageEncoder) -> DiagnosisModel:
    from medfuse.explain.copies import with_parts

    return with_parts(model, image=encoder)


def integrated_gradients(scan: SeenScan) -> Float[Tensor, "n s s"]:
    """Integrated gradients of every pixel from a black square (Sundararajan et al. 2017, arXiv:1703.01365, equation 1).

    They add up to the difference between what is said of the scan and of black.
    """
    from captum.attr import IntegratedGradients

    pixels = scan.pixels.unsqueeze(0)
    found = IntegratedGradients(scan.seen).attribute(
        pixels, baselines=torch.zeros_like(pixels), n_steps=STEPS, internal_batch_size=_AT_ONCE
    )
    return as_map(found[0])


def occlusion(scan: SeenScan) -> Float[Tensor, "n s s"]:
    """What is lost where a square is covered with the scan's surroundings (Zeiler & Fergus, arXiv:1311.2901, sec. 4.2).

    The cover is the scan itself, blurred beyond recognition, so that it brings no edge of its own and no unlikely grey.
    """
    from captum.attr import Occlusion

    size = scan.pixels.shape[-1]
    window = max(2, size // _WINDOWS)
    pixels = scan.pixels.unsqueeze(0)
    with torch.no_grad():
        found = Occlusion(scan.seen).attribute(
            pixels,
            sliding_window_shapes=(1, window, window),
            strides=(1, window // 2, window // 2),
            baselines=blurred(scan.pixels).unsqueeze(0),
            perturbations_per_eval=_AT_ONCE,
        )
    return as_map(found[0])


def token_occlusion(scan: SeenScan) -> Float[Tensor, "n s s"]:
    """What is lost where the tokens of a place and its neighbours are left out; one pass of the encoder."""
    with torch.inference_mode():
        tokens = scan.encoder(scan.pixels)
        side = isqrt(tokens.shape[1])
        extra = tokens.shape[1] - side * side
        count = len(scan.pixels)
        masks = torch.ones(count * side * side + 1, count, tokens.shape[1], dtype=torch.bool)
        for number in range(count * side * side):
            place, row, column = number // (side * side), number // side % side, number % side
            grid = masks[number, place, extra:].view(side, side)
            grid[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2] = False
        wanted = torch.split(masks.flatten(1), 32)
        scores = torch.cat([scan.score(tokens.repeat(len(some), 1, 1), mask=some) for some in wanted])
    return grown((scores[-1] - scores[:-1]).view(count, side, side), scan.pixels.shape[-1])


def attention(scan: SeenScan) -> Float[Tensor, "n s s"]:
    """How much the words of the notes attend to every place, over heads (cross-attention only).

    A place is not for or against a label here: the map says where was looked, not what was concluded.
    """
    from medfuse.explain.attention import from_text_to_image

    with torch.inference_mode():
        tokens = scan.encoder(scan.pixels)
        found = from_text_to_image(scan, tokens)
    side = isqrt(tokens.shape[1])
    weights = found[:, tokens.shape[1] - side * side :].view(-1, side, side)
    return grown(weights, scan.pixels.shape[-1])


METHODS: Mapping[str, Callable[[SeenScan], Any]] = {
    "grad_cam": grad_cam,
    "hires_cam": hires_cam,
    "layer_cam": layer_cam,
    "integrated_gradients": integrated_gradients,
    "occlusion": occlusion,
    "token_occlusion": token_occlusion,
    "attention": attention,
}


def as_map(found: Tensor) -> Float[Tensor, "n s s"]:
    """An attribution of every pixel as a map."""
    return found.detach().float()


def grown(maps: Float[Tensor, "n h h"], size: int) -> Float[Tensor, "n s s"]:
    """A coarse map over the whole square."""
    return interpolate(maps.unsqueeze(1).float(), (size, size), mode="bilinear", align_corners=False)[:, 0]


def blurred(pixels: Float[Tensor, "n s s"]) -> Float[Tensor, "n s s"]:
    """The scan without anything smaller than a quarter of it: three box filters, near a Gaussian."""
    size = pixels.shape[-1]
    width = size // 8 * 2 + 1
    for _ in range(3):
        pixels = avg_pool2d(pixels.unsqueeze(1), width, 1, width // 2, count_include_pad=False)[:, 0]
    return pixels
