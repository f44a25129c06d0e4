"""From a cohort to a bundle."""

from __future__ import annotations

from medfuse.training.fit import fit, train
from medfuse.training.processes import Processes

__all__ = ["Processes", "fit", "train"]
