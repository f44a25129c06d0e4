"""What an explanation is: plain frozen data, without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from medfuse.case import Modality

if TYPE_CHECKING:
    from jaxtyping import Float32
    from numpy import ndarray

    from medfuse.imaging.fit import Placement

Kind = Literal["scan", "note", "section", "value"]
Target = Literal["logit", "probability"]


@dataclass(frozen=True, slots=True)
class Part:
    """Something of a case that can be left out.

    Attributes:
        key: `scan:0`, `note:1`, `section:1:0` (note, then section) or `value:age`.
        kind: `scan`, `note`, `section` or `value`.
        name: Its name for a reader: a file's, a section's or a column's. Data: never to be read as HTML or Markdown.
        modality: To which modality it belongs.
    """

    key: str
    kind: Kind
    name: str
    modality: Modality


@dataclass(frozen=True, slots=True)
class Sanity:
    """Whether a map depends on what the model learned (Adebayo et al. 2018, arXiv:1810.03292).

    Attributes:
        similarity: Mean rank correlation (Spearman) of the map with maps by the same network with shuffled weights.
        limit: Similarity from which on the map fails.
        passed: Whether it stayed below.
    """

    similarity: float
    limit: float
    passed: bool


@dataclass(frozen=True, slots=True)
class HeatMap:
    """What in a scan speaks for the label (above 0) and against it (below 0).

    Attributes:
        scan: Place of the scan in the case, from 0.
        name: Its file's name.
        method: How it was made (see `METHODS`).
        heat: In the square that the network sees [size, size], of a volume [slices, size, size].
        placement: Where the scan lies in the square.
        sanity: Its check; None if it was not made.
    """

    scan: int
    name: str
    method: str
    heat: Float32[ndarray, "*s size size"] = field(repr=False, compare=False)
    placement: Placement
    sanity: Sanity | None = None

    def original(self) -> Float32[ndarray, "*s h w"]:
        """The map in the pixels of the scan as `read_scan` gives it."""
        if self.heat.ndim == 2:
            return self.placement.back(self.heat)
        return np.stack([self.placement.back(one) for one in self.heat])


@dataclass(frozen=True, slots=True)
class Stretch:
    """A word or a sentence, `text[start:end]` of the whole note, and what it adds to the logit."""

    start: int
    end: int
    attribution: float


@dataclass(frozen=True, slots=True)
class NoteWords:
    """What the words of a note say.

    Attributes:
        note: Place of the note in the case, from 0.
        name: Its file's name; "" if it was given as text.
        text: The whole note. Data: never to be read as HTML or Markdown.
        words: Words that the model read, in order.
        sentences: Sentences that it read, in order, each the sum of its words.
        method: `linear` (exact) or `integrated_gradients`.
    """

    note: int
    name: str
    text: str = field(repr=False)
    words: tuple[Stretch, ...]
    sentences: tuple[Stretch, ...]
    method: str


@dataclass(frozen=True, slots=True)
class ValueShare:
    """What a measured value says: above 0 it speaks for the label.

    Attributes:
        name: The column.
        value: The value.
        attribution: What it adds to the logit, against all values being missing (integrated gradients).
        contribution: What it adds to the calibrated probability (its share among the parts).
    """

    name: str
    value: float | str
    attribution: float
    contribution: float


@dataclass(frozen=True, slots=True)
class Share:
    """What a modality or a part adds to the calibrated probability.

    Attributes:
        key: The modality's name, or the part's key; several parts joined by `+` where there are many.
        name: For a reader.
        modality: To which modality it belongs.
        contribution: Added probability; over all modalities, and over all parts, they add up to p - base.
    """

    key: str
    name: str
    modality: Modality
    contribution: float


@dataclass(frozen=True, slots=True)
class Counterfactual:
    """The prediction without one part.

    Attributes:
        part: What was left out.
        probabilities: Calibrated probability by label without it.
        change: What leaving it out adds to the probability of the explained label.
    """

    part: Part
    probabilities: Mapping[str, float]
    change: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a model says what it says of a case.

    Attributes:
        case_id: The case.
        label: The label that is explained.
        probability: Its calibrated probability.
        base: Its calibrated probability with nothing known of the case.
        target: What the maps, words and `attribution`s explain: the label's log odds before calibration (`logit`) or
            its calibrated `probability`.
        maps: One a scan.
        notes: One a note.
        values: One a measured value.
        modalities: Exact Shapley values; they add up to `probability - base`.
        parts: Exact Owen values of scans, sections and values; those of a modality add up to the modality's.
        counterfactuals: The prediction without each part.
        warnings: What a reader must know, one line each.
        bundle: Digest of the bundle.
    """

    case_id: str
    label: str
    probability: float
    base: float
    target: Target = "logit"
    maps: tuple[HeatMap, ...] = ()
    notes: tuple[NoteWords, ...] = ()
    values: tuple[ValueShare, ...] = ()
    modalities: tuple[Share, ...] = ()
    parts: tuple[Share, ...] = ()
    counterfactuals: tuple[Counterfactual, ...] = ()
    warnings: tuple[str, ...] = ()
    bundle: str = ""

    def to_dict(self) -> dict[str, Any]:
        """All but pixels, ready for JSON; a note's text stays out, its words are told by their places."""
        found = asdict(self)
        for heat, one in zip(self.maps, found["maps"], strict=True):
            one.pop("heat")
            one["shape"] = list(heat.heat.shape)
        for one in found["notes"]:
            one.pop("text")
        return found
