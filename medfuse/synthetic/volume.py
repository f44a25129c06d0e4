"""The CT cohort: chests as small DICOM series, whose lesion decides the label together with the note.

A finding is drawn from the label alone, so the true posterior is known, as in `evidence.py`. What side a lesion is on
can only be told from where the slices say that they lie: one of the two scanners sees its patients prone.
"""

from __future__ import annotations

import csv
import os
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian

from medfuse.case import Case, Note, Scan
from medfuse.cohort import Cohort
from medfuse.errors import CohortError
from medfuse.synthetic.dicom import IMPLEMENTATION, NAMESPACE

LABELS = ("aspiration", "tumour", "no_acute_finding")
PRIOR = (0.36, 0.36, 0.28)
# P(finding | label), one row a label. What is breathed in falls into the right lung, whose bronchus is the steeper.
LESION: Mapping[str, tuple[float, ...]] = {
    "none": (0.03, 0.03, 0.94),
    "right large": (0.71, 0.13, 0.015),
    "right small": (0.11, 0.355, 0.015),
    "left large": (0.09, 0.13, 0.015),
    "left small": (0.06, 0.355, 0.015),
}
COURSE: Mapping[str, tuple[float, ...]] = {
    "choked": (0.74, 0.12, 0.33),
    "wasting": (0.12, 0.74, 0.33),
    "checkup": (0.14, 0.14, 0.34),
}
WORDS: Mapping[str, tuple[str, ...]] = {
    "choked": (
        "Vomited while drowsy, now coughing and hypoxic.",
        "Choked on a meal; impaired swallow after a stroke.",
        "Found drowsy after alcohol, vomit around the mouth.",
    ),
    "wasting": (
        "Smoker, lost ten kilos over six months.",
        "Haemoptysis and weight loss, forty pack years.",
        "Night sweats, poor appetite and a hoarse voice; smokes.",
    ),
    "checkup": (
        "Follow-up after a fall, bruised ribs.",
        "Work-up before elective surgery.",
        "Cough for a week, otherwise well.",
    ),
}
SIZES = {"small": (13.0, 17.0), "large": (27.0, 33.0)}  # radius, millimetres

ROWS, SLICES = 48, 16
SPACING, THICKNESS = 7.0, 18.0  # millimetres: 336 × 336 × 288
ORIENTATIONS = {"north": (1, 0, 0, 0, 1, 0), "south": (-1, 0, 0, 0, -1, 0)}  # supine and prone, both head first


def make_ct_cohort(
    folder: str | Path, *, cases: int, seed: int, progress: Callable[[int], None] | None = None
) -> Cohort:
    """Write a synthetic CT cohort: `cohort.yaml`, `cases.csv`, `truth.csv`, `scans/` (a folder a series) and `notes/`.

    The same seed gives the same files, and the n-th case does not depend on how many there are. One case in twenty has
    no note and one in twenty no scan, at random.

    Args:
        folder: Where to; must be free.
        cases: How many cases, each of a patient of its own.
        seed: What decides everything, 0 or more.
        progress: Called with 1 after each case.

    Raises:
        CohortError: If there are no cases to make, or the folder is not free.
    """
    folder = Path(folder)
    if cases < 1 or seed < 0:
        message = f"{cases} cases from seed {seed} cannot be made; ask for 1 or more, from a seed of 0 or more"
        raise CohortError(message)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        message = f"{folder}: already there; choose another folder or remove it first"
        raise CohortError(message)
    made: list[Case] = []
    rows: list[Sequence[object]] = [("case_id", "evidence", *LABELS)]
    for index in range(cases):
        case, posteriors = _make(folder, seed, index)
        made.append(case)
        rows += [(case.case_id, evidence, *(f"{p:.9f}" for p in found)) for evidence, found in posteriors.items()]
        if progress is not None:
            progress(1)
    cohort = Cohort(
        folder,
        "medfuse synthetic CT",
        "multiclass",
        LABELS,
        tuple(made),
        groups=("site",),
        licence="CC0-1.0",
        citation="Synthetic CT chests and notes made by medfuse; no patient stands behind any of them.",
    )
    partial = folder / "truth.csv.partial"
    with partial.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, lineterminator="\n").writerows(rows)
    os.replace(partial, folder / "truth.csv")
    cohort.save()
    return cohort


def _make(folder: Path, seed: int, index: int) -> tuple[Case, dict[str, list[float]]]:
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(index,)))
    label = int(rng.choice(len(LABELS), p=PRIOR))
    lesion, course = (
        str(rng.choice(list(table), p=[row[label] for row in table.values()])) for table in (LESION, COURSE)
    )
    name, lot = f"case-{index + 1:04d}", rng.random()
    site = str(rng.choice(list(ORIENTATIONS)))
    has_scan, has_note = lot >= 0.05, not 0.05 <= lot < 0.10
    if has_scan:
        write_series(
            folder / "scans" / name,
            render(lesion, rng),
            identity=f"{seed}/{index}",
            patient_id=f"P{index + 1:04d}",
            orientation=ORIENTATIONS[site],
        )
    note = folder / "notes" / f"{name}.txt"
    if has_note:
        note.parent.mkdir(parents=True, exist_ok=True)
        note.write_text(f"HISTORY: {rng.choice(WORDS[course])}\n", encoding="utf-8")
    image = LESION[lesion] if has_scan else (1.0,) * len(LABELS)
    text = COURSE[course] if has_note else (1.0,) * len(LABELS)
    posteriors = {
        "image": _posterior(image),
        "text": _posterior(text),
        "all": _posterior([a * b for a, b in zip(image, text, strict=True)]),
    }
    case = Case(
        case_id=name,
        patient_id=f"P{index + 1:04d}",
        scans=(Scan(Path("scans") / name),) if has_scan else (),
        notes=(Note(Path("notes") / note.name),) if has_note else (),
        labels={other: int(place == label) for place, other in enumerate(LABELS)},
        groups={"site": site},
    )
    return case, posteriors


def _posterior(likelihood: Sequence[float]) -> list[float]:
    joint = [p * given for p, given in zip(PRIOR, likelihood, strict=True)]
    return [one / sum(joint) for one in joint]


def render(lesion: str, rng: np.random.Generator) -> Float32[np.ndarray, "z y x"]:
    """A chest in Hounsfield units [slices, rows, columns]: slices go to the head, rows to the back, columns left."""
    z, y, x = np.meshgrid(
        (np.arange(SLICES) - (SLICES - 1) / 2) * THICKNESS,
        (np.arange(ROWS) - (ROWS - 1) / 2) * SPACING,
        (np.arange(ROWS) - (ROWS - 1) / 2) * SPACING,
        indexing="ij",
    )
    size = rng.uniform(0.95, 1.05)

    def inside(centre: Sequence[float], radii: Sequence[float]) -> np.ndarray:
        """How much of each voxel lies in an ellipsoid, softened over half a voxel."""
        across = [(axis - c * size) / (r * size) for axis, c, r in zip((x, y, z), centre, radii, strict=True)]
        distance = (np.sqrt(sum(a * a for a in across)) - 1) * min(radii) * size
        return np.asarray(np.clip(0.5 - distance / SPACING, 0, 1))

    volume = np.full(x.shape, -1000.0)
    body = np.clip(0.5 - (np.sqrt((x / (150 * size)) ** 2 + (y / (105 * size)) ** 2) - 1) * 105 / SPACING, 0, 1)
    volume += body * 1040
    for side in (-1, 1):
        volume += inside((side * 68, 0, 0), (52, 75, 130)) * -890
    volume += inside((14, -30, -40), (45, 40, 55)) * (40 - volume)  # the heart, a little to the left
    volume += inside((0, 78, 0), (18, 18, 400)) * (350 - volume)
    if lesion != "none":
        place, kind = lesion.split()
        low, high = SIZES[kind]
        sign = -1 if place == "right" else 1  # columns run to the patient's left
        centre = (sign * rng.uniform(62, 84), rng.uniform(-25, 40), rng.uniform(-70, 70))
        volume += inside(centre, (rng.uniform(low, high),) * 3) * (40 - volume)
    return (volume + rng.normal(0, 25, volume.shape)).astype(np.float32)


def write_series(
    folder: Path,
    volume: Float32[np.ndarray, "z y x"],
    *,
    identity: str,
    patient_id: str,
    orientation: Sequence[int] = ORIENTATIONS["north"],
) -> None:
    """Write a volume as one CT series, a file a slice (CT Image IOD, PS3.3 A.3); numbers say nothing of the order.

    Args:
        folder: Made anew.
        volume: Hounsfield units, as `render` gives them.
        identity: Names the series; its UIDs follow from it alone.
        patient_id: Patient ID.
        orientation: Image Orientation (Patient); both directions of the image plane may be turned round.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    across, down = orientation[0], orientation[4]
    stored = np.clip(np.rint(volume + 1024), 0, 4095).astype("<u2")[:, ::down, ::across]
    half = (ROWS - 1) / 2 * SPACING
    order = np.random.default_rng(int(_uid(identity)[5:]) % 2**32).permutation(len(stored))
    for place, plane in enumerate(stored):
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = _uid(f"{identity}/{place}")
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.file_meta.ImplementationClassUID = IMPLEMENTATION
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = _uid(f"{identity}/study"), _uid(f"{identity}/series")
        dataset.FrameOfReferenceUID = _uid(f"{identity}/frame")
        dataset.PatientID, dataset.PatientName = patient_id, f"Phantom^{patient_id}"
        dataset.PatientBirthDate = dataset.PatientSex = dataset.StudyDate = dataset.StudyTime = dataset.StudyID = ""
        dataset.AccessionNumber = dataset.ReferringPhysicianName = dataset.Manufacturer = dataset.AcquisitionNumber = ""
        dataset.PositionReferenceIndicator, dataset.KVP = "", "120"
        dataset.Modality, dataset.ImageType = "CT", ["ORIGINAL", "PRIMARY", "AXIAL"]
        dataset.SeriesNumber, dataset.InstanceNumber = 1, int(order[place]) + 1
        dataset.PatientPosition = "HFS" if across > 0 else "HFP"
        dataset.ImageOrientationPatient = list(orientation)
        height = (place - (len(stored) - 1) / 2) * THICKNESS
        dataset.ImagePositionPatient = [-half * across, -half * down, height]
        dataset.PixelSpacing, dataset.SliceThickness = [SPACING, SPACING], THICKNESS
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.Rows, dataset.Columns = plane.shape
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = -1024, 1, "HU"
        dataset.WindowCenter, dataset.WindowWidth = -300, 1400
        dataset.PixelData = np.ascontiguousarray(plane).tobytes()
        dataset["PixelData"].VR = "OW"
        dataset.save_as(folder / f"{int(order[place]):03d}.dcm", enforce_file_format=True)


def _uid(text: str) -> UID:
    return UID(f"2.25.{uuid.uuid5(NAMESPACE, f'ct {text}').int}")
