"""Drift: what a bundle remembers of the cases it was calibrated on, and how far new cases have moved from them."""

from __future__ import annotations

from medfuse.drift.compare import Check, compare
from medfuse.drift.inputs import first_of_each, inputs_of
from medfuse.drift.reference import Reference

__all__ = ["Check", "Reference", "compare", "first_of_each", "inputs_of"]
