"""A network written in ONNX form, and held to what torch says before it may be used."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from medfuse.encoders.cache import digest_of, key_of
from medfuse.encoders.image import ImageEncoder
from medfuse.encoders.text import TextEncoder
from medfuse.encoders.traceable import TraceableText
from medfuse.errors import EncoderError
from medfuse.inference.graph import HeadGraph, probes, windows

if TYPE_CHECKING:
    from numpy import ndarray
    from torch import Tensor

OPSET = 18
PARITY = 1e-4  # most that an output may differ from torch's, or that share of the largest where this is above 1
_EXPORT = 2  # raise it when what is exported changes


@dataclass(frozen=True)
class Graph:
    """A network with what is needed to export it.

    Attributes:
        what: What it is, for messages.
        network: It maps tensors to a tensor or a tuple of them.
        inputs: Names of the inputs, and of their axes that vary by place.
        outputs: Names of the outputs, and of their axes that vary by place.
        examples: Makes inputs; the first are traced, and all are compared.
        said: What torch says of inputs.
        settings: What besides the weights decides the graph.
    """

    what: str
    network: nn.Module
    inputs: Mapping[str, Mapping[int, str]]
    outputs: Mapping[str, Mapping[int, str]]
    examples: Callable[[], Sequence[tuple[Tensor, ...]]]
    said: Callable[..., Tensor | tuple[Tensor, ...]]
    settings: str = ""

    @property
    def digest(self) -> str:
        """Tells graphs apart."""
        return key_of(_EXPORT, digest_of(self.network), self.settings)


def image_graph(encoder: ImageEncoder, shape: Sequence[int]) -> Graph:
    """An imaging encoder; its one input `pixels` is [N, *shape]."""

    def examples() -> list[tuple[Tensor, ...]]:
        draw = torch.Generator().manual_seed(0)
        return [(torch.rand(count, *shape, generator=draw),) for count in (2, 1)]

    varying = {0: "input"}
    return Graph("the imaging encoder", encoder.eval(), {"pixels": varying}, {"tokens": varying}, examples, encoder)


def text_graph(encoder: TextEncoder) -> Graph:
    """A text encoder; its inputs `ids` and `mask` are [N, T]."""

    def examples() -> list[tuple[Tensor, ...]]:
        draw = torch.Generator().manual_seed(0)
        return [windows(encoder, draw), windows(encoder, draw, count=3, length=16), windows(encoder, draw, length=7)]

    varying = {0: "window", 1: "token"}
    settings = repr(sorted(encoder.architecture.items()))
    inputs, network = {"ids": varying, "mask": varying}, TraceableText(encoder.eval())

    def said(ids: Tensor, mask: Tensor) -> Tensor:
        return torch.as_tensor(encoder(ids, mask).masked_fill(~mask.unsqueeze(-1), 0.0))

    return Graph("the text encoder", network, inputs, {"tokens": varying}, examples, said, settings)


def head_graph(head: HeadGraph) -> Graph:
    """All that comes after the encoders."""
    outputs = {"logits": {0: "case"}, "vector": {0: "case"}}
    return Graph("the head", head, input_axes(head), outputs, lambda: probes(head), head, head.settings)


def input_axes(head: HeadGraph) -> dict[str, dict[int, str]]:
    """The inputs of what comes after the encoders, and their axes that vary."""
    return {
        name: {0: "case"} if name == "values" else {0: "case", 1: f"{name.removesuffix('_mask')}_token"}
        for name in head.names
    }


def write(graph: Graph, path: Path, *, eight_bit: bool = False) -> float:
    """Export a network into a file, in one step; the largest difference from torch on the examples.

    Args:
        graph: The network.
        path: The file.
        eight_bit: Whether the weights of its linear maps then become 8-bit integers (ONNX Runtime's dynamic
            quantisation: what goes in is scaled call by call), after what they were was held to torch.

    Raises:
        EncoderError: If it cannot be exported, or differs from torch by more than `PARITY`.
        ImportError: If onnx or onnxruntime is not installed.
    """
    import onnx  # noqa: F401 - so that its absence is told apart from what the exporter raises

    path.parent.mkdir(parents=True, exist_ok=True)
    examples = graph.examples()
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="export-") as made, _quiet():
        whole, small = Path(made) / "whole.onnx", Path(made) / "int8.onnx"
        try:
            torch.onnx.export(
                graph.network.eval(),
                examples[0],
                str(whole),
                input_names=list(graph.inputs),
                output_names=list(graph.outputs),
                dynamic_axes={**graph.inputs, **graph.outputs},
                opset_version=OPSET,
                dynamo=False,
            )
            run = runtime(whole)
            difference = _difference(graph, run, examples)
        except ImportError:
            raise
        except Exception as error:  # exporter and runtime raise many kinds, all meaning the same
            kind = type(error).__name__
            message = f"{graph.what} cannot be exported for ONNX Runtime ({kind}); take the engine torch"
            raise EncoderError(message) from error
        if not difference <= PARITY:
            message = (
                f"{graph.what} in ONNX form differs from torch by {difference:.1e}, and may by {PARITY:.0e};"
                " take the engine torch"
            )
            raise EncoderError(message)
        if eight_bit:
            from onnxruntime.quantization import QuantType, quantize_dynamic

            quantize_dynamic(
                whole, small, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul", "Gemm"]
            )
            difference = _difference(graph, runtime(small), examples)
        os.replace(small if eight_bit else whole, path)
    return difference


def runtime(path: Path) -> Callable[[dict[str, ndarray]], list[ndarray]]:
    """A file in ONNX form as ONNX Runtime runs it, one thread a call, so that several calls can run side by side."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    loaded = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda feed: list(loaded.run(None, feed))


@torch.no_grad()
def _difference(
    graph: Graph, run: Callable[[dict[str, ndarray]], list[ndarray]], examples: Sequence[tuple[Tensor, ...]]
) -> float:
    """The largest difference of any output, in shares of the largest value where that is above 1; NaN if one is NaN."""
    worst = torch.zeros(())
    for example in examples:
        wanted = graph.said(*example)
        found = run({name: value.numpy() for name, value in zip(graph.inputs, example, strict=True)})
        for one, other in zip(wanted if isinstance(wanted, tuple) else (wanted,), found, strict=True):
            there = torch.from_numpy(other)
            if one.shape != there.shape:
                return float("inf")
            scale = one.abs().max().clamp(min=1.0)
            worst = torch.maximum(worst, (one - there).abs().max() / scale)  # which hands a NaN on
    return float(worst)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what exporting and quantising say of their own insides."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
