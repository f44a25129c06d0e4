"""From a cohort to a bundle."""

from __future__ import annotations

from medfuse.training.fit import fit, train

__all__ = ["fit", "train"]
