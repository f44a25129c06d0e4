"""The sample cohort: chest phantoms, request notes and values whose true posterior is known."""

from __future__ import annotations

import csv
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from PIL import Image

from medfuse.case import MODALITIES, Case, Note, Scan
from medfuse.cohort import Cohort, Evidence
from medfuse.errors import CohortError
from medfuse.synthetic.evidence import (
    FINDINGS,
    LABELS,
    Categorical,
    Value,
    draw_findings,
    draw_person,
    of_modality,
    posterior,
)

URGENCY: Mapping[str, float] = {
    "pneumonia": 0.7,
    "heart_failure": 0.8,
    "atelectasis": 0.5,
    "embolism": 1.0,
    "no_acute_finding": 0.1,
}
TABULAR = of_modality("tabular")

# Parts that are missing, completely at random, so that their absence says nothing about the diagnosis.
MISSING_NOTE = 0.05
MISSING_SCAN = 0.03  # no case lacks both
MISSING_VALUE = 0.10

BLOCK = 6  # of every six cases in a row one is a second visit of a patient of the same six
FIRST_DAY = date(2023, 1, 2)


@dataclass(frozen=True)
class _Made:
    """What one case becomes in the tables."""

    case: Case
    truth: Mapping[Evidence, tuple[float, ...]]


def make_cohort(
    folder: str | Path,
    *,
    cases: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
    workers: int = 1,
    masks: bool = False,
) -> Cohort:
    """Write a synthetic cohort: `cohort.yaml`, `cases.csv`, `truth.csv`, `scans/` and `notes/`.

    The same seed gives the same files, and the n-th case does not depend on how many there are.

    Example:
        >>> cohort = make_cohort("cohorts/sample", cases=400, seed=7, workers=2)  # doctest: +SKIP
        >>> cohort.truth()["all"]["case-0001"]  # doctest: +SKIP

    Args:
        folder: Where to; made if it is not there.
        cases: How many cases.
        seed: What decides everything, 0 or more.
        progress: Called with 1 after each case.
        workers: Processes to share the work; with more than one, the calling script needs the usual
            `if __name__ == "__main__":`.
        masks: Whether `masks/` is written too: a picture a scan, white where its opacity lies, to measure heat maps by.

    Raises:
        CohortError: If there are no cases to make, or the folder holds files that are not such a cohort's.
    """
    folder = Path(folder)
    _check(folder, cases=cases, seed=seed)
    for room, suffix in (("scans", "dcm"), ("notes", "txt"), ("masks", "png")):
        if room != "masks" or masks:
            (folder / room).mkdir(parents=True, exist_ok=True)
        for stale in (folder / room).glob(f"case-*.{suffix}"):  # of an earlier run with other numbers
            stale.unlink()
    made = []
    for one in _make_all(folder, cases=cases, seed=seed, workers=min(workers, cases), masks=masks):
        made.append(one)
        if progress is not None:
            progress(1)
    cohort = Cohort(
        folder=folder,
        name="medfuse synthetic chest",
        task="multiclass",
        labels=LABELS,
        cases=tuple(one.case for one in made),
        tabular={name: "category" if isinstance(FINDINGS[name], Categorical) else "number" for name in TABULAR},
        groups=("site", "view"),
        urgency=URGENCY,
        licence="CC0-1.0",
        citation="Synthetic chest phantoms and notes made by medfuse; no patient stands behind any of them.",
    )
    _write_truth(folder / "truth.csv", made)
    cohort.save()
    return cohort


def _check(folder: Path, *, cases: int, seed: int) -> None:
    if cases < 1:
        message = f"{cases} cases cannot be made; ask for one or more"
        raise CohortError(message)
    if seed < 0:
        message = f"the seed {seed} is negative; take 0 or more"
        raise CohortError(message)
    if folder.exists() and not folder.is_dir():
        message = f"{folder}: is a file; name a folder"
        raise CohortError(message)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "truth.csv").exists():
        message = f"{folder}: holds other files; name a new or empty folder"
        raise CohortError(message)


def _make_all(folder: Path, *, cases: int, seed: int, workers: int, masks: bool) -> Iterator[_Made]:
    make = partial(_make, folder, seed, masks)
    if workers < 2:
        yield from map(make, range(cases))
        return
    # Fresh processes: a fork of one that runs threads (torch, pyarrow) may hang.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        yield from pool.map(make, range(cases), chunksize=8)


def _make(folder: Path, seed: int, masks: bool, index: int) -> _Made:  # noqa: FBT001 - given by `partial`
    """Draw, render and write the case of this index (from 0)."""
    from medfuse.synthetic.dicom import DEVICES, write_scan
    from medfuse.synthetic.phantom import render
    from medfuse.synthetic.prose import write_note

    person_index, visit = _patient_of(index, seed)
    person_rng = _rng(seed, person_index, "person")
    person = draw_person(person_rng)
    day = FIRST_DAY + timedelta(days=int(person_rng.integers(0, 700)) + visit * int(person_rng.integers(5, 180)))
    rng = _rng(seed, index, "findings")
    label, findings = draw_findings(person, rng)
    known = _lose_some(findings, rng)
    name, patient = f"case-{index + 1:04d}", f"P{person_index + 1:04d}"

    scans: tuple[Scan, ...] = ()
    groups = {"site": "", "view": ""}
    pixels_rng = _rng(seed, index, "pixels")
    device = DEVICES[int(pixels_rng.integers(len(DEVICES)))]
    groups["site"] = device.site
    if known["opacity"] is not None:
        groups["view"] = "AP" if pixels_rng.random() < 0.3 else "PA"
        rows, columns = int(pixels_rng.integers(256, 281)), int(pixels_rng.integers(248, 273))
        image = {finding: str(known[finding]) for finding in of_modality("image")}
        drawn = render(image, rows=rows, columns=columns, rng=pixels_rng)
        path = folder / "scans" / f"{name}.dcm"
        write_scan(
            path,
            drawn.grey,
            device=device,
            identity=f"{seed}/{index}",
            patient_id=patient,
            day=f"{day:%Y%m%d}",
            view=groups["view"],
        )
        scans = (Scan(path.relative_to(folder)),)
        if masks:
            Image.fromarray(drawn.opacity.astype(np.uint8) * 255).save(folder / "masks" / f"{name}.png")

    notes: tuple[Note, ...] = ()
    if known["course"] is not None:
        prose_rng = _rng(seed, index, "prose")
        text = write_note({finding: str(known[finding]) for finding in of_modality("text")}, prose_rng)
        path = folder / "notes" / f"{name}.txt"
        path.write_bytes(_encoded(text, prose_rng))
        notes = (Note(path.relative_to(folder)),)

    truth: dict[Evidence, tuple[float, ...]] = {m: tuple(posterior(known, (m,)).tolist()) for m in MODALITIES}
    truth["all"] = tuple(posterior(known).tolist())
    case = Case(
        case_id=name,
        patient_id=patient,
        time=day.isoformat(),
        scans=scans,
        notes=notes,
        values={column: known[column] for column in TABULAR},
        labels={other: int(other == LABELS[label]) for other in LABELS},
        groups=groups,
    )
    return _Made(case, truth)


def _patient_of(index: int, seed: int) -> tuple[int, int]:
    """The patient of a case, and which visit it is (0 the first): one patient in five has two cases."""
    block, place = divmod(index, BLOCK)
    rng = _rng(seed, block, "visits")
    second = int(rng.integers(1, BLOCK))
    first = int(rng.integers(0, second))
    if place == second:
        return block * (BLOCK - 1) + first, 1
    return block * (BLOCK - 1) + place - (place > second), 0


STREAMS = ("visits", "person", "findings", "pixels", "prose")


def _rng(seed: int, index: int, stream: str) -> np.random.Generator:
    """Randomness of one case and one purpose; what is drawn for one never shifts another."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(STREAMS.index(stream), index)))


def _lose_some(findings: Mapping[str, Value], rng: np.random.Generator) -> dict[str, Value | None]:
    """The findings with some parts missing."""
    lot = rng.random()
    lost = {
        "text": lot < MISSING_NOTE,
        "image": MISSING_NOTE <= lot < MISSING_NOTE + MISSING_SCAN,
    }
    known: dict[str, Value | None] = {}
    for name, value in findings.items():
        modality = FINDINGS[name].modality
        gone = rng.random() < MISSING_VALUE if modality == "tabular" else lost[modality]
        known[name] = None if gone else value
    return known


def _encoded(text: str, rng: np.random.Generator) -> bytes:
    """UTF-8, or Latin-1 as older systems write it, where the text allows."""
    old = rng.random() < 0.3 and max(map(ord, text)) < 256
    return text.encode("latin-1" if old else "utf-8")


def _write_truth(path: Path, made: list[_Made]) -> None:
    temporary = path.with_name(path.name + ".partial")
    with temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("case_id", "evidence", *LABELS))
        for one in made:
            for evidence, probabilities in one.truth.items():
                writer.writerow((one.case.case_id, evidence, *(f"{p:.9f}" for p in probabilities)))
    os.replace(temporary, path)
