"""The stress suite: what remains of a model when its inputs are worse."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from medfuse.bundle import Bundle
from medfuse.case import Case, Modality, Note, Scan
from medfuse.encoders.cases import EncodedCase
from medfuse.errors import ScanError
from medfuse.evaluation.alterations import notes_of, probabilities_of
from medfuse.evaluation.changes import SCAN_CHANGES, SECTIONS, TEXT_CHANGES
from medfuse.evaluation.metrics import brier, ece
from medfuse.evaluation.reliance import Area
from medfuse.imaging import read_scan
from medfuse.inference import Predictor
from medfuse.notes import select

if TYPE_CHECKING:
    from jaxtyping import Float
    from numpy import ndarray

STRENGTHS = (0.25, 0.5, 1.0)
MOST = 200  # cases that are stressed; more would only narrow the intervals


def stress(
    bundle: Bundle,
    cases: Sequence[Case],
    *,
    truth: Float[ndarray, "n c"],
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """AUROC, Brier score and ECE as scans and notes get worse, one change at a time.

    Labelled cases of patients drawn at random are used, about `MOST` at the most. A change falls on a case alike at
    every strength (the same side, the same words first), so that a curve does not jump by chance.

    Args:
        bundle: The model.
        cases: The held-out cases.
        truth: 1, 0 or NaN (not known) [N, C].
        seed: Of the changes and of the patients drawn.
        progress: Called with 1 for each case and change.

    Returns:
        By change, from strength 0 (none) to 1: `strength`, `n_changed`, `auroc` with its interval and the paired
        `change` against strength 0, `brier`, `ece` (means over labels).
    """
    rows = _drawn(cases, truth, seed)
    if not rows:
        return {}
    truth = truth[rows]
    chosen = [cases[row] for row in rows]
    predictor = Predictor(bundle)  # without a cache: it goes by the bytes of files, and those do not change here
    plain = list(predictor.encoder.stream(chosen))
    patients = [case.patient_id for case in chosen]
    before = probabilities_of(predictor, [one.parts for one in plain])
    base = Area.of(truth, [before], patients)
    found = {}
    for number, (name, modality) in enumerate(_suite(bundle)):
        curve = [_point(0.0, 0, before, truth, base, base)]
        for strength in STRENGTHS:
            changed = [
                _changed(one, name, modality, strength, np.random.default_rng((seed, number, row)), bundle)
                for row, one in enumerate(plain)
            ]
            parts = [dict(one.parts) for one in plain]
            concerned = [row for row, case in enumerate(changed) if case is not None]
            stream = predictor.encoder.stream([case for case in changed if case is not None])
            for row, one in zip(concerned, stream, strict=True):
                parts[row].pop(modality, None)
                if modality in one.parts:
                    parts[row][modality] = one.parts[modality]
                if progress is not None:
                    progress(1)
            said = probabilities_of(predictor, parts)
            curve.append(_point(strength, len(concerned), said, truth, Area.of(truth, [said], patients), base))
        found[name] = curve
    return found


def _suite(bundle: Bundle) -> Iterator[tuple[str, Modality]]:
    image = bundle.config.image
    # A change is made to the pixels of single images, which a network for volumes is not given.
    if "image" in bundle.model.modalities and image is not None and image.volume is None:
        yield from ((name, "image") for name in SCAN_CHANGES)
    if "text" in bundle.model.modalities:
        yield from ((name, "text") for name in (*TEXT_CHANGES, SECTIONS))


def _point(strength: float, changed: int, said: ndarray, truth: ndarray, area: Area, base: Area) -> dict[str, Any]:
    means = {}
    for name, metric in (("brier", brier), ("ece", ece)):
        values = metric(truth, said)
        means[name] = float(values[~np.isnan(values)].mean())
    return {"strength": strength, "n_changed": changed, "auroc": area.against(base), **means}


def _drawn(cases: Sequence[Case], truth: Float[ndarray, "n c"], seed: int) -> list[int]:
    """Rows of labelled cases, patient by patient in random order until there are enough."""
    labelled = [row for row in range(len(cases)) if not np.isnan(truth[row]).all()]
    patients = sorted({cases[row].patient_id for row in labelled})
    order = np.random.default_rng(seed).permutation(len(patients))
    place = {patients[k]: rank for rank, k in enumerate(order)}
    ranked = sorted(labelled, key=lambda row: (place[cases[row].patient_id], row))
    return sorted(ranked[:MOST])


def _changed(
    one: EncodedCase, name: str, modality: Modality, strength: float, rng: np.random.Generator, bundle: Bundle
) -> Case | None:
    """The case with only the changed modality; None where it has none of it."""
    if modality not in one.parts:
        return None
    bare = replace(one.case, scans=(), notes=(), values={})
    if modality == "image":
        scans = [_worse(scan, name, strength, rng, bundle) for scan in one.case.scans]
        return replace(bare, scans=tuple(scan for scan in scans if scan is not None))
    assert bundle.config.text is not None
    excluded = tuple(bundle.config.text.exclude_sections)
    texts = []
    for note in notes_of(one.case):
        dropped = [s.name for s in note.sections if rng.random() < strength] if name == SECTIONS else []
        text = select(note, exclude=(*excluded, *dropped))
        texts.append(text if name == SECTIONS else TEXT_CHANGES[name](text, strength, rng))
    return replace(bare, notes=tuple(Note(text=text) for text in texts if text.strip()))


def _worse(scan: Scan, name: str, strength: float, rng: np.random.Generator, bundle: Bundle) -> Scan | None:
    """The scan as it is read, brought near the network's size and changed; None if it cannot be read.

    A volume stays as it is: the changes are those of a radiograph.
    """
    part = bundle.config.image
    assert part is not None
    try:
        read = scan if scan.pixels is not None else read_scan(scan.path, series=part.series, slices=part.slices)
    except ScanError:
        return None  # told when the case was encoded
    assert read.pixels is not None
    if read.pixels.ndim == 3:
        return read
    picture = Image.fromarray(np.ascontiguousarray(read.pixels))
    picture.thumbnail((2 * part.size,) * 2, Image.Resampling.BILINEAR)
    return replace(read, pixels=SCAN_CHANGES[name](np.asarray(picture), strength, rng))
