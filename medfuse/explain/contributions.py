"""What each modality and each part adds to the calibrated probability: exact Shapley and Owen values."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import factorial

import numpy as np

from medfuse.case import Modality
from medfuse.explain.explanation import Counterfactual, Part, Share
from medfuse.explain.whatif import WhatIf
from medfuse.model import patterns

MOST = {"image": 6, "text": 6, "tabular": 8}  # players of a modality; 2^n variants of it are classified


@dataclass(frozen=True)
class Shares:
    """How a probability comes about.

    Attributes:
        modalities: What each modality adds.
        parts: What each part adds.
        base: The probability with nothing known.
        probability: The probability with all that is there; `base` and the shares add up to it.
    """

    modalities: tuple[Share, ...]
    parts: tuple[Share, ...]
    base: float
    probability: float


def shares(variants: WhatIf, label: int) -> Shares:
    r"""Shares of modalities and of parts in $p - p_∅$.

    A modality's share is its Shapley value (Shapley 1953, "A Value for n-person Games"). A part's is its Owen value:
    the same with the modalities as unions, so that a part joins some parts of its own modality and any of the other
    modalities whole, and the parts of a modality add up to the modality's share (Owen 1977, "Values of Games with a
    Priori Unions", equation 9). Where a modality has more parts than `MOST`, those that change the probability least
    when they alone are left out are one part together.

    Args:
        variants: The case.
        label: Place of the label.
    """
    unions = _unions(variants, label)
    names = [name for name in variants.model.modalities if name in unions]
    found: dict[frozenset[str], float] = {}

    def ask(wanted: set[frozenset[str]]) -> None:
        missing = sorted(wanted - found.keys(), key=sorted)
        for key, row in zip(missing, variants.probabilities(missing), strict=True):
            found[key] = float(row[label])

    coalitions = {name: list(_coalitions(name, unions, names)) for name in names}
    ask(
        {
            left_out
            for found_of in coalitions.values()
            for _, pairs in found_of
            for _, a, b in pairs
            for left_out in (a, b)
        }
    )
    everything = frozenset(key for players in unions.values() for player in players for key in player.keys)
    ask({frozenset(), everything})
    parts = [
        Share(player.key, player.name, name, sum(weight * (found[a] - found[b]) for weight, a, b in pairs))
        for name in names
        for player, pairs in coalitions[name]
    ]
    modalities = [
        Share(name, name, name, sum(part.contribution for part in parts if part.modality == name)) for name in names
    ]
    return Shares(tuple(modalities), tuple(parts), found[everything], found[frozenset()])


def counterfactuals(variants: WhatIf, label: int) -> tuple[Counterfactual, ...]:
    """The prediction without each scan, note, section and value."""
    found = variants.probabilities([(), *({part.key} for part in variants.parts)])
    labels = variants.bundle.labels
    return tuple(
        Counterfactual(part, dict(zip(labels, row.tolist(), strict=True)), float(row[label] - found[0, label]))
        for part, row in zip(variants.parts, found[1:], strict=True)
    )


class _Player:
    """One part, or several that are taken together."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self.keys = frozenset(part.key for part in parts)
        self.key = "+".join(part.key for part in parts)
        self.name = parts[0].name if len(parts) == 1 else f"{len(parts)} others"


def _unions(variants: WhatIf, label: int) -> dict[Modality, list[_Player]]:
    unions: dict[Modality, list[_Player]] = {}
    used = {f"scan:{place}" for place in variants.scans()}
    for name in variants.model.modalities:
        parts = [
            part
            for part in variants.parts
            if part.modality == name and part.kind != "note" and (part.kind != "scan" or part.key in used)
        ]
        if len(parts) > MOST[name]:
            found = variants.probabilities([(), *({part.key} for part in parts)])[:, label]
            strongest = np.argsort(-np.abs(found[1:] - found[0]), kind="stable")[: MOST[name] - 1]
            kept = [part for place, part in enumerate(parts) if place in strongest]
            rest = [part for place, part in enumerate(parts) if place not in strongest]
            unions[name] = [*(_Player([part]) for part in kept), _Player(rest)]
        elif parts:
            unions[name] = [_Player([part]) for part in parts]
    return unions


def _coalitions(
    name: Modality, unions: dict[Modality, list[_Player]], names: Sequence[Modality]
) -> Iterator[tuple[_Player, list[tuple[float, frozenset[str], frozenset[str]]]]]:
    """For every player of a modality: weight, what is left out with the player there, and without it."""
    players, others = unions[name], [other for other in names if other != name]
    keys = {other: frozenset(key for player in unions[other] for key in player.keys) for other in names}
    for player in players:
        rest = [one for one in players if one is not player]
        pairs = []
        for joined in patterns(others):
            out = frozenset().union(*(keys[other] for other in others if other not in joined))
            outer = _weight(len(joined), len(names))
            for number in range(1 << len(rest)):
                gone = [one for bit, one in enumerate(rest) if not number >> bit & 1]
                left_out = out.union(*(one.keys for one in gone))
                weight = outer * _weight(len(rest) - len(gone), len(players))
                pairs.append((weight, left_out, left_out | player.keys))
        yield player, pairs


def _weight(size: int, count: int) -> float:
    """Share of the orders of `count` players in which exactly `size` given ones come before a given other one."""
    return factorial(size) * factorial(count - size - 1) / factorial(count)
