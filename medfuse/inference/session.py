"""A frozen network as a file in ONNX form, run by ONNX Runtime or OpenVINO."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch

from medfuse.encoders.threads import budget
from medfuse.errors import EncoderError
from medfuse.inference.onnx import Graph, runtime, write

if TYPE_CHECKING:
    from numpy import ndarray
    from torch import Tensor

Runtime = Literal["onnx", "openvino"]
Precision = Literal["f32", "int8", "bf16"]

MISSING = "exports and the engines onnx, int8 and openvino need more packages: pip install 'medfuse[fast]'"


def session(
    graph: Graph, folder: Path, *, by: Runtime = "onnx", precision: Precision = "f32"
) -> Callable[..., tuple[Tensor, ...]]:
    """A network by another engine, exported once; each call takes one thread, so that several can run side by side.

    Args:
        graph: The network; a call takes its inputs and gives its outputs.
        folder: Where the exported network is kept.
        by: What runs it.
        precision: `int8`: the weights of its linear maps become 8-bit integers (ONNX Runtime's dynamic quantisation:
            what goes in is scaled call by call). `bf16`: products of bfloat16 summed in single precision (OpenVINO), on
            processors that have them; single precision on others.

    Raises:
        EncoderError: If the runtime is not installed, the network cannot be exported, or its export in single precision
            differs from torch (see `medfuse.inference.onnx.write`).
    """
    path = folder / f"{graph.digest[:24]}{'-int8' if precision == 'int8' else ''}.onnx"

    def load() -> Callable[[dict[str, ndarray]], list[ndarray]]:
        return _openvino(path, precision) if by == "openvino" else runtime(path)

    try:
        try:
            answer = load()
        except ImportError:
            raise
        except Exception:  # noqa: BLE001 - no such file, or one that is damaged: it is written again
            write(graph, path, eight_bit=precision == "int8")
            answer = load()
    except ImportError as error:
        raise EncoderError(MISSING) from error

    def run(*given: Tensor) -> tuple[Tensor, ...]:
        feed = {name: value.contiguous().numpy() for name, value in zip(graph.inputs, given, strict=True)}
        return tuple(torch.from_numpy(found) for found in answer(feed))

    return run


def _openvino(path: Path, precision: Precision) -> Callable[[dict[str, ndarray]], list[ndarray]]:
    # Importing OpenVINO would start its telemetry, which writes an identifier into the home folder and may send it.
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    import openvino

    core = openvino.Core()
    short = precision == "bf16" and "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    threads = budget()
    compiled = core.compile_model(
        core.read_model(str(path)),
        "CPU",
        {
            "INFERENCE_PRECISION_HINT": "bf16" if short else "f32",
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": threads,
            "ENABLE_CPU_PINNING": False,
        },
    )
    mine = threading.local()  # a request holds the buffers of one call

    def answer(feed: dict[str, ndarray]) -> list[ndarray]:
        if not hasattr(mine, "request"):
            mine.request = compiled.create_infer_request()
        mine.request.infer(feed, share_inputs=True)
        return [mine.request.get_output_tensor(0).data.copy()]

    return answer
