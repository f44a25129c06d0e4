"""What runs the frozen encoders: torch, or ONNX Runtime in single precision or with 8-bit text weights.

An engine is judged by what it changes: the probabilities of a few phantoms, all parts of the bundle included. `auto`
takes the fastest that changes none by more than `PARITY`, and remembers it for the bundle and this machine.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from medfuse.bundle import Bundle
from medfuse.cohort import Cohort
from medfuse.encoders.bert import Bert
from medfuse.encoders.cache import digest_of
from medfuse.encoders.cases import CaseEncoder
from medfuse.encoders.threads import processor, remember, remembered
from medfuse.errors import EncoderError

if TYPE_CHECKING:
    from torch import Tensor

ENGINES = ("torch", "onnx", "int8")
PARITY = 0.01  # most that a probability may differ from torch's
PROBES = 16  # phantoms that an engine is judged by
ROUNDS = 3  # times that each engine classifies them

_OPSET = 18
_EXPORT = 1  # raise it when what is exported changes


def run_by(engine: str, encoder: CaseEncoder, folder: Path) -> None:
    """Let an engine run the frozen encoders of a CaseEncoder.

    Text encoders other than BERT, and those that learn, stay with torch.

    Args:
        engine: One of `ENGINES`.
        encoder: What encodes cases.
        folder: Where exported networks are kept.

    Raises:
        EncoderError: If ONNX Runtime is not installed, or a network cannot be exported.
    """
    if engine not in ENGINES:
        message = f"no engine '{engine}'; there are {', '.join(ENGINES)} and auto"
        raise EncoderError(message)
    if engine == "torch":
        return
    image = text = None
    if encoder.image is not None:
        assert encoder.config.image is not None
        network: nn.Module = encoder.image
        pixels = torch.zeros(2, *encoder.config.image.input_shape)
        image = session(network, (pixels,), ("pixels",), folder, eight_bit=False)
    if encoder.text is not None and isinstance(encoder.text.network, Bert):
        from medfuse.encoders.traceable import TraceableBert

        network = TraceableBert(encoder.text.network)
        ids = torch.ones(2, 16, dtype=torch.long)
        text = session(network, (ids, ids > 0), ("ids", "mask"), folder, eight_bit=engine == "int8")
    encoder.use(engine, image=image, text=text)


def choose(bundle: Bundle, folder: Path) -> str:
    """The fastest engine on this machine that passes parity; torch where no other is installed.

    Args:
        bundle: The bundle.
        folder: Where exported networks and the choice are kept.
    """
    from importlib.util import find_spec

    if find_spec("onnxruntime") is None or find_spec("onnx") is None:
        return "torch"
    key = f"{bundle.digest} torch {torch.__version__}, {processor()}"
    if bundle.digest and (known := remembered(folder / "engines.json").get(key)) in ENGINES:
        return str(known)
    seconds, probabilities = _judge(bundle, folder)
    good = [name for name in seconds if float(np.abs(probabilities[name] - probabilities["torch"]).max()) <= PARITY]
    chosen = min(good, key=lambda name: statistics.median(seconds[name]))
    if bundle.digest:
        remember(folder / "engines.json", key, chosen)
    return chosen


def _judge(bundle: Bundle, folder: Path) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """Seconds and probabilities [N, C] by engine, for phantoms that are classified in turns."""
    from medfuse.inference.predictor import Predictor
    from medfuse.synthetic import make_cohort

    with tempfile.TemporaryDirectory() as made:
        make_cohort(made, cases=PROBES, seed=0)
        cases = Cohort.load(made).cases
        predictors = {}
        for name in ENGINES:
            predictor = Predictor(bundle, engine="torch")
            with contextlib.suppress(EncoderError):  # an encoder that cannot be exported stays with torch
                run_by(name, predictor.encoder, folder)
                predictors[name] = predictor
        seconds: dict[str, list[float]] = {name: [] for name in predictors}
        found: dict[str, Any] = {}
        for _ in range(ROUNDS):
            for name, predictor in predictors.items():
                begun = time.perf_counter()
                said = list(predictor.stream(cases))
                seconds[name].append(time.perf_counter() - begun)
                found[name] = np.array([[one.probabilities.get(label, 0.0) for label in bundle.labels] for one in said])
    return seconds, found


def session(
    network: nn.Module, inputs: tuple[Tensor, ...], names: Sequence[str], folder: Path, *, eight_bit: bool
) -> Callable[..., Tensor]:
    """A network in ONNX Runtime, exported once; calls run in one thread, so that several can run side by side.

    Args:
        network: Its weights decide the file.
        inputs: An example of what it takes, [N, S, S] or [N, T].
        names: Of the inputs.
        folder: Where the exported network is kept.
        eight_bit: Whether the weights of its linear maps become 8-bit integers (dynamic quantisation: what goes in is
            scaled call by call).

    Raises:
        EncoderError: If ONNX Runtime is not installed, or the network cannot be exported.
    """
    try:
        import onnxruntime
    except ImportError as error:
        message = "the engines onnx and int8 need ONNX Runtime; install it with: pip install 'medfuse[fast]'"
        raise EncoderError(message) from error
    network = network.eval()
    path = folder / f"{digest_of(network)[:24]}-{_EXPORT}{'-int8' if eight_bit else ''}.onnx"
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3

    def load() -> Any:
        return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    try:
        session = load()
    except Exception:  # noqa: BLE001 - no such file, or one that is damaged: it is written again
        _export(network, inputs, names, path, eight_bit=eight_bit)
        session = load()

    def run(*given: Tensor) -> Tensor:
        feed = {name: value.contiguous().numpy() for name, value in zip(names, given, strict=True)}
        return torch.from_numpy(session.run(None, feed)[0])

    return run


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
    import logging

    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
