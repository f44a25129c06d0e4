"""What the words of the notes say: attributions of tokens, merged to words and sentences of the whole note."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from medfuse.case import Note
from medfuse.config import TextConfig
from medfuse.encoders import Encoded, TextEncoder
from medfuse.encoders.text import pad
from medfuse.encoders.word_vectors import WordVectors
from medfuse.explain.aim import Aim
from medfuse.explain.copies import structure_of
from medfuse.explain.explanation import NoteWords, Stretch
from medfuse.explain.tokens import Tokens, logits_of, repeated
from medfuse.fusion.experts import ExpertsFusion
from medfuse.model import DiagnosisModel
from medfuse.notes import by_time, model_places, model_text

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from numpy import ndarray
    from torch import Tensor

    from medfuse.bundle import Bundle

STEPS = 16  # of integrated gradients, Gauss-Legendre; the sum then is off by about a hundredth
_TOKENS = 2048  # padded tokens in one pass

_WORD = re.compile(r"\w+(?:[.,'’/-]\w+)*")
_SENTENCE = re.compile(r"[^\s](?:[^.!?;\n]|[.!?;](?!\s|$))*[.!?;]?")


@dataclass(frozen=True)
class SeenNotes:
    """The notes of a case as windows, with all else of the case held as it is.

    Attributes:
        model: The model.
        ids: Token ids [W, T].
        mask: False [W, T] where a window is padded.
        kept: True [W, T] for tokens that become tokens of the case; the others are read for context.
        places: Place of each token in the text that was read, start and end [W, T, 2]; equal for special tokens.
        blank: The id of a token that says nothing.
        others: Tokens of the other modalities.
        aim: What is explained.
    """

    model: DiagnosisModel
    ids: Int[Tensor, "w t"]
    mask: Bool[Tensor, "w t"]
    kept: Bool[Tensor, "w t"]
    places: Int[ndarray, "w t 2"]
    blank: int
    others: Tokens
    aim: Aim

    @property
    def linear(self) -> bool:
        """Whether what is explained is linear in the word vectors, so that the attributions are exact."""
        encoder, head = self.model.text, self.model.heads[0]
        return (
            encoder is not None
            and isinstance(encoder.network, WordVectors)
            and isinstance(head.fusion, ExpertsFusion)
            and self.aim.target == "logit"
        )

    def score(self, vectors: Float[Tensor, "b w t d"]) -> Float[Tensor, " b"]:
        """What is explained, of tokens as the encoder gives them for several versions of the notes."""
        own = vectors[:, self.kept].float()
        if "text" in self.model.reductions:
            own = self.model.reductions["text"](own)
        encoded, values = repeated(self.model, self.others, len(own))
        encoded["text"] = Encoded(own, torch.ones(own.shape[:2], dtype=torch.bool))
        return self.aim(logits_of(self.model, encoded, values))


def seen_notes(
    bundle: Bundle, notes: Sequence[Note | None], others: Tokens, aim: Aim, *, at: str | None
) -> SeenNotes | None:
    """The notes as the model reads them; None if it reads nothing of them. `at` is the time of their case."""
    config, tokenizer = bundle.config.text, bundle.tokenizer
    if config is None or tokenizer is None:
        return None
    text = read_text(notes, config=config, at=at)[0]
    if not text:
        return None
    windows = tokenizer.windows(text)[: config.max_windows]
    if not any(any(kept) for _, kept in windows):
        return None
    ids, mask = pad([window for window, _ in windows])
    kept = torch.zeros_like(mask)
    found = np.zeros((*ids.shape, 2), dtype=int)
    for row, ((_, own), offsets) in enumerate(zip(windows, tokenizer.offsets(text), strict=False)):
        kept[row, : len(own)] = torch.tensor(own)
        found[row, : len(offsets)] = offsets
    known = (tokenizer.tokenizer.token_to_id(name) for name in ("[MASK]", "<mask>", "[UNK]", "<unk>"))
    blank = next((token for token in known if token is not None), 0)
    return SeenNotes(bundle.model, ids, mask, kept, found, blank, others, aim)


def read_text(notes: Sequence[Note | None], *, config: TextConfig, at: str | None) -> tuple[str, list[tuple[int, int]]]:
    """What the model reads of a case's notes, and for each character the note and the place in it (-1: none).

    `at` is the time of their case.
    """
    text, origin = "", []
    there = [(number, note) for number, note in enumerate(notes) if note is not None]
    for number, note in (there[place] for place in by_time([note for _, note in there])):
        if not (selected := model_text(note, config, at=at)):
            continue
        if text:
            text += "\n\n"
            origin += [(-1, -1), (-1, -1)]
        text += selected
        origin += [(number, place) if place >= 0 else (-1, -1) for place in model_places(note, config, at=at)]
    return text, origin


def token_attributions(seen: SeenNotes, *, steps: int = STEPS) -> Float[ndarray, "w t"]:
    """What each token adds, against a note of nothing but tokens that say nothing.

    Integrated gradients (Sundararajan et al. 2017, arXiv:1703.01365, equation 1) over the network's word vectors; the
    sum is what is said of the notes less what is said of the empty ones. Where the model is linear in the word vectors
    one step is exact.
    """
    from captum.attr import IntegratedGradients

    assert seen.model.text is not None
    encoder, given = _opened(seen.model.text)
    special = torch.from_numpy(seen.places[..., 0] == seen.places[..., 1])
    ids = seen.ids
    words = given.words
    with torch.no_grad():
        vectors = words(ids).unsqueeze(0)
        blank = words(torch.where(special, ids, seen.blank)).unsqueeze(0)

    def forward(embedded: Tensor) -> Tensor:
        count = len(embedded)
        given.vectors = embedded.flatten(0, 1)
        found = encoder(ids.repeat(count, 1), seen.mask.repeat(count, 1))
        return seen.score(found.unflatten(0, (count, -1)))

    found = IntegratedGradients(forward).attribute(
        vectors,
        baselines=blank,
        n_steps=1 if seen.linear else steps,
        internal_batch_size=max(1, _TOKENS // ids.numel()),
    )
    return np.asarray(found.detach()[0].sum(-1).double().numpy())


class _Given(nn.Module):
    """In the place of a table of word vectors: gives the vectors that it was given."""

    def __init__(self, words: nn.Module) -> None:
        super().__init__()
        self.words = words
        self.vectors: Any = None

    def forward(self, ids: Tensor) -> Tensor:  # noqa: ARG002 - they are known already
        vectors: Tensor = self.vectors
        return vectors


def _opened(encoder: TextEncoder) -> tuple[TextEncoder, _Given]:
    """A copy of the encoder whose word vectors can be given."""
    network: Any = encoder.network
    table = network.words if hasattr(network, "words") else network.body.get_input_embeddings()
    name = next(name for name, module in encoder.named_modules() if module is table)
    copied = structure_of(encoder)
    given = _Given(copied.get_submodule(name))
    parent, _, last = name.rpartition(".")
    setattr(copied.get_submodule(parent), last, given)
    return copied, given


def note_words(
    seen: SeenNotes,
    notes: Sequence[Note | None],
    attribution: Float[ndarray, "w t"],
    *,
    config: TextConfig,
    at: str | None,
) -> tuple[NoteWords, ...]:
    """Attributions of tokens, merged to the words and sentences of the whole notes; what is no word is left out.

    A token that stands in two windows counts with both. Words that no window holds have no attribution, and neither
    has what stands before a note to say when it was written.
    """
    text, origin = read_text(notes, config=config, at=at)
    by_character: dict[tuple[int, int], float] = {}
    for (start, end), share in zip(seen.places.reshape(-1, 2), attribution.reshape(-1), strict=True):
        while start < end and (origin[start][0] < 0 or text[start].isspace()):
            start += 1
        if start < end:
            by_character[origin[start]] = by_character.get(origin[start], 0.0) + float(share)
    found = []
    for number, note in enumerate(notes):
        own = {place: share for (of, place), share in by_character.items() if of == number}
        if note is None or not own:
            continue
        whole = note.text or ""
        words = tuple(_filled(_WORD.finditer(whole), own))
        by_word = {word.start: word.attribution for word in words}
        sentences = tuple(_filled(_SENTENCE.finditer(whole), by_word))
        name = note.path.name if note.path else ""
        method = "linear" if seen.linear else "integrated_gradients"
        found.append(NoteWords(number, name, whole, words, sentences, method))
    return tuple(found)


def _filled(stretches: Iterator[re.Match[str]], shares: dict[int, float]) -> Iterator[Stretch]:
    """The stretches in which something stands, with the sum of it."""
    places = np.array(sorted(shares))
    sums = np.concatenate([[0.0], np.cumsum([shares[place] for place in sorted(shares)])])
    for match in stretches:
        first, last = np.searchsorted(places, [match.start(), match.end()])
        if last > first:
            yield Stretch(match.start(), match.end(), float(sums[last] - sums[first]))
