"""A frozen network as a file in ONNX form, run by ONNX Runtime or OpenVINO."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from medfuse.encoders.cache import digest_of
from medfuse.encoders.threads import budget
from medfuse.errors import EncoderError

if TYPE_CHECKING:
    from numpy import ndarray
    from torch import Tensor

Runtime = Literal["onnx", "openvino"]
Precision = Literal["f32", "int8", "bf16"]

_OPSET = 18
_EXPORT = 1  # raise it when what is exported changes


def session(
    network: nn.Module,
    inputs: tuple[Tensor, ...],
    names: Sequence[str],
    folder: Path,
    *,
    runtime: Runtime = "onnx",
    precision: Precision = "f32",
) -> Callable[..., Tensor]:
    """A network by another engine, exported once; each call takes one thread, so that several can run side by side.

    Args:
        network: Its weights decide the file.
        inputs: An example of what it takes, [N, S, S] or [N, T].
        names: Of the inputs.
        folder: Where the exported network is kept.
        runtime: What runs it.
        precision: `int8`: the weights of its linear maps become 8-bit integers (ONNX Runtime's dynamic quantisation:
            what goes in is scaled call by call). `bf16`: products of bfloat16 summed in single precision (OpenVINO), on
            processors that have them; single precision on others.

    Raises:
        EncoderError: If the runtime is not installed, or the network cannot be exported.
    """
    network = network.eval()
    path = folder / f"{digest_of(network)[:24]}-{_EXPORT}{'-int8' if precision == 'int8' else ''}.onnx"

    def load() -> Callable[[dict[str, ndarray]], ndarray]:
        return _openvino(path, precision) if runtime == "openvino" else _onnx_runtime(path)

    try:
        answer = load()
    except ImportError as error:
        message = (
            "the engines onnx, int8 and openvino need more packages; install them with: pip install 'medfuse[fast]'"
        )
        raise EncoderError(message) from error
    except Exception:  # noqa: BLE001 - no such file, or one that is damaged: it is written again
        _export(network, inputs, names, path, eight_bit=precision == "int8")
        answer = load()

    def run(*given: Tensor) -> Tensor:
        return torch.from_numpy(
            answer({name: value.contiguous().numpy() for name, value in zip(names, given, strict=True)})
        )

    return run


def _onnx_runtime(path: Path) -> Callable[[dict[str, ndarray]], ndarray]:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    loaded = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda feed: loaded.run(None, feed)[0]


def _openvino(path: Path, precision: Precision) -> Callable[[dict[str, ndarray]], ndarray]:
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

    def answer(feed: dict[str, ndarray]) -> ndarray:
        if not hasattr(mine, "request"):
            mine.request = compiled.create_infer_request()
        mine.request.infer(feed, share_inputs=True)
        found: ndarray = mine.request.get_output_tensor(0).data.copy()
        return found

    return answer


def _export(
    network: nn.Module, inputs: tuple[Tensor, ...], names: Sequence[str], path: Path, *, eight_bit: bool
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix="export-") as made, _quiet():
        whole, small = Path(made) / "whole.onnx", Path(made) / "int8.onnx"
        axes = {
            name: {0: "n"} if value.ndim == 3 else {0: "n", 1: "t"} for name, value in zip(names, inputs, strict=True)
        }
        try:
            torch.onnx.export(
                network,
                inputs,
                str(whole),
                input_names=list(names),
                output_names=["tokens"],
                dynamic_axes=axes,
                opset_version=_OPSET,
                dynamo=False,
            )
        except Exception as error:  # the exporter raises many kinds, all meaning the same
            message = f"an encoder cannot be exported for ONNX Runtime ({type(error).__name__}); take the engine torch"
            raise EncoderError(message) from error
        if eight_bit:
            from onnxruntime.quantization import QuantType, quantize_dynamic

            quantize_dynamic(
                whole, small, weight_type=QuantType.QInt8, per_channel=True, op_types_to_quantize=["MatMul", "Gemm"]
            )
        os.replace(small if eight_bit else whole, path)


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
