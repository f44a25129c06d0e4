"""`bench roofline`: what each stage of classifying takes in one thread, beside what this machine cannot go below."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from medfuse.bench.classify import Ready
from medfuse.bench.harness import Report, Settings, Side, Spread, alternate
from medfuse.bench.subjects import default_bundle, radiographs
from medfuse.encoders.text import pad
from medfuse.encoders.threads import torch_threads
from medfuse.evaluation.panels import BLUE, GREY, RUST, Line, Panel, to_svg
from medfuse.imaging import read_fitted
from medfuse.imaging.memory import held
from medfuse.inference import Predictor
from medfuse.inference.engines import ENGINES, run_by

CASES, ROUNDS = 8, 7
_SIDE, _CHANNELS, _PLANE = 1024, 256, 56  # of the product and of the convolution that show what the processor can do
_LOADED = 2**28  # bytes that are added up to show what the memory can do; no cache holds them


@dataclass(frozen=True)
class Stage:
    """A part of the work.

    Attributes:
        name: As in the table.
        work: What is timed, on all cases.
        flops: Of the whole work.
        moved: Bytes that have to come from memory or from a file at least: scans, or the weights once a pass.
        roof: The ceiling of its arithmetic, by the name of a side.
    """

    name: str
    work: Callable[[], object]
    flops: float
    moved: float
    roof: str = ""


def run(settings: Settings, progress: Callable[[int], None]) -> Report:
    """Measure the ceilings and the stages in turns; processor time is compared, which other work disturbs least."""
    count = settings.cases or CASES
    with settings.folder() as work, torch_threads(1):
        bundle = default_bundle(work)
        cases = radiographs(work / "cases", count=count, seed=settings.seed)
        ready = Ready(cases, bundle)
        paths = [case.scans[0].path for case in cases]
        stages = [Stage("scan: file to tensor", partial(_read, paths, ready.pixels[0].shape[-1]), 0, _size(paths))]
        for engine in ENGINES:
            predictor = Predictor(bundle, engine="torch")
            image, text = _counted(predictor, ready)
            run_by(engine, predictor.encoder, work / "engines")
            if engine != "int8":  # its images are those of onnx, and no ceiling of 8 bits is measured here
                stages.append(
                    Stage(f"scan: encoder, {engine}", partial(_scans, predictor, ready), *image, "convolution")
                )
                roof = "product, bfloat16" if engine == "openvino" else "product"
                stages.append(Stage(f"note: encoder, {engine}", partial(_notes, predictor, ready), *text, roof))
        ceilings, amounts = _ceilings(paths)
        sides = [*ceilings, *(Side(stage.name, stage.work, warm=stage.work) for stage in stages)]
        timings = alternate(sides, rounds=settings.rounds or ROUNDS, progress=progress)
    seconds = {timing.name: Spread.of(timing.cpu).median for timing in timings}
    rates = {name: amount / seconds[name] for name, amount in amounts.items()}
    facts: dict[str, object] = {"cases": count, "threads": 1}
    for name, rate in rates.items():
        facts[name] = f"{rate / 1e9:.4g} {'GB/s' if name in ('file', 'memory') else 'GFLOP/s'}"
    for stage in stages:
        least = floor(stage, rates)
        facts[stage.name] = (
            f"{seconds[stage.name] / count * 1e3:.3g} ms a case, at least {least / count * 1e3:.3g} ms: "
            f"{least / seconds[stage.name]:.0%} of what the machine can do"
        )
    return Report("roofline", tuple(timings), facts=facts, figure=drawn(stages, rates, seconds))


def floor(stage: Stage, rates: Mapping[str, float]) -> float:
    """Seconds that a stage takes at least: its bytes or its arithmetic at the measured ceiling, whichever is longer.

    Source: Williams, Waterman & Patterson 2009, "Roofline", Communications of the ACM 52(4), equation in section 3.
    """
    source = "memory" if stage.flops else "file"
    return max(stage.moved / rates[source], stage.flops / rates[stage.roof] if stage.flops else 0.0)


def drawn(stages: Sequence[Stage], rates: Mapping[str, float], seconds: Mapping[str, float]) -> str:
    """The roofline plot as SVG, both axes in powers of ten; the points tell their names under the pointer."""
    computed = [stage for stage in stages if stage.flops]
    across = np.linspace(-1, 4, 60)
    lines = []
    for roof in ("product, bfloat16", "product", "convolution"):
        height = np.minimum(across + math.log10(rates["memory"]), math.log10(rates[roof])) - 9
        lines.append(Line(across.tolist(), height.tolist(), roof, GREY, dashed=roof == "convolution"))
    for kind, colour in (("scan", BLUE), ("note", RUST)):
        mine = [stage for stage in computed if stage.name.startswith(kind)]
        lines.append(
            Line(
                [math.log10(stage.flops / stage.moved) for stage in mine],
                [math.log10(stage.flops / seconds[stage.name]) - 9 for stage in mine],
                kind,
                colour,
                points=True,
                notes=[stage.name for stage in mine],
            )
        )
    panel = Panel("one thread", lines, ("log₁₀ FLOP per byte", -1, 4), ("log₁₀ GFLOP/s", 0, 4))
    return to_svg([panel], name="roofline")


def _ceilings(paths: Sequence[Path]) -> tuple[list[Side], dict[str, float]]:
    """What shows the machine's limits, and how many bytes or operations each of them is."""
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(_SIDE, _SIDE, generator=generator) for _ in range(2))
    short = one.bfloat16(), other.bfloat16()
    plane = torch.randn(1, _CHANNELS, _PLANE, _PLANE, generator=generator).contiguous(memory_format=torch.channels_last)
    kernel = torch.randn(_CHANNELS, _CHANNELS, 1, 1, generator=generator)
    loaded = torch.ones(_LOADED // 4)
    works: dict[str, tuple[Callable[[], object], float]] = {
        "file": (lambda: [held(path) for path in paths], _size(paths)),
        "memory": (loaded.sum, _LOADED),
        "product": (partial(torch.mm, one, other), 2 * _SIDE**3),
        "product, bfloat16": (partial(torch.mm, *short), 2 * _SIDE**3),
        "convolution": (partial(torch.conv2d, plane, kernel), 2 * _CHANNELS**2 * _PLANE**2),
    }
    sides = [Side(name, partial(_unlearned, work), warm=partial(_unlearned, work)) for name, (work, _) in works.items()]
    return sides, {name: amount for name, (_, amount) in works.items()}


@torch.inference_mode()
def _unlearned(work: Callable[[], object]) -> None:
    work()


def _size(paths: Sequence[Path]) -> float:
    return float(sum(path.stat().st_size for path in paths))


def _read(paths: Sequence[Path], size: int) -> None:
    for path in paths:
        read_fitted(path, size, sha256="0" * 64)


@torch.inference_mode()
def _scans(predictor: Predictor, ready: Ready) -> None:
    for pixels in ready.pixels:
        predictor.encoder.encode_pixels(pixels)


@torch.inference_mode()
def _notes(predictor: Predictor, ready: Ready) -> None:
    for window in ready.windows:
        predictor.encoder.encode_ids(*pad([window]))


def _counted(predictor: Predictor, ready: Ready) -> tuple[tuple[float, float], tuple[float, float]]:
    """Operations and least bytes of encoding all scans and all notes: weights, but no word tables, once a pass."""
    found = []
    for encoder, work, passes in (
        (predictor.encoder.image, _scans, len(ready.pixels)),
        (predictor.encoder.text, _notes, len(ready.windows)),
    ):
        assert encoder is not None
        with FlopCounterMode(display=False) as counter, _written_out():
            work(predictor, ready)
        tables = {id(part.weight) for part in encoder.modules() if isinstance(part, torch.nn.Embedding)}
        weights = sum(one.numel() * one.element_size() for one in encoder.parameters() if id(one) not in tables)
        found.append((float(counter.get_total_flops()), float(weights * passes)))
    return found[0], found[1]


@contextmanager
def _written_out() -> Iterator[None]:
    """Without torch's fused layers, into which its counter does not see."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)
