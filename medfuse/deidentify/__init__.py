"""A cohort without what names its patients, and a report of what cannot be promised.

Example:
    >>> from medfuse.deidentify import deidentify
    >>> deidentify("cohorts/ward", "cohorts/ward-deidentified")  # doctest: +SKIP
"""

from __future__ import annotations

from medfuse.deidentify.cohort import Deidentified, deidentify
from medfuse.deidentify.dicom import KEEPABLE

__all__ = ["KEEPABLE", "Deidentified", "deidentify"]
