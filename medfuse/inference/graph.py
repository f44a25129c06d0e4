"""All that comes after the encoders as one function of plain tensors, so that it can be exported as one graph."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from medfuse.encoders import Encoded, ImageEncoder, TextEncoder
from medfuse.encoders.cache import half
from medfuse.encoders.cases import is_frozen
from medfuse.model import DiagnosisModel, Padded, collate, patterns

if TYPE_CHECKING:
    from torch import Tensor

    from medfuse.case import Modality


class HeadGraph(nn.Module):
    """Reduction, projections, fusion and classifier of every head, and the mean of their logits.

    One graph serves every pattern of modalities, in two ways. What a case lacks is masked, whatever the others of the
    batch have. And the answer comes for each pattern, as if only its modalities were there, so that one run tells what
    each of them contributes.

    Args:
        model: Its weights are shared, not copied.

    Attributes:
        names: Of the inputs, in the order of `forward`: `image` [B, L, D] and `image_mask` [B, L], `text` and
            `text_mask` likewise, `values` [B, C]; those of modalities that the model does not use are not there.
    """

    def __init__(self, model: DiagnosisModel) -> None:
        super().__init__()
        self.heads, self.reductions = model.heads, model.reductions
        self.register_buffer("offset", model.offset)
        self._model = (model,)  # in a tuple, so that its encoders are no part of this
        names: list[str] = []
        for name in model.modalities:
            names += ["values"] if name == "tabular" else [name, f"{name}_mask"]
        self.names = tuple(names)
        self.eval()

    @property
    def model(self) -> DiagnosisModel:
        """The model."""
        return self._model[0]

    @property
    def settings(self) -> str:
        """What besides the weights decides the graph."""
        config, model = self.model.config, self.model
        frozen = [is_frozen(config, name) for name in model.modalities]
        return repr((config.fusion, config.training.loss, model.parents, model.task, model.columns, self.names, frozen))

    def inputs(self, batch: Mapping[Modality, Padded]) -> tuple[Tensor, ...]:
        """The inputs of a padded batch (see `collate`); encoders that learned are run by torch."""
        return self.arranged(self.model.tokens(batch), self.model.values(batch))

    def arranged(self, tokens: Mapping[Modality, Encoded], values: Tensor | None) -> tuple[Tensor, ...]:
        """Tokens as encoders give them, and encoded values [B, C], in the order of `names`."""
        given: dict[str, Tensor] = {}
        for name, part in tokens.items():
            given |= {name: part.tokens.float(), f"{name}_mask": part.mask}
        if values is not None:
            given["values"] = values
        return tuple(given[name] for name in self.names)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [B, 2^M, C] in the order of `medfuse.model.patterns`, and the fused vectors [B, D] with all parts."""
        model, given = self.model, dict(zip(self.names, inputs, strict=True))
        tokens: dict[Modality, Encoded] = {
            name: Encoded.of(self._kept(name, given[name]), given[f"{name}_mask"])
            for name in model.modalities
            if name != "tabular"
        }
        projected = model.prepare(tokens, given.get("values"))
        found = []
        for pattern in patterns(model.modalities):
            outputs = [head(_only(part, pattern)) for head, part in zip(self.heads, projected, strict=True)]
            # In double precision, because a runtime may take log(1 + z) by the letter.
            found.append(torch.stack([model.meant(output.logits.double()) for output in outputs]).mean(0))
        return torch.stack(found, dim=1).float(), torch.cat([output.vector for output in outputs], dim=1)

    def _kept(self, name: Modality, tokens: Tensor) -> Tensor:
        """Tokens of a frozen encoder as they are kept, so that they may come straight from it or from the cache."""
        return half(tokens).float() if is_frozen(self.model.config, name) else tokens


def _only(projected: Mapping[Modality, Encoded], pattern: Sequence[Modality]) -> dict[Modality, Encoded]:
    """The same without the modalities that are not of the pattern, of whatever size the batch is."""
    return {
        name: part
        if name in pattern
        else Encoded(torch.zeros_like(part.tokens[:, :1]), torch.zeros_like(part.mask[:, :1]))
        for name, part in projected.items()
    }


@torch.no_grad()
def probes(graph: HeadGraph) -> list[tuple[Tensor, ...]]:
    """Inputs on which a graph is compared with torch: noise that went through the encoders.

    The first is a batch of two cases with everything, which is traced. Then follow every pattern of modalities by
    itself, with one scan and a short note and with several and a long one, and all of these in one batch.
    """
    model, draw = graph.model, torch.Generator().manual_seed(0)
    whole: dict[Modality, tuple[Tensor, int]] = {}  # tokens [L, D], and how many there are of one scan or window
    if model.image is not None:
        assert model.config.image is not None
        found = model.image(torch.rand(2, *model.config.image.input_shape, generator=draw))
        whole["image"] = found.flatten(0, 1), found.shape[1]
    if model.text is not None:
        found = model.text(*windows(model.text, draw))
        whole["text"] = found.flatten(0, 1), found.shape[1]
    numbers = torch.randn(len(model.columns), generator=draw)
    values = torch.tensor([0.0 if c.categories else float(n) for c, n in zip(model.columns, numbers, strict=True)])

    def case(pattern: Sequence[Modality], count: int) -> dict[Modality, Tensor]:
        parts: dict[Modality, Tensor] = {
            name: tokens[: length * count] for name, (tokens, length) in whole.items() if name in pattern
        }
        if "tabular" in pattern:
            parts["tabular"] = values
        return parts

    every = patterns(model.modalities)
    alone = [[case(pattern, count)] for pattern in every for count in (1, 2)]
    batches = [[case(every[-1], 1), case(every[-1], 2)], *alone, [one for batch in alone for one in batch]]
    return [_of_parts(graph, batch) for batch in batches]


def windows(encoder: TextEncoder, draw: torch.Generator, *, count: int = 2, length: int = 12) -> tuple[Tensor, Tensor]:
    """Windows of words drawn at random, ids and mask [count, length]; the last is half padding."""
    words = next(part.num_embeddings for part in encoder.modules() if isinstance(part, nn.Embedding))
    mask = torch.ones(count, length, dtype=torch.bool)
    mask[-1, length // 2 :] = False
    return torch.randint(min(2, words - 1), words, (count, length), generator=draw), mask


def _of_parts(graph: HeadGraph, parts: Sequence[Mapping[Modality, Tensor]]) -> tuple[Tensor, ...]:
    """Inputs from the tokens [L, D] and values [C] of cases."""
    model = graph.model
    batch = collate(parts, model.modalities)
    encoders: dict[Modality, ImageEncoder | TextEncoder | None] = {"image": model.image, "text": model.text}
    tokens: dict[Modality, Encoded] = {}
    for name, encoder in encoders.items():
        if encoder is not None:
            values, mask = batch[name]
            tokens[name] = Encoded(values if values.ndim == 3 else torch.zeros(*mask.shape, encoder.width), mask)
    return graph.arranged(tokens, model.values(batch))
