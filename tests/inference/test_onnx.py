"""Every encoder in ONNX form says what it says in torch, for inputs of other numbers and lengths than were traced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from medfuse.config import TextConfig
from medfuse.encoders import ImageEncoder, TextEncoder, build_text_encoder
from medfuse.encoders.image import IMAGE_ENCODERS, _transformers
from medfuse.encoders.text import _network
from medfuse.encoders.volume import VOLUME_ENCODERS
from medfuse.inference import onnx

QUICK = ("efficientnet-lite0", "monai-resnet18", "monai-3d-resnet18")
SMALL = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "image_size": 64,
    "patch_size": 16, "vocab_size": 100,
}  # fmt: skip


def other(names: dict | list) -> list:
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in names]


def held(encoder: ImageEncoder, shape: tuple[int, ...], folder: Path) -> None:
    """Three inputs at once, which were not traced and not compared when the file was written."""
    onnx.write(onnx.image_graph(encoder, shape), folder / "image.onnx")
    given = torch.rand(3, *shape, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        wanted = encoder(given)
    (found,) = onnx.runtime(folder / "image.onnx")({"pixels": given.numpy()})
    np.testing.assert_allclose(found, wanted, atol=1e-4 * max(1.0, float(wanted.abs().max())), rtol=0)


@pytest.mark.parametrize("name", other(list(IMAGE_ENCODERS)))
def test_an_encoder_of_images(name: str, tmp_path: Path) -> None:
    held(IMAGE_ENCODERS[name]().eval(), (64, 64), tmp_path)


@pytest.mark.parametrize("kind", ["vit", "dinov2"])
def test_a_vision_transformer(kind: str, tmp_path: Path) -> None:
    held(_transformers({"model_type": kind, **SMALL}).eval(), (64, 64), tmp_path)


@pytest.mark.parametrize("name", other(list(VOLUME_ENCODERS)))
def test_an_encoder_of_volumes(name: str, tmp_path: Path) -> None:
    size = (64, 64, 64) if "swin" in name else (32, 48, 32)
    held(VOLUME_ENCODERS[name](size).eval(), size, tmp_path)


def learned(kind: str) -> TextEncoder:
    notes = ["fever and cough for a week", "swollen ankles at night", "fever and swollen ankles", "cough at night"] * 2
    return build_text_encoder(TextConfig(encoder=kind), notes=notes)[0]  # type: ignore[arg-type]


def of_transformers(kind: str) -> TextEncoder:
    return _network(
        {"model_type": kind, **SMALL, "pad_token_id": 0, "type_vocab_size": 2, "max_position_embeddings": 64}
    )


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        *((learned, kind) for kind in ("lsa", "rnn")),
        *((of_transformers, kind) for kind in ("bert", "roberta", "distilbert", "electra", "modernbert", "deberta-v2")),
    ],
)
def test_an_encoder_of_text(make: Callable[[str], TextEncoder], kind: str, tmp_path: Path) -> None:
    encoder = make(kind).eval()
    onnx.write(onnx.text_graph(encoder), tmp_path / "text.onnx")
    ids = torch.randint(2, 9, (4, 33), generator=torch.Generator().manual_seed(5))
    mask = torch.arange(33) < torch.tensor([[33], [1], [20], [7]])
    with torch.inference_mode():
        wanted = encoder(ids, mask)
    (found,) = onnx.runtime(tmp_path / "text.onnx")({"ids": ids.numpy(), "mask": mask.numpy()})
    np.testing.assert_allclose(found[mask.numpy()], wanted[mask], atol=1e-4, rtol=0)
    assert (found[~mask.numpy()] == 0).all()
