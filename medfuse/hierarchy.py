"""Labels that are kinds of one another: whoever has the child has its parent, in the truth and in every probability.

Conditional training (Chen et al. 2019, "Deep Hierarchical Multi-label Classification of Chest X-ray Images", MIDL,
PMLR 102:109-120): a child's logit is that of P(child | parent) and learns from cases that have the parent; the
probability of the child is the product up to its root, so that none exceeds its parent's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import torch

from medfuse.errors import ConfigError

if TYPE_CHECKING:
    from jaxtyping import Bool, Float
    from torch import Tensor

Parents = tuple[int, ...]  # the place of each label's parent; -1 where it has none


def parents_of(hierarchy: Mapping[str, str], labels: Sequence[str]) -> Parents:
    """The place of each label's parent, -1 where it has none.

    Example:
        >>> parents_of({"pneumonia": "opacity"}, ["opacity", "pneumonia"])
        (-1, 0)

    Args:
        hierarchy: Child to parent.
        labels: The labels in order.

    Raises:
        ConfigError: If a name is no label, or a label would be its own ancestor.
    """
    unknown = [name for pair in hierarchy.items() for name in pair if name not in labels]
    if unknown:
        message = f"hierarchy: '{unknown[0]}' is no label of the cohort; its labels are {', '.join(labels)}"
        raise ConfigError(message)
    parents = tuple(labels.index(hierarchy[label]) if label in hierarchy else -1 for label in labels)
    for place, label in enumerate(labels):
        above, steps = parents[place], 0
        while above >= 0 and steps <= len(labels):
            above, steps = parents[above], steps + 1
        if steps > len(labels):
            message = f"hierarchy: '{label}' is its own ancestor; a child has a parent above it"
            raise ConfigError(message)
    return parents


def implied(truth: Float[Tensor, "n c"], parents: Parents) -> tuple[Float[Tensor, "n c"], Bool[Tensor, " n"]]:
    """What is known of each case once the hierarchy is followed [N, C], and which cases contradict it [N].

    A child that is there makes a parent that is not known be there; a parent that is not there makes a child that is
    not known be absent. Where a child is there without its parent, neither is taken as known.

    Args:
        truth: 1, 0 or NaN (not known); values between stand for an uncertain label and imply nothing.
        parents: See `parents_of`.
    """
    truth = truth.clone()
    against = torch.zeros(len(truth), dtype=torch.bool)
    order = _from_the_top(parents)
    for place in order:
        if (above := parents[place]) >= 0:
            wrong = (truth[:, place] == 1) & (truth[:, above] == 0)
            against |= wrong
            truth[wrong, place] = truth[wrong, above] = torch.nan
    for place in reversed(order):
        if (above := parents[place]) >= 0:
            truth[(truth[:, place] == 1) & truth[:, above].isnan(), above] = 1.0
    for place in order:
        if (above := parents[place]) >= 0:
            truth[(truth[:, above] == 0) & truth[:, place].isnan(), place] = 0.0
    return truth, against


def conditional(truth: Float[Tensor, "n c"], parents: Parents) -> Float[Tensor, "n c"]:
    """What each label's logit learns from [N, C]: a child's only from cases that have its parent, else NaN."""
    learned = truth.clone()
    for place, above in enumerate(parents):
        if above >= 0:
            learned[truth[:, above] != 1, place] = torch.nan
    return learned


def unconditional(logits: Float[Tensor, "n c"], parents: Parents) -> Float[Tensor, "n c"]:
    r"""Logits of P(label) from those of P(label | parent) [N, C]; none exceeds its parent's, to the last bit.

    $\mathrm{logit}(σ(a) σ(b)) = -\log(e^{-a} + e^{-b} + e^{-a-b})$, since
    $1 - σ(a) σ(b) = (e^{-a} + e^{-b} + e^{-a-b}) σ(a) σ(b)$; exact however near to 0 or 1 the product is.
    """
    if not any(above >= 0 for above in parents):
        return logits
    found = list(logits.unbind(1))
    for place in _from_the_top(parents):
        if (above := parents[place]) >= 0:
            a, b = found[place], found[above]
            found[place] = torch.minimum(-torch.stack([-a, -b, -a - b]).logsumexp(0), b)
    return torch.stack(found, dim=1)


def _from_the_top(parents: Parents) -> list[int]:
    """Places of labels, each after its parent."""

    def depth(place: int) -> int:
        return 0 if parents[place] < 0 else 1 + depth(parents[place])

    return sorted(range(len(parents)), key=depth)
