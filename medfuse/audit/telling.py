"""Words that are written when the answer is known: the label's own name, outcomes, tests, stated diagnoses."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from medfuse.audit.measure import CHANCE

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy import ndarray

MUCH = 0.15  # how far from 0.5 the AUROC of such words must be before they are called a leak
SOME = 5  # patients with such words, below which nothing is made of them
PURE = 0.9  # share of the patients with a term who are on one side, from which it gives the label away
NAME, ANY = "the label's name", "any of these"
KINDS: Mapping[str, str] = {
    "intensive care": r"\b(?:m|s)?icus?\b|\bitu\b|\bhdu\b|intensive[ -]care|critical[ -]care|high[ -]dependency",
    "ventilation": r"\b(?:re)?(?:intubat|extubat)\w*|\bventilat\w*|\becmo\b|\bendotracheal|\bett\b|\btracheostom\w*",
    "death": r"\b(?:died|dies|death|dead|deceased|demise|expired|fatal|succumb\w*|passed away)\b",
    "survival or discharge": r"\b(?:surviv\w*|discharged|recovered|cured)\b",
    "a test": r"\bpcr\b|\bswabs?\b|\bantigens?\b|\bantibod\w*|\bserolog\w*|\bcultures?\b|\bbiops\w*|\bhistolog\w*",
    "a stated diagnosis": r"\bdiagnos\w*|\bconfirmed\b|\btested positive\b|\bpositive for\b|\b\w*proven\b",
}


@dataclass(frozen=True, slots=True)
class Telling:
    """Words of one kind, against one label.

    Attributes:
        kind: One of `KINDS`, `NAME` or `ANY`.
        words: Those that were found, most frequent first.
        positive: Patients with such a word and the label.
        patients: Patients with such a word.
        auroc: Of the words alone: there or not.
        chance: Probability of so much or more by chance: Fisher's exact test over patients, two-sided, times the
            number of kinds (Bonferroni) but for the label's name, which is suspect by itself.
    """

    kind: str
    words: tuple[str, ...]
    positive: int
    patients: int
    auroc: float
    chance: float

    @property
    def leaks(self) -> bool:
        """Whether these words tell the label beyond chance, and tell much."""
        return self.chance < CHANCE and abs(self.auroc - 0.5) >= MUCH

    @property
    def suspect(self) -> bool:
        """Whether these words are nearly all on one side, in patients enough to look at them."""
        share = self.positive / max(1, self.patients)
        return self.patients >= SOME and max(share, 1 - share) >= PURE and abs(self.auroc - 0.5) >= MUCH / 1.5

    def __str__(self) -> str:
        words = f" ({', '.join(self.words)})" if self.words else ""
        beyond = "" if self.chance < CHANCE else ", which chance can give"
        share = f"{self.positive} of {self.patients} patients with it have the label"
        return f"words of {self.kind}{words}: {share}, AUROC alone {self.auroc:.2f}{beyond}"


def words_by_kind(texts: list[str]) -> dict[str, list[list[str]]]:
    """The words of each of `KINDS` in each text, in small letters."""
    compiled = {kind: re.compile(pattern, re.IGNORECASE) for kind, pattern in KINDS.items()}
    return {kind: [_hits(pattern, text) for text in texts] for kind, pattern in compiled.items()}


def telling_words(
    label: str,
    texts: list[str],
    kinds: Mapping[str, list[list[str]]],
    truth: Float[ndarray, " n"],
    patients: Int[ndarray, " n"],
) -> list[Telling]:
    """What such words tell of a label; kinds that stand in no text are left out.

    Args:
        label: The label.
        texts: The text of each case [N].
        kinds: What `words_by_kind` found in them.
        truth: 1 or 0 [N].
        patients: A number for each case's patient [N].
    """
    parts = "[\\W_]*".join(re.escape(part) for part in re.split(r"[\W_]+", label) if part)
    name = re.compile(rf"\b{parts}\w*", re.IGNORECASE)
    found = {NAME: [_hits(name, text) for text in texts], **kinds}
    found = {kind: hits for kind, hits in found.items() if any(hits)}
    if len(found) > 1:
        found[ANY] = [[word for hits in found.values() for word in hits[row]] for row in range(len(texts))]
    others = len(found) - (NAME in found)
    return [_told(kind, hits, truth, patients, kinds=1 if kind == NAME else others) for kind, hits in found.items()]


def _hits(pattern: re.Pattern[str], text: str) -> list[str]:
    return [hit.lower() for hit in pattern.findall(text)]


def _told(
    kind: str, hits: list[list[str]], truth: Float[ndarray, " n"], patients: Int[ndarray, " n"], *, kinds: int
) -> Telling:
    from scipy.stats import fisher_exact

    sides: dict[tuple[int, bool], bool] = {}  # a patient whose cases differ in the label counts on both sides
    words: dict[str, int] = {}
    for patient, one, said in zip(patients.tolist(), truth.tolist(), hits, strict=True):
        key = (patient, one == 1)
        sides[key] = sides.get(key, False) or bool(said)
        for word in set(said):
            words[word] = words.get(word, 0) + 1
    counts = np.zeros((2, 2), dtype=int)
    for (_, positive), there in sides.items():
        counts[int(positive), int(there)] += 1
    rates = counts[:, 1] / np.maximum(counts.sum(axis=1), 1)
    chance = min(1.0, float(fisher_exact(counts).pvalue) * kinds)
    shown = () if kind == ANY else tuple(sorted(words, key=lambda word: (-words[word], word))[:6])
    auroc = 0.5 + 0.5 * float(rates[1] - rates[0])
    return Telling(kind, shown, int(counts[1, 1]), int(counts[:, 1].sum()), auroc, chance)
