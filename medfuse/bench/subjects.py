"""What benches work on: large radiographs with long notes, and a bundle with the default encoders."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from medfuse.case import Case, Note, Scan

if TYPE_CHECKING:
    from medfuse.bundle import Bundle

SIDE = 2048  # pixels
WORDS = 200  # of a note
_BODIES = 8  # phantoms that the radiographs are made of; each gets noise and a place of its own
_BITS = 12


def radiographs(
    folder: Path, *, count: int, seed: int, side: int = SIDE, progress: Callable[[int], None] | None = None
) -> list[Case]:
    """Cases with one radiograph (DICOM, 12 bits, Explicit VR Little Endian) and one note; those there are kept.

    Args:
        folder: Where the files go.
        count: How many cases.
        seed: Decides all.
        side: Of a radiograph, pixels.
        progress: Called with 1 after each case.
    """
    folder.mkdir(parents=True, exist_ok=True)
    cases, bodies = [], None
    for number in range(count):
        name = f"{seed}-{side}-{number:05d}"
        scan, note = folder / f"{name}.dcm", folder / f"{name}.txt"
        if not scan.exists() or not note.exists():
            bodies = bodies or _bodies(side, seed)
            rng = np.random.default_rng((seed, number))
            grey, noise = bodies[number % _BODIES], bodies[-1]
            shift = tuple(int(step) for step in rng.integers(0, side, 2))
            _write(scan, np.clip(grey + np.roll(noise, shift, (0, 1)), 0, 1), name=name)
            note.write_text(_note(rng), encoding="utf-8")
        cases.append(Case(f"case-{number}", f"patient-{number}", scans=(Scan(scan),), notes=(Note(note),)))
        if progress is not None:
            progress(1)
    return cases


def default_bundle(folder: Path) -> Bundle:
    """A bundle with the default encoders, trained for one epoch on a small sample cohort; the one there is kept."""
    from medfuse.bundle import Bundle
    from medfuse.cohort import Cohort
    from medfuse.config import Config
    from medfuse.synthetic import make_cohort
    from medfuse.training import train

    if not (folder / "bundle").exists():
        make_cohort(folder / "sample", cases=60, seed=0)
        config = Config.parse({"tabular": None, "training": {"epochs": 1}}, source="bench")
        train(config, Cohort.load(folder / "sample"), folder / "bundle", cache=folder / "sample-cache")
    return Bundle.load(folder / "bundle")


def _bodies(side: int, seed: int) -> list[np.ndarray]:
    """Phantoms, and last of all noise; drawn at a quarter of the side, for a bench should not wait for them."""
    from PIL import Image

    from medfuse.synthetic.evidence import draw_findings, draw_person, of_modality
    from medfuse.synthetic.phantom import render

    made = []
    for number in range(_BODIES):
        rng = np.random.default_rng((seed, 1, number))
        _, findings = draw_findings(draw_person(rng), rng)
        chosen = {name: str(findings[name]) for name in of_modality("image")}
        small = render(chosen, rows=max(64, side // 4), columns=max(64, side // 4), rng=rng)
        large = Image.fromarray(np.asarray(small.grey, dtype=np.float32)).resize((side, side), Image.Resampling.BICUBIC)
        made.append(np.asarray(large))
    noise = np.random.default_rng((seed, 2)).normal(0, 0.01, (side, side)).astype(np.float32)
    return [*made, noise]


def _note(rng: np.random.Generator) -> str:
    """Sentences of the sample cohort's notes up to the wanted number of words."""
    from medfuse.synthetic.evidence import draw_findings, draw_person
    from medfuse.synthetic.prose import write_note

    words: list[str] = []
    while len(words) < WORDS:
        _, findings = draw_findings(draw_person(rng), rng)
        text = write_note({name: str(value) for name, value in findings.items()}, rng)
        words += text.replace(":", ",").split()  # one document without headers, so that every reader reads all of it
    return " ".join(words[:WORDS]) + "."


def _write(path: Path, grey: np.ndarray, *, name: str) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ComputedRadiographyImageStorage, ExplicitVRLittleEndian, generate_uid

    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = ComputedRadiographyImageStorage
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[name])
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[name, "study"])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[name, "series"])
    dataset.PatientID, dataset.Modality = "phantom", "CR"
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = grey.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, _BITS, _BITS - 1, 0
    dataset.PixelSpacing = [f"{340 / grey.shape[1]:.4f}"] * 2
    top = (1 << _BITS) - 1
    dataset.WindowCenter, dataset.WindowWidth = f"{(top + 1) / 2:g}", f"{top + 1:g}"
    dataset.PixelData = np.rint(grey * top).astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"
    dataset.save_as(path, enforce_file_format=True)
