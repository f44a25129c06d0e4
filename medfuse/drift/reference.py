"""The reference: counts of what the inputs were, and a sample of what the model said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.drift.inputs import Fact
from medfuse.errors import BundleError

if TYPE_CHECKING:
    from jaxtyping import Float, Int
    from numpy import ndarray

PARTS = 10  # of equal size, that a number's range is cut into
SAMPLE = 500  # cases whose probabilities are kept
_MISSING, _OTHER = "missing", "any other"


@dataclass(frozen=True)
class Bins:
    """Counts of one fact.

    Attributes:
        edges: Where a number's range is cut (its deciles in the reference); None for categories.
        names: The categories; None for numbers.
        counts: By bin; the last holds what is missing, and of categories the one before it any other.
    """

    edges: tuple[float, ...] | None
    names: tuple[str, ...] | None
    counts: tuple[int, ...]

    @classmethod
    def of(cls, facts: Sequence[Fact]) -> Bins:
        """The bins that suit these facts, with their counts."""
        numbers = [fact for fact in facts if isinstance(fact, float | int)]
        if numbers or all(fact is None for fact in facts):
            inner = np.quantile(numbers, np.linspace(0, 1, PARTS + 1)[1:-1]) if numbers else np.zeros(0)
            empty = cls(tuple(np.unique(inner).tolist()), None, ())
        else:
            empty = cls(None, tuple(sorted({str(fact) for fact in facts if fact is not None})), ())
        return cls(empty.edges, empty.names, tuple(empty.count(facts).tolist()))

    def count(self, facts: Sequence[Fact]) -> Int[ndarray, " k"]:
        """Counts of other facts in the same bins."""
        if self.edges is not None:
            known = np.array([float(fact) for fact in facts if isinstance(fact, float | int)])
            found = np.bincount(np.searchsorted(self.edges, known, side="left"), minlength=len(self.edges) + 1)
            return np.append(found, len(facts) - len(known))
        assert self.names is not None
        place = {name: index for index, name in enumerate(self.names)}
        rows = [len(place) + 1 if fact is None else place.get(str(fact), len(place)) for fact in facts]
        return np.bincount(rows, minlength=len(place) + 2)

    @property
    def labels(self) -> list[str]:
        """What each bin holds, in words."""
        if self.names is not None:
            return [*self.names, _OTHER, _MISSING]
        assert self.edges is not None
        ends = [f"{edge:.4g}" for edge in self.edges]
        if not ends:
            return ["any", _MISSING]
        inner = [f"{low} to {high}" for low, high in pairwise(ends)]
        return [f"up to {ends[0]}", *inner, f"above {ends[-1]}", _MISSING]


@dataclass(frozen=True)
class Reference:
    """What the cases were like that the bundle was calibrated on: one case of each patient, no identity.

    Attributes:
        cases: How many.
        inputs: Bins by fact.
        probability: What the model said of at most `SAMPLE` of them [S, C], in an order that means nothing.
    """

    cases: int
    inputs: Mapping[str, Bins]
    probability: Float[ndarray, "s c"]

    @classmethod
    def of(cls, facts: Sequence[Mapping[str, Fact]], probability: Float[ndarray, "n c"], *, seed: int = 0) -> Reference:
        """The reference of cases, one a patient."""
        chosen = np.random.default_rng(seed).permutation(len(facts))[:SAMPLE]
        names = facts[0] if facts else {}
        return cls(
            len(facts),
            {name: Bins.of([one.get(name) for one in facts]) for name in names},
            np.round(probability[chosen], 4),
        )

    def to_dict(self) -> dict[str, Any]:
        """What a bundle stores, ready for JSON."""
        return {
            "cases": self.cases,
            "inputs": {
                name: {"edges": bins.edges, "names": bins.names, "counts": bins.counts}
                for name, bins in self.inputs.items()
            },
            "probability": self.probability.tolist(),
        }

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> Reference:
        """The reference of `to_dict`.

        Raises:
            BundleError: If what was stored is not that.
        """
        try:
            inputs = {str(name): _bins(one) for name, one in stored["inputs"].items()}
            probability = np.array(stored["probability"], dtype=float)
            shaped = probability.reshape(len(probability), -1) if len(probability) else np.zeros((0, 0))
            return cls(int(stored["cases"]), inputs, shaped)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            message = "the bundle's reference for drift is not whole; train or calibrate again"
            raise BundleError(message) from error


def _bins(stored: Mapping[str, Any]) -> Bins:
    edges, names = stored["edges"], stored["names"]
    bins = Bins(
        None if edges is None else tuple(float(edge) for edge in edges),
        None if names is None else tuple(str(name) for name in names),
        tuple(int(count) for count in stored["counts"]),
    )
    if len(bins.counts) != len(bins.labels):
        message = "counts do not fit their bins"
        raise ValueError(message)
    return bins
