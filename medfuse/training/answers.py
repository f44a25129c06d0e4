"""What the training cases are taken to be: known labels, those that follow from a hierarchy, and uncertain ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch

from medfuse.case import Case
from medfuse.config import Config
from medfuse.hierarchy import Parents, implied
from medfuse.training.learning import targets

if TYPE_CHECKING:
    from torch import Tensor

# Between which values an uncertain label is drawn: Pham et al. 2021, "Interpreting chest X-rays via CNNs that exploit
# hierarchical disease dependencies and uncertainty labels", Neurocomputing 437:186-194 (arXiv:1911.06475).
SMOOTHED = {"zeros_smoothed": (0.0, 0.3), "ones_smoothed": (0.55, 0.85)}


def learns_from(case: Case, config: Config) -> bool:
    """Whether a case of the training split says anything: a known label, or an uncertain one that counts."""
    return case.labelled or (bool(case.uncertain) and config.training.uncertain != "ignore")


def certain(config: Config) -> Config:
    """The same configuration with uncertain labels left out, which is what a model is judged by."""
    return config.model_copy(update={"training": config.training.model_copy(update={"uncertain": "ignore"})})


def answers(cases: Sequence[Case], labels: Sequence[str], config: Config, parents: Parents) -> tuple[Tensor, int]:
    """What training cases teach [N, C]: 1, 0, a value between for a smoothed label, NaN where nothing is known.

    Uncertain labels become what `training.uncertain` says (the U-Ignore, U-Zeros and U-Ones of Irvin et al. 2019,
    arXiv:1901.07031; smoothed after Pham et al. 2021). Known labels come before: what the hierarchy makes
    of them is not uncertain any more.

    Args:
        cases: The cases.
        labels: The labels in order.
        config: Says what an uncertain label is; its seed decides the draws.
        parents: The place of each label's parent, or nothing.

    Returns:
        The answers, and how many cases contradict the hierarchy.
    """
    truth, against = implied(targets(cases, labels), parents) if parents else (targets(cases, labels), torch.zeros(0))
    policy = config.training.uncertain
    if policy == "ignore":
        return truth, int(against.sum())
    unsure = torch.tensor([[label in case.uncertain for label in labels] for case in cases], dtype=torch.bool)
    low, high = SMOOTHED.get(policy, (float(policy == "ones"),) * 2)
    drawn = low + (high - low) * torch.rand(truth.shape, generator=torch.Generator().manual_seed(config.seed))
    return torch.where(unsure.reshape(truth.shape) & truth.isnan(), drawn, truth), int(against.sum())
