"""`bench encode`: each engine on ready tensors in one thread, the text encoder at batch 1, 4 and 16."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from medfuse.bench.classify import Ready
from medfuse.bench.harness import Report, Settings, Side, alternate
from medfuse.bench.subjects import default_bundle, radiographs
from medfuse.encoders.cases import CaseEncoder
from medfuse.encoders.text import pad
from medfuse.encoders.threads import torch_threads
from medfuse.inference import Predictor
from medfuse.inference.engines import ENGINES, run_by

CASES, ROUNDS = 16, 7


def run(settings: Settings, progress: Callable[[int], None]) -> Report:
    """Encode the same scans one by one and the same notes in batches by torch and by each other engine."""
    count = settings.cases or CASES
    with settings.folder() as work, torch_threads(settings.threads or 1):
        bundle = default_bundle(work)
        ready = Ready(radiographs(work / "cases", count=count, seed=settings.seed, side=512), bundle)
        sides = []
        for engine in ENGINES:
            encoder = Predictor(bundle, engine="torch").encoder
            run_by(engine, encoder, work / "engines")
            if engine != "int8":  # whose images are those of onnx
                sides.append(_side(f"scans one by one, {engine}", partial(_scans, encoder, ready)))
            sides += [
                _side(f"notes, batch {batch}, {engine}", partial(_notes, encoder, ready, batch)) for batch in (1, 4, 16)
            ]
        timings = alternate(sides, rounds=settings.rounds or ROUNDS, progress=progress)
    report = Report("encode", tuple(timings))
    comparisons = [
        report.compared(f"scans one by one, {engine}", "scans one by one, torch") for engine in ("onnx", "openvino")
    ]
    for engine in ENGINES[1:]:
        comparisons += [
            report.compared(
                f"notes, batch {batch}, {engine}",
                f"notes, batch {batch}, torch",
                aim=2 if batch == 16 and engine != "onnx" else None,
            )
            for batch in (1, 4, 16)
        ]
    facts = {"cases": count, "threads": settings.threads or 1, "windows": len(ready.windows), "tokens": ready.tokens}
    return Report("encode", tuple(timings), tuple(comparisons), facts)


def _side(name: str, work: Callable[[], None]) -> Side:
    return Side(name, work, warm=work)


@torch.inference_mode()
def _scans(encoder: CaseEncoder, ready: Ready) -> None:
    for pixels in ready.pixels:
        encoder.encode_pixels(pixels)


@torch.inference_mode()
def _notes(encoder: CaseEncoder, ready: Ready, batch: int) -> None:
    for start in range(0, len(ready.windows), batch):
        encoder.encode_ids(*pad(ready.windows[start : start + batch]))
