"""What pretraining here has seen: patients whose cases shaped an encoder are not held out any more."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from medfuse.bundle import patient_digest
from medfuse.case import Case
from medfuse.config import Config
from medfuse.errors import CohortError

RECORD = "pretraining.json"


def patients_of(config: Config) -> frozenset[str]:
    """Digests of the patients whose cases the config's checkpoints were pretrained on here; empty if they were not."""
    digests: set[str] = set()
    for part in (config.image, config.text):
        place = Path(part.weights) if part is not None else Path()
        record = (place.parent if place.is_dir() else place.parent.parent) / RECORD
        if part is not None and place.exists() and record.is_file():
            digests.update(json.loads(record.read_text(encoding="utf-8"))["patients"])
    return frozenset(digests)


def require_unseen(cases: Iterable[Case], digests: frozenset[str]) -> None:
    """Refuse to call patients held out that a checkpoint was pretrained on.

    Raises:
        CohortError: If there are such patients.
    """
    seen = {case.patient_id for case in cases if patient_digest(case.patient_id) in digests} if digests else ()
    if seen:
        message = (
            f"the encoder was pretrained on {len(seen)} patients that are held out here; pretrain with the same splits"
            " and seed, or take other weights"
        )
        raise CohortError(message)
