"""A small cohort, a bundle trained on it, and nothing kept between runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medfuse.case import Case, Note, Scan
from medfuse.cohort import Cohort
from medfuse.config import Config

LABELS = ("wet", "dry", "clear")
WORDS = {"wet": "fever and cough", "dry": "swollen ankles at night", "clear": "routine check, feels well"}

# Learns in seconds: a small RNN for the notes, the embedded network for small scans.
TINY = {
    "name": "tiny",
    "image": {"encoder": "efficientnet-lite0", "size": 64},
    "text": {"encoder": "rnn", "tune": "full", "window": 32, "overlap": 4, "vocabulary": 200},
    "fusion": {"width": 16, "components": 16},
    "training": {"epochs": 3, "batch_size": 16, "patience": 3},
}


def make_tiny(folder: Path, *, cases: int = 48, seed: int = 0) -> Cohort:
    """Cases whose label shows in the brightness of the scan, the words of the note and one value."""
    rng = np.random.default_rng(seed)
    (folder / "scans").mkdir(parents=True)
    (folder / "notes").mkdir()
    made = []
    for number in range(cases):
        label = LABELS[number % 3]
        scan, note = folder / "scans" / f"c{number}.png", folder / "notes" / f"c{number}.txt"
        pixels = rng.integers(0, 40, (48, 48)) + 100 * (label == "wet")
        Image.fromarray(pixels.astype(np.uint8)).save(scan)
        note.write_text(f"HISTORY: {WORDS[label]}, day {number % 7}.\nFINDINGS: secret {label}.\n", encoding="utf-8")
        made.append(
            Case(
                case_id=f"c{number}",
                patient_id=f"p{number // 2}",
                scans=(Scan(scan.resolve()),),
                notes=(Note(note.resolve()),),
                values={"age": float(40 + number % 30), "sex": "FM"[number % 2]},
                labels={name: int(name == label) for name in LABELS},
                groups={"site": "a"},
            )
        )
    cohort = Cohort(
        folder,
        "tiny",
        "multiclass",
        LABELS,
        tuple(made),
        tabular={"age": "number", "sex": "category"},
        groups=("site",),
    ).with_splits(0)
    cohort.save()
    return Cohort.load(folder)


@pytest.fixture(scope="session")
def tiny_cohort(tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    return make_tiny(tmp_path_factory.mktemp("tiny") / "cohort")


@pytest.fixture(scope="session")
def token_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def tiny_bundle(tiny_cohort: Cohort, token_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from medfuse.training import train

    config = Config.parse(TINY, source="tiny")
    return train(config, tiny_cohort, tmp_path_factory.mktemp("runs") / "tiny", cache=token_cache)
