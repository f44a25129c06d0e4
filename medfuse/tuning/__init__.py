"""Which settings are best, by folds of the training split alone."""

from __future__ import annotations

from medfuse.tuning.search import Found, tune
from medfuse.tuning.space import Space

__all__ = ["Found", "Space", "tune"]
