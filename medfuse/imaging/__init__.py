"""Files to grey pixels and volumes: DICOM, NIfTI, PNG, JPEG and TIFF, each with a receipt of what reading did.

Example:
    >>> from medfuse.imaging import fit_scan, read_scan
    >>> scan = fit_scan(read_scan("chest.dcm"), 224)  # doctest: +SKIP
    >>> scan.pixels.shape, scan.receipt.voi  # doctest: +SKIP
    ((224, 224), 'window 2048/4096 (LINEAR)')

The names are imported when first used, so that `import medfuse.imaging` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from medfuse.imaging.fit import fit_scan, read_fitted
    from medfuse.imaging.read import read_scan
    from medfuse.imaging.sources import scan_digest
    from medfuse.imaging.volume import Volume, read_volume

_HOME = {
    "Volume": "medfuse.imaging.volume",
    "fit_scan": "medfuse.imaging.fit",
    "read_fitted": "medfuse.imaging.fit",
    "read_scan": "medfuse.imaging.read",
    "read_volume": "medfuse.imaging.volume",
    "scan_digest": "medfuse.imaging.sources",
}

__all__ = ["Volume", "fit_scan", "read_fitted", "read_scan", "read_volume", "scan_digest"]


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    message = f"module 'medfuse.imaging' has no attribute '{name}'"
    raise AttributeError(message)
