"""Why a model says what it says of a case: maps, words, values, shares, and what would be without each part."""

from __future__ import annotations

from medfuse.explain.explain import explain
from medfuse.explain.explanation import (
    Counterfactual,
    Explanation,
    HeatMap,
    NoteWords,
    Part,
    Sanity,
    Share,
    Stretch,
    ValueShare,
)
from medfuse.explain.image import METHODS
from medfuse.explain.whatif import WhatIf, without

__all__ = [
    "METHODS",
    "Counterfactual",
    "Explanation",
    "HeatMap",
    "NoteWords",
    "Part",
    "Sanity",
    "Share",
    "Stretch",
    "ValueShare",
    "WhatIf",
    "explain",
    "without",
]
