"""What can be said of a case's input without a model: which parts it has, how bright, how long, which values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from medfuse.case import MODALITIES, Case, Modality
from medfuse.config import ImageConfig
from medfuse.errors import ScanError
from medfuse.imaging import fit_scan, read_fitted

if TYPE_CHECKING:
    from torch import Tensor

Fact = float | str | None


def inputs_of(
    case: Case, parts: Mapping[Modality, Tensor], *, columns: Mapping[str, str], image: ImageConfig | None
) -> dict[str, Fact]:
    """Facts of one case by name; None where there is nothing to say.

    `modalities`: those present, joined by +. `image mean` and `image spread`: mean and standard deviation of the grey
    values (0…1) of the first scan as the network sees it. `text tokens`: tokens that are read. Then the values.

    Args:
        case: The case.
        parts: What the model takes of it, by modality.
        columns: `number` or `category` by tabular column.
        image: How scans are fitted for the network; None if scans are not used.
    """
    facts: dict[str, Fact] = {"modalities": "+".join(name for name in MODALITIES if name in parts) or "none"}
    if image is not None:
        facts |= {"image mean": None, "image spread": None}
        if "image" in parts:
            facts |= _brightness(case, image)
    facts["text tokens"] = float(_tokens(parts["text"])) if "text" in parts else None
    for name, kind in columns.items():
        value = case.values.get(name)
        if kind == "number":
            facts[name] = value if isinstance(value, float | int) else None
        else:
            facts[name] = None if value is None else str(value)
    return facts


def _tokens(part: Tensor) -> int:
    """Tokens [L, D], or ids with marks [W, T, 2], of which mark 2 is read for itself."""
    return int((part[..., 1] == 2).sum()) if part.ndim == 3 else len(part)


def _brightness(case: Case, image: ImageConfig) -> dict[str, Fact]:
    for scan in case.scans:
        try:
            if scan.pixels is None:
                fitted = read_fitted(
                    scan.path, image.size, equalise=image.equalise, series=image.series, slices=image.slices
                )
            else:
                fitted = fit_scan(scan, image.size, equalise=image.equalise)
        except ScanError:
            continue  # classifying the case names it
        pixels = fitted.pixels
        assert pixels is not None
        return {"image mean": float(pixels.mean()), "image spread": float(pixels.std())}
    return {}


def first_of_each(patients: Sequence[str]) -> list[int]:
    """Rows of the first case of each patient: cases of one patient are alike, and tests take them for independent."""
    seen: dict[str, int] = {}
    for row, patient in enumerate(patients):
        seen.setdefault(patient, row)
    return list(seen.values())
