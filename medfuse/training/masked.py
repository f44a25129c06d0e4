"""Masked-language pretraining: a BERT-like encoder fills in hidden words of notes that may have no labels at all.

Devlin et al. 2019, "BERT", NAACL (arXiv:1810.04805), section 3.1: of the chosen tokens 80 % become `[MASK]`, 10 %
another token, 10 % stay. Continued on text of the domain: Gururangan et al. 2020, "Don't Stop Pretraining", ACL
(arXiv:2004.10964). The network is transformers' own with its language head, so that the folder is a checkpoint like any
other.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from lightning.pytorch import LightningModule
from torch.utils.data import DataLoader

from medfuse.config import PretrainingConfig, TextConfig
from medfuse.encoders.text import NoteTokenizer, pad, read_tokenizer, text_folder
from medfuse.errors import EncoderError
from medfuse.training.steps import Order

if TYPE_CHECKING:
    from jaxtyping import Bool, Int
    from torch import Tensor

IGNORED = -100  # the target at which torch's cross-entropy expects nothing


class Masked(LightningModule):  # type: ignore[misc]  # Lightning is not typed here
    """How a network with a language head learns.

    Args:
        text: Names the checkpoint to start from.
        config: Of the pretraining.
        steps: Steps of the whole training, for the schedule.
        seed: Of the masks.

    Raises:
        EncoderError: If the checkpoint has no language head that transformers knows, or no `[MASK]`.
    """

    def __init__(self, text: TextConfig, config: PretrainingConfig, *, steps: int, seed: int) -> None:
        super().__init__()
        folder = text_folder(text)
        self.tokenizer = NoteTokenizer(read_tokenizer(folder), window=text.window, overlap=text.overlap)
        mask = next((i for name in ("[MASK]", "<mask>") if (i := self.tokenizer.tokenizer.token_to_id(name))), None)
        self.network = language_network(folder)
        if mask is None:
            message = f"'{folder.name}' has no [MASK] in its vocabulary, so there is nothing to fill in"
            raise EncoderError(message)
        self.mask, self.vocabulary = mask, int(self.network.config.vocab_size)
        self.config, self.steps, self.seed = config, steps, seed

    def windows(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of every window of some texts, those without a word left out."""
        found = [window for text in texts if text.strip() for window in self.tokenizer.windows(text)]
        return [ids for ids, kept in found if any(kept)]

    def loader(self, windows: Sequence[list[int]], *, seed: int | None) -> DataLoader:
        """Batches of windows (ids and mask [B, T]), shuffled if there is a seed."""
        order = None if seed is None else Order(len(windows), seed)
        return DataLoader(windows, batch_size=self.config.batch_size, sampler=order, collate_fn=pad)  # type: ignore[arg-type]

    def training_step(self, batch: tuple[Tensor, Tensor], _: int) -> Tensor:
        """The mean log loss of the hidden tokens."""
        torch.manual_seed(self.seed * 100_003 + self.global_step)
        loss = self._loss(*batch, seed=self.seed * 100_003 + self.global_step)
        self.log("training_loss", loss, on_epoch=True, on_step=False, batch_size=len(batch[0]))
        return loss

    def validation_step(self, batch: tuple[Tensor, Tensor], number: int) -> None:
        """The same on held-out notes, under masks that are the same every time."""
        self.log("held_loss", self._loss(*batch, seed=number), batch_size=len(batch[0]))

    def configure_optimizers(self) -> dict[str, Any]:
        """AdamW under a one-cycle schedule."""
        optimiser = torch.optim.AdamW(self.network.parameters(), lr=self.config.learning_rate, weight_decay=0.01)
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimiser, max_lr=self.config.learning_rate, total_steps=max(2, self.steps), pct_start=0.1
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def write(self, folder: Path) -> dict[str, str]:
        """Leave the checkpoint as transformers does, with its tokenizer; by the config's key, where it lies."""
        self.network.save_pretrained(folder / "text")
        (folder / "text" / "tokenizer.json").write_text(self.tokenizer.to_json(), encoding="utf-8")
        return {"text.weights": "text"}

    def _loss(self, ids: Tensor, mask: Tensor, *, seed: int) -> Tensor:
        shown, wanted = hide(
            ids.cpu(), mask.cpu(), share=self.config.mask, mask_id=self.mask, vocabulary=self.vocabulary, seed=seed,
            special=self._special(),
        )  # fmt: skip
        logits = self.network(input_ids=shown.to(ids.device), attention_mask=mask.long()).logits
        loss: Tensor = torch.nn.functional.cross_entropy(logits.flatten(0, 1), wanted.flatten().to(ids.device))
        return loss

    def _special(self) -> Tensor:
        known = self.tokenizer.tokenizer.get_added_tokens_decoder()
        return torch.tensor([number for number, token in known.items() if token.special], dtype=torch.long)


def hide(
    ids: Int[Tensor, "n t"],
    mask: Bool[Tensor, "n t"],
    *,
    share: float,
    mask_id: int,
    vocabulary: int,
    special: Int[Tensor, " s"],
    seed: int,
) -> tuple[Int[Tensor, "n t"], Int[Tensor, "n t"]]:
    """Ids with a share of the words hidden [N, T], and what they were, `IGNORED` elsewhere [N, T]; one at least.

    Args:
        ids: Token ids.
        mask: False where there is padding.
        share: Of the words to be filled in.
        mask_id: Id of the token that hides.
        vocabulary: Ids that a word may be replaced by.
        special: Ids that are no words.
        seed: Of the draw.
    """
    generator = torch.Generator().manual_seed(seed)
    words = mask & ~torch.isin(ids, special)
    luck = torch.rand(ids.shape, generator=generator).masked_fill(~words, 2.0)
    chosen = (luck < share) | ((luck == luck.min()) & words)
    fate = torch.rand(ids.shape, generator=generator)
    other = torch.randint(vocabulary, ids.shape, generator=generator)
    shown = torch.where(chosen & (fate < 0.8), mask_id, ids)
    shown = torch.where(chosen & (fate >= 0.9), other, shown)
    return shown, torch.where(chosen, ids, IGNORED)


def language_network(folder: Path) -> Any:
    """A checkpoint with its language head; a head that the checkpoint lacks starts from nothing.

    Raises:
        EncoderError: If transformers knows no such head for it, or the encoder itself lacks a tensor.
    """
    from transformers import AutoModelForMaskedLM
    from transformers.utils import logging

    logging.set_verbosity_error()  # it tells of the head, which is as expected
    logging.disable_progress_bar()
    try:
        network, found = AutoModelForMaskedLM.from_pretrained(
            folder, output_loading_info=True, local_files_only=True, trust_remote_code=False
        )
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        message = f"'{folder.name}' cannot be pretrained on masked words ({type(error).__name__}); take a BERT-like one"
        raise EncoderError(message) from error
    lacking = [name for name in found["missing_keys"] if name.startswith(f"{network.base_model_prefix}.")]
    if lacking:
        message = f"the weights '{folder.name}' lack {len(lacking)} tensors (first: {lacking[0]})"
        raise EncoderError(message)
    return network
