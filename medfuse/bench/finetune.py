"""`bench finetune`: an imaging encoder that learns as a whole, beside a bare PyTorch loop on the same squares.

Both read the scans once before what is timed; an epoch is a pass with gradients over the training split and one
without over the validation split. What medfuse takes an epoch is what a second epoch adds to a training. On a GPU, to
which medfuse copies every batch, the bare loop finds all squares there already and steps in the same precision: it
never waits, so what medfuse takes longer is time that the GPU waits.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from medfuse.bench.harness import Report, Settings, Side, alternate
from medfuse.bench.train import LABELS, labelled, less
from medfuse.case import Case
from medfuse.cohort import Cohort
from medfuse.config import Config, ImageConfig
from medfuse.encoders import build_image_encoder
from medfuse.encoders.threads import torch_threads
from medfuse.imaging import fit_scan, read_scan
from medfuse.training import train

CASES, ROUNDS, SIDE, BATCH = 128, 3, 256, 16


def run(settings: Settings, progress: Callable[[int], None]) -> Report:
    """Tune EfficientNet-Lite0 on the same radiographs in turns."""
    count, threads = settings.cases or CASES, settings.threads or 1
    with settings.folder() as work, torch_threads(threads):
        cohort = labelled(work / "cohort", count, seed=settings.seed, side=SIDE)
        bare = _Bare(cohort)
        sides = [
            Side("one", partial(_fit, cohort, work, 1), warm=partial(_fit, cohort, work, 1)),
            Side("two", partial(_fit, cohort, work, 2)),
            Side("bare loop", bare.epoch, warm=bare.epoch),
        ]
        raw = {one.name: one for one in alternate(sides, rounds=settings.rounds or ROUNDS, progress=progress)}
        shutil.rmtree(work / "tuned")
    timings = (less(raw["two"], raw["one"], "medfuse"), raw["bare loop"])
    report = Report("finetune", timings)
    images = len(cohort.in_split("train"))
    facts = {
        "training images": images,
        "batch": BATCH,
        "device": bare.device,
        "images a second": {one.name: [round(images / value, 1) for value in one.seconds] for one in timings},
        "share of time that the device waits": [
            round(max(0.0, 1 - floor / own), 3)
            for own, floor in zip(timings[0].seconds, timings[1].seconds, strict=True)
        ],
    }
    return Report("finetune", timings, (report.compared("medfuse", "bare loop", aim=0.9),), facts)


def _fit(cohort: Cohort, work: Path, epochs: int) -> None:
    training = {"epochs": epochs, "batch_size": BATCH, "patience": 2}
    given = {"image": {"tune": "full"}, "text": None, "tabular": None, "training": training}
    shutil.rmtree(work / "tuned", ignore_errors=True)
    train(Config.parse(given, source="bench"), cohort, work / "tuned", cache=work / "tokens")


class _Bare:
    """The same network and squares, a linear head, AdamW and nothing else."""

    def __init__(self, cohort: Cohort) -> None:
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.network, _ = build_image_encoder(ImageConfig())
        self.network.to(self.device)
        self.head = torch.nn.Linear(self.network.width, len(LABELS), device=self.device)
        self.optimiser = torch.optim.AdamW([*self.network.parameters(), *self.head.parameters()], lr=2e-5)
        self.training, self.validation = (self._read(cohort.in_split(split)) for split in ("train", "validation"))

    def _read(self, cases: Sequence[Case]) -> tuple[torch.Tensor, torch.Tensor]:
        """Squares [N, S, S] and classes [N]."""
        squares = [fit_scan(read_scan(case.scans[0].path), ImageConfig().size).pixels for case in cases]
        classes = [[case.labels[label] for label in LABELS].index(1) for case in cases]
        pixels = torch.from_numpy(np.stack([np.asarray(one) for one in squares]))
        return pixels.to(self.device), torch.tensor(classes, device=self.device)

    def epoch(self) -> None:
        pixels, classes = self.training
        self.network.eval()  # its statistics stay, as medfuse keeps them
        for rows in torch.split(torch.randperm(len(pixels), device=self.device), BATCH):
            with self._precision():
                loss = cross_entropy(self.head(self.network(pixels[rows]).mean(1)), classes[rows])
            self.optimiser.zero_grad()
            torch.autograd.backward(loss)
            self.optimiser.step()
        with torch.inference_mode(), self._precision():
            for some in torch.split(self.validation[0], BATCH):
                self.head(self.network(some).mean(1))
        if self.device == "cuda":
            torch.cuda.synchronize()

    def _precision(self) -> torch.autocast:
        """What `compute.precision: auto` is: bfloat16 for products on a GPU that has it."""
        new = self.device == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
        return torch.autocast(self.device, torch.bfloat16, enabled=new)
