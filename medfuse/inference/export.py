"""A bundle as files in ONNX form and a manifest, which any ONNX runtime can run without torch and without medfuse."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from medfuse.bundle import Bundle, require_free
from medfuse.calibration import Calibration
from medfuse.encoders import TabularEncoder
from medfuse.encoders.weights import sha256_of
from medfuse.errors import EncoderError
from medfuse.inference.calibrated import log_probability
from medfuse.inference.graph import HeadGraph, probes
from medfuse.inference.onnx import OPSET, Graph, image_graph, input_axes, text_graph, write
from medfuse.inference.predictor import shapley
from medfuse.inference.session import MISSING
from medfuse.model import patterns

if TYPE_CHECKING:
    from torch import Tensor

FORMAT = 1  # raised when a reader of the manifest has to change
_SCANS = {"size", "equalise", "max_scans", "series", "slices", "volume"}
_NOTES = {"encoder", "window", "overlap", "max_windows", "exclude_sections", "assertions"}


class AnswerGraph(nn.Module):
    """From tokens and values to what `medfuse classify` says: the heads, their calibration and each modality's share.

    Args:
        head: The heads.
        calibration: Logits to probabilities.
    """

    def __init__(self, head: HeadGraph, calibration: Calibration) -> None:
        super().__init__()
        self.head, self.calibration = head, calibration
        self.eval()

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Probabilities [B, C], logits [B, C] before calibration, and contributions [B, M, C] to each probability."""
        logits, _ = self.head(*inputs)
        left = self._left(*inputs).unsqueeze(-1).expand(-1, -1, logits.shape[2])
        found = [log_probability(self.calibration, logits[:, place], place).exp() for place in range(logits.shape[1])]
        # A part that is masked and one that is left out differ in the last bit; what a case lacks is left out.
        probability = torch.stack(found, dim=1).gather(1, left)
        return probability[:, -1].float(), logits[:, -1], self._contributions(probability).float()

    def _left(self, *inputs: Tensor) -> Tensor:
        """Which pattern is left of each case in each pattern [B, 2^M] (see `medfuse.calibration.pattern_of`)."""
        given = dict(zip(self.head.names, inputs, strict=True))
        bits = torch.arange(2 ** len(self.head.model.modalities))
        found = torch.zeros_like(bits).unsqueeze(0)
        for place, name in enumerate(self.head.model.modalities):
            there = given[f"{name}_mask"].any(1) if name != "tabular" else ~given["values"].isnan().all(1)
            found = found + there.unsqueeze(1).long() * ((bits // 2**place) % 2) * 2**place
        return found

    def _contributions(self, probability: Tensor) -> Tensor:
        """Shapley values [B, M, C] of probabilities by pattern [B, 2^M, C]."""
        modalities = self.head.model.modalities
        every, shares = patterns(modalities), []
        for bit, name in enumerate(modalities):
            without = [place for place in range(len(every)) if not place >> bit & 1]
            joined = [place | 1 << bit for place in without]
            # They are linear in the probabilities, so the weight of a gain is the share where only that one is 1.
            weights = [
                shapley({one: float(one == every[place]) for one in every}, modalities)[name] for place in joined
            ]
            gains = probability[:, joined] - probability[:, without]  # exactly 0 where the case lacks the modality
            shares.append((gains * torch.tensor(weights, dtype=torch.float64).view(1, -1, 1)).sum(1))
        return torch.stack(shares, dim=1)


def export_bundle(bundle: Bundle, out: str | Path, *, int8: bool = False) -> dict[str, Any]:
    """Write a bundle's networks in ONNX form into a new folder, in one step.

    `docs/export.md` says what the files take and give.

    Args:
        bundle: The bundle.
        out: The folder.
        int8: Whether the linear maps of the text encoder become 8-bit integers.

    Returns:
        What the manifest holds.

    Raises:
        EncoderError: If a network cannot be exported, says something else than torch, or a package is missing.
        CohortError: If the folder already holds something.
    """
    out = Path(out)
    require_free(out)
    partial = out.with_name(out.name + ".exporting.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        if int8 and bundle.model.text is None:
            message = "the bundle reads no notes, so there is nothing for --int8"
            raise EncoderError(message)
        manifest = _written(bundle, partial, int8=int8)
        if out.exists():
            out.rmdir()
        os.replace(partial, out)
    except ImportError as error:
        raise EncoderError(MISSING) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return manifest


def _written(bundle: Bundle, folder: Path, *, int8: bool) -> dict[str, Any]:
    model, config = bundle.model, bundle.config
    graphs: dict[str, Graph] = {}
    if model.image is not None:
        assert config.image is not None
        graphs["image.onnx"] = image_graph(model.image, config.image.input_shape)
    if model.text is not None:
        graphs["text.onnx"] = text_graph(model.text)
    graphs["head.onnx"] = _answers(bundle)
    files: dict[str, Any] = {}
    for name, graph in graphs.items():
        eight_bit = int8 and name == "text.onnx"
        difference = write(graph, folder / name, eight_bit=eight_bit)
        files[name] = {**_described(graph), "precision": "int8" if eight_bit else "float32", "difference": difference}
    if bundle.tokenizer is not None:
        (folder / "tokenizer.json").write_text(bundle.tokenizer.to_json(), encoding="utf-8")
        files["tokenizer.json"] = {}
    manifest = {
        "format": FORMAT,
        "name": config.name,
        "bundle": bundle.digest,
        "use": "Research software, not a medical device. Do not use it to decide about a patient.",
        "task": bundle.task,
        "labels": list(bundle.labels),
        "modalities": list(model.modalities),
        "opset": OPSET,
        "files": {name: {"sha256": sha256_of(folder / name), **told} for name, told in files.items()},
        "image": None if config.image is None else config.image.model_dump(mode="json", include=_SCANS),
        "text": None if config.text is None else config.text.model_dump(mode="json", include=_NOTES),
        "columns": TabularEncoder.architecture_of(bundle.columns),
        "calibration": bundle.calibration.to_dict(),
    }
    text = json.dumps(manifest, indent=1, allow_nan=False, ensure_ascii=False) + "\n"
    (folder / "manifest.json").write_text(text, encoding="utf-8")
    return manifest


def _answers(bundle: Bundle) -> Graph:
    head = HeadGraph(bundle.model)
    answer = AnswerGraph(head, bundle.calibration)
    outputs = {name: {0: "case"} for name in ("probabilities", "logits", "contributions")}
    return Graph("the head", answer, input_axes(head), outputs, lambda: probes(head), answer)


def _described(graph: Graph) -> dict[str, Any]:
    """Type and shape of each input and output; an axis that varies has its name in place of a size."""
    example = graph.examples()[0]
    with torch.no_grad():
        said = graph.said(*example)
    told: dict[str, Any] = {}
    for kind, axes, tensors in (
        ("inputs", graph.inputs, example),
        ("outputs", graph.outputs, said if isinstance(said, tuple) else (said,)),
    ):
        told[kind] = {
            name: {
                "type": str(tensor.dtype).removeprefix("torch."),
                "shape": [varying.get(place, size) for place, size in enumerate(tensor.shape)],
            }
            for (name, varying), tensor in zip(axes.items(), tensors, strict=True)
        }
    return told
