"""medfuse classifies patient cases from scans and clinical notes together.

Example:
    >>> import medfuse
    >>> medfuse.__version__
    '0.1.0'

The public names are imported when first used, so `import medfuse` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from medfuse.errors import MedfuseError

if TYPE_CHECKING:
    from medfuse.case import Case, Note, Prediction, Scan
    from medfuse.cohort import Cohort
    from medfuse.evaluation import evaluate
    from medfuse.imaging import Volume, read_scan, read_volume
    from medfuse.inference import Predictor
    from medfuse.notes import read_note
    from medfuse.training import train

__version__ = "0.1.0"

_HOME = {
    "Case": "medfuse.case",
    "Note": "medfuse.case",
    "Prediction": "medfuse.case",
    "Scan": "medfuse.case",
    "Cohort": "medfuse.cohort",
    "Predictor": "medfuse.inference",
    "evaluate": "medfuse.evaluation",
    "read_note": "medfuse.notes",
    "Volume": "medfuse.imaging",
    "read_scan": "medfuse.imaging",
    "read_volume": "medfuse.imaging",
    "train": "medfuse.training",
}

__all__ = [
    "Case",
    "Cohort",
    "MedfuseError",
    "Note",
    "Prediction",
    "Predictor",
    "Scan",
    "Volume",
    "__version__",
    "evaluate",
    "read_note",
    "read_scan",
    "read_volume",
    "train",
]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    message = f"module 'medfuse' has no attribute '{name}'"
    raise AttributeError(message)
