"""`bench classify`: a cohort of large radiographs with long notes, beside the plain loop and the encoders alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch

from medfuse.bench.harness import Report, Settings, Side, alternate
from medfuse.bench.plain import PlainLoop
from medfuse.bench.subjects import default_bundle, radiographs
from medfuse.bundle import Bundle
from medfuse.case import Case
from medfuse.encoders.cache import TokenCache
from medfuse.encoders.cases import CaseEncoder
from medfuse.encoders.text import pad
from medfuse.encoders.threads import budget, torch_threads
from medfuse.imaging import fit_scan, read_scan
from medfuse.inference import Predictor
from medfuse.inference.engines import choose, run_by
from medfuse.notes import model_text, read_note

CASES, ROUNDS, WARM = 512, 3, 8


def run(settings: Settings, progress: Callable[[int], None]) -> Report:
    """Classify the same cases by medfuse, from a warm cache, by the plain loop, and by the encoders alone."""
    count, threads = settings.cases or CASES, settings.threads or budget()
    with settings.folder() as work, torch_threads(threads):
        cases, bundle = radiographs(work / "cases", count=count, seed=settings.seed), default_bundle(work)
        engine = choose(bundle, work / "engines")
        sides, facts = _sides(cases, bundle, engine, work, threads)
        timings = alternate(sides, rounds=settings.rounds or ROUNDS, progress=progress)
        report = Report("classify", tuple(timings))
        shutil.rmtree(work / "tokens", ignore_errors=True)
    quick = f"medfuse, {engine}"
    comparisons = [
        report.compared(quick, "plain loop, batch 1", aim=5),
        report.compared(quick, "plain loop, batch 16", aim=2),
        report.compared(quick, f"encoders alone, {engine}", aim=0.85),
        report.compared("medfuse, warm cache", "plain loop, batch 1", aim=100),
    ]
    if engine != "torch":
        comparisons += [report.compared("medfuse, torch", f"plain loop, batch {batch}") for batch in (1, 16)]
        comparisons.append(report.compared("medfuse, torch", "encoders alone, torch"))
    facts |= {"cases": count, "threads": threads, "engine": engine}
    return Report("classify", tuple(timings), tuple(comparisons), facts)


def _sides(
    cases: Sequence[Case], bundle: Bundle, engine: str, work: Path, threads: int
) -> tuple[list[Side], dict[str, Any]]:
    warm = Predictor(bundle, cache=TokenCache(work / "tokens"), engine="torch")
    sides = [Side("medfuse, warm cache", partial(_classify, warm, cases), warm=partial(_classify, warm, cases))]
    ready = Ready(cases, bundle)
    for name in dict.fromkeys((engine, "torch")):
        predictor = Predictor(bundle, engine="torch")
        run_by(name, predictor.encoder, work / "engines")
        some = partial(_classify, predictor, cases[:WARM])
        sides.append(Side(f"medfuse, {name}", partial(_classify, predictor, cases), warm=some))
        alone = partial(ready.encode, predictor.encoder, threads)
        sides.append(Side(f"encoders alone, {name}", alone))
    for batch in (1, 16):
        plain = PlainLoop(batch=batch, threads=threads)
        first = partial(plain.classify, cases[:WARM])
        sides.append(Side(f"plain loop, batch {batch}", partial(plain.classify, cases), warm=first))
    return sides, {"tokens a note": round(ready.tokens / len(cases))}


def _classify(predictor: Predictor, cases: Sequence[Case]) -> None:
    failed = [one.error for one in predictor.stream(cases) if one.error or len(one.modalities) < 2]
    assert not failed, failed[0]


class Ready:
    """Cases as the encoders take them, read beforehand.

    Args:
        cases: With one scan and one note each.
        bundle: Whose settings and tokenizer prepare them.
    """

    def __init__(self, cases: Sequence[Case], bundle: Bundle) -> None:
        image, text, tokenizer = bundle.config.image, bundle.config.text, bundle.tokenizer
        assert image is not None
        assert text is not None
        assert tokenizer is not None
        self.pixels: list[torch.Tensor] = []
        self.windows: list[list[int]] = []
        for case in cases:
            pixels = fit_scan(read_scan(case.scans[0].path), image.size, equalise=image.equalise).pixels
            self.pixels.append(torch.as_tensor(pixels).reshape(1, image.size, image.size))
            assert case.notes[0].path is not None
            said = model_text(read_note(case.notes[0].path), text)
            self.windows.extend(ids for ids, _ in tokenizer.windows(said))
        self.windows.sort(key=len)
        self.tokens = sum(map(len, self.windows))

    @torch.inference_mode()
    def encode(self, encoder: CaseEncoder, threads: int) -> None:
        """Forward passes and nothing else: a thread takes a scan, or one window of a note, at a time."""
        with torch_threads(1), ThreadPoolExecutor(threads) as pool:
            futures = [pool.submit(self._image, encoder, pixels) for pixels in self.pixels]
            futures += [pool.submit(self._text, encoder, [window]) for window in self.windows]
            for future in futures:
                future.result()

    @staticmethod
    @torch.inference_mode()
    def _image(encoder: CaseEncoder, pixels: torch.Tensor) -> None:
        encoder.encode_pixels(pixels)

    @staticmethod
    @torch.inference_mode()
    def _text(encoder: CaseEncoder, windows: list[list[int]]) -> None:
        encoder.encode_ids(*pad(windows))
