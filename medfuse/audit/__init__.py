"""What is wrong with a cohort before anything is trained on it.

Example:
    >>> from medfuse.audit import audit
    >>> from medfuse.cohort import Cohort
    >>> audit(Cohort.load("sample_data")).errors
    ()
"""

from __future__ import annotations

from medfuse.audit.audit import Audit, audit
from medfuse.audit.finding import Finding, Severity

__all__ = ["Audit", "Finding", "Severity", "audit"]
