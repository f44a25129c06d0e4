"""What runs a bundle: torch, ONNX Runtime or OpenVINO.

Scans go through in single precision with every engine. Notes do so with `onnx`; `int8` takes 8-bit weights for them,
and `openvino` products of bfloat16 where the processor has them, which differ less from single precision than 8 bits.
What comes after the encoders is ONNX Runtime's in single precision with `onnx` and `int8`, else torch's.

A network that is exported in single precision is held to torch when it is exported (`medfuse.inference.onnx`). An
engine as a whole is judged by what it changes: the probabilities of a few phantoms. `auto` takes the fastest that
changes none by more than `PARITY`, and remembers it for the bundle and this machine.
"""

from __future__ import annotations

import contextlib
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from medfuse.bundle import Bundle
from medfuse.cohort import Cohort
from medfuse.encoders.bert import Bert
from medfuse.encoders.cases import CaseEncoder
from medfuse.encoders.threads import processor, remember, remembered
from medfuse.errors import EncoderError
from medfuse.model import Decided, DiagnosisModel, collate, decide_all

if TYPE_CHECKING:
    from torch import Tensor

    from medfuse.case import Modality
    from medfuse.inference.session import Precision, Runtime

Decide = Callable[[Sequence[Mapping["Modality", "Tensor"]]], Decided]

ENGINES = ("torch", "onnx", "int8", "openvino")
PARITY = 0.01  # most that a probability may differ from torch's
PROBES = 16  # phantoms that an engine is judged by
_OF_NOTES: dict[str, Precision] = {"onnx": "f32", "int8": "int8", "openvino": "bf16"}
ROUNDS = 3  # times that each engine classifies them


def run_by(engine: str, encoder: CaseEncoder, folder: Path) -> None:
    """Let an engine run the frozen encoders of a CaseEncoder.

    Text encoders other than BERT, and those that learn, stay with torch.

    Args:
        engine: One of `ENGINES`.
        encoder: What encodes cases.
        folder: Where exported networks are kept.

    Raises:
        EncoderError: If what runs it is not installed, or a network cannot be exported or says something else there.
    """
    if engine not in ENGINES:
        message = f"no engine '{engine}'; there are {', '.join(ENGINES)} and auto"
        raise EncoderError(message)
    if engine == "torch":
        return
    from medfuse.inference.onnx import image_graph, text_graph
    from medfuse.inference.session import session

    by: Runtime = "openvino" if engine == "openvino" else "onnx"
    image = text = None
    if encoder.image is not None:
        assert encoder.config.image is not None
        image = session(image_graph(encoder.image, encoder.config.image.input_shape), folder, by=by)
    if encoder.text is not None and isinstance(encoder.text.network, Bert):
        text = session(text_graph(encoder.text), folder, by=by, precision=_OF_NOTES[engine])
    encoder.use(engine, image=_first(image), text=_first(text))


def _first(run: Callable[..., tuple[Tensor, ...]] | None) -> Callable[..., Tensor] | None:
    return None if run is None else lambda *given: run(*given)[0]


def heads_by(engine: str, model: DiagnosisModel, folder: Path) -> Decide:
    """What decides cases from their parts: ONNX Runtime for `onnx` and `int8`, in single precision; torch for others.

    Args:
        engine: One of `ENGINES`.
        model: The model.
        folder: Where exported networks are kept.

    Raises:
        EncoderError: If what runs it is not installed, or the heads cannot be exported or say something else there.
    """
    if engine not in ("onnx", "int8"):
        return partial(decide_all, model)
    from medfuse.inference.graph import HeadGraph
    from medfuse.inference.onnx import head_graph
    from medfuse.inference.session import session

    graph = HeadGraph(model)
    run = session(head_graph(graph), folder)

    @torch.inference_mode()
    def decide(parts: Sequence[Mapping[Modality, Tensor]]) -> Decided:
        logits, vector = run(*graph.inputs(collate(parts, model.modalities)))
        present = np.array([[name in one for name in model.modalities] for one in parts], dtype=bool)
        return Decided(logits.double().numpy(), present, vector.double().numpy())

    return decide


def choose(bundle: Bundle, folder: Path) -> str:
    """The fastest engine on this machine that passes parity; torch where no other is installed.

    It is judged anew when engines are installed or updated.

    Args:
        bundle: The bundle.
        folder: Where exported networks and the choice are kept.
    """
    installed = [f"{name} {version(name)}" for name in ("torch", "onnx", "onnxruntime", "openvino") if find_spec(name)]
    if len(installed) == 1:
        return "torch"
    key = f"{bundle.digest} {', '.join(installed)}, {processor()}"
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
                predictor.use(name, folder)
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
