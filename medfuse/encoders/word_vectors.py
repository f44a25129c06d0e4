"""Word vectors from the cohort's own notes: latent semantic analysis, for cohorts too small to learn anything larger.

The mean of a note's vectors is its TF-IDF vector in the directions that the training notes span, so that a linear model
on it is one on TF-IDF.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray
    from tokenizers import Tokenizer
    from torch import Tensor

MOST = 256  # width of a vector, where there are as many notes
SAMPLE = 2000  # notes; more hardly move the leading directions
_LEAST_NOTES = 2  # in which a word has to stand to have a vector


class WordVectors(nn.Module):
    """One vector a word, whatever stands around it.

    Args:
        vocabulary: Words.
        width: Width of a vector.
    """

    def __init__(self, vocabulary: int, width: int) -> None:
        super().__init__()
        self.words = nn.Embedding(vocabulary, width)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:  # noqa: ARG002 - the surroundings do not matter
        """Vectors [N, T, width] of ids [N, T]."""
        vectors: Tensor = self.words(ids)
        return vectors


def learn_word_vectors(notes: Sequence[str], tokenizer: Tokenizer) -> Float[Tensor, "v d"]:
    r"""$x_w = \mathrm{idf}_w V_w$ [V, D], $V$ the right singular vectors of the notes' TF-IDF matrix $T = U Σ V^⊤$.

    $T_{nw}$ is the share of word w in note n times $\mathrm{idf}_w = \ln\frac{1 + N}{1 + n_w} + 1$, $n_w$ being the
    number of notes that w stands in, and $D$ is at most `MOST`. A word of fewer than two notes is 0. Source: Deerwester
    et al. 1990, "Indexing by Latent Semantic Analysis", JASIS 41(6); the idf is that of scikit-learn's TfidfVectorizer.

    Args:
        notes: Texts of the training split; of very many, an even sample of `SAMPLE` decides.
        tokenizer: Makes ids of words; 0 and 1 are padding and unknown words.
    """
    notes = notes[:: -(-len(notes) // SAMPLE) or 1]
    counts = np.zeros((len(notes), tokenizer.get_vocab_size()))
    for row, encoding in enumerate(tokenizer.encode_batch(list(notes))):
        np.add.at(counts[row], encoding.ids, 1.0)
    counts /= np.maximum(counts.sum(1, keepdims=True), 1.0)
    standing = (counts > 0).sum(0)
    idf: ndarray = np.log((1 + len(notes)) / (1 + standing)) + 1
    idf[standing < min(_LEAST_NOTES, len(notes))] = 0.0
    idf[:2] = 0.0
    directions = np.linalg.svd(counts * idf, full_matrices=False)[2][:MOST] if len(notes) else np.zeros((1, len(idf)))
    # A sign is arbitrary; this one makes the largest share positive, so that two runs agree.
    directions *= np.where(np.take_along_axis(directions, np.abs(directions).argmax(1)[:, None], 1) < 0, -1.0, 1.0)
    return torch.from_numpy((directions * idf).T.copy()).float() * 100.0  # near 1, where half precision is good
