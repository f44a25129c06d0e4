"""MIMIC-CXR and MIMIC-CXR-JPG as PhysioNet lays them out: a study is a case, with its report and its triage.

    SRC/mimic-cxr-2.0.0-metadata.csv.gz, -chexpert.csv.gz or -negbio.csv.gz, -split.csv.gz
    SRC/files/p10/p10000032/s50414267/<dicom_id>.jpg or .dcm
    SRC/files/p10/p10000032/s50414267.txt

The tables come with MIMIC-CXR-JPG, the DICOM files and reports with MIMIC-CXR; where these are kept apart, options name
the folders.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from medfuse.case import Case, Note, Split
from medfuse.cohort import SEPARATOR, UNCERTAIN, Cohort, Kind
from medfuse.errors import CohortError, NoteError
from medfuse.importers.importer import Importer
from medfuse.importers.mimic_ed import TRIAGE_COLUMNS, Stay, read_stays, stay_at
from medfuse.importers.new_folder import NewFolder
from medfuse.importers.rows import require_columns, stream_rows
from medfuse.importers.splits import SPLIT_NAMES, fill_splits
from medfuse.notes import read_note

LABELS = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Enlarged Cardiomediastinum", "Fracture", "Lung Lesion",
    "Lung Opacity", "No Finding", "Pleural Effusion", "Pleural Other", "Pneumonia", "Pneumothorax", "Support Devices",
)  # fmt: skip
IDS = ("subject_id", "study_id")
READINGS: Mapping[str, int | None] = {"blank": None, "positive": 1, "negative": 0}  # of an answer that is neither

LICENCE = "PhysioNet Credentialed Health Data License 1.5.0"
CITATION = (
    "A. E. W. Johnson, T. J. Pollard, S. J. Berkowitz, N. R. Greenbaum, M. P. Lungren, C. Deng, R. G. Mark, S. Horng: "
    "MIMIC-CXR, a de-identified publicly available database of chest radiographs with free-text reports. Scientific "
    "Data 6:317, 2019; A. E. W. Johnson et al.: MIMIC-CXR-JPG. arXiv:1901.07042, 2019; A. L. Goldberger et al.: "
    "PhysioBank, PhysioToolkit, and PhysioNet. Circulation 101(23):e215-e220, 2000"
)

_ID = re.compile(r"\d{1,12}")
_DICOM_ID = re.compile(r"[0-9a-zA-Z-]{1,64}")
_FRONTAL = ("PA", "AP")


@dataclass
class _Study:
    """A study as the tables have it; `images` are dicom_id and view."""

    subject: str
    time: str | None
    images: list[tuple[str, str]] = field(default_factory=list)
    split: Split | None = None
    labels: dict[str, int | None] = field(default_factory=dict)


def read_mimic_cxr(
    source: Path,
    folder: NewFolder,
    *,
    task: str,
    progress: Callable[[int], None] | None = None,
    labels: str = "",
    uncertain: str = "blank",
    unmentioned: str = "negative",
    split: str = "official",
    images: str = "",
    reports: str = "",
    ed: str = "",
) -> Cohort:
    """Fill the folder and give the cohort: a study with an image on disk is a case, its frontal images first.

    A study whose time lies within an emergency stay of its patient gets what was taken down at that triage. FINDINGS
    and IMPRESSION stay in the report; the config decides whether a model reads them.

    Raises:
        CohortError: If a table or a folder is missing or damaged, or an option has no such value.
    """
    chosen = _chosen(source, labels)
    unsure = UNCERTAIN if uncertain == "kept" else _reading("uncertain", uncertain, "kept")
    readings = {"-1": unsure, "": _reading("unmentioned", unmentioned), "1": 1, "0": 0}
    if split not in ("official", "none"):
        message = f"option split is '{split}'; it is official or none"
        raise CohortError(message)
    image_root, report_root = _root(source, images), _root(source, reports)
    problems: list[str] = []
    studies = _studies(_table(source, "metadata"), problems)
    _add_labels(studies, _table(source, task), chosen, readings)
    if split == "official":
        _add_splits(studies, _table(source, "split"))
    stays = read_stays(Path(ed), {study.subject for study in studies.values()}) if ed else {}
    cases: list[Case] = []
    for study_id, study in studies.items():
        if (files := _files(image_root, study_id, study)) and (split == "none" or study.split is not None):
            stay = stay_at(stays.get(study.subject, []), study.time)
            cases.append(
                Case(
                    case_id=f"s{study_id}",
                    patient_id=f"p{study.subject}",
                    time=study.time,
                    split=study.split,
                    scans=tuple(folder.scan(path, path.stem) for path, _ in files),
                    notes=_notes(report_root, study_id, study, stay, folder, problems),
                    values=dict(stay.values) if stay else {},
                    labels={name: None if value == UNCERTAIN else value for name, value in study.labels.items()},
                    uncertain=frozenset(name for name, value in study.labels.items() if value == UNCERTAIN),
                    groups={"view": files[0][1]},
                )
            )
        if progress is not None:
            progress(1)
    if left_out := len(studies) - len(cases):
        problems.append(f"{left_out} of {len(studies)} studies have no image on disk, or no split; left out")
    tabular: Mapping[str, Kind] = TRIAGE_COLUMNS if ed else {}
    return Cohort(
        folder=folder.path,
        name=f"mimic-cxr-{task}",
        task="multilabel",
        labels=chosen,
        cases=fill_splits(cases),
        tabular=tabular,
        groups=("view",),
        licence=LICENCE,
        citation=CITATION,
        problems=tuple(problems),
    )


MIMIC_CXR = Importer(
    read=read_mimic_cxr,
    summary="MIMIC-CXR(-JPG): a folder with the csv.gz tables of MIMIC-CXR-JPG and files/p10/p10000032/s50414267/...",
    tasks=("chexpert", "negbio"),
    default_task="chexpert",
    options={
        "labels": f"labels to take, joined by {SEPARATOR}; all fourteen if not given",
        "uncertain": "what -1 (uncertain) becomes: blank (the default), positive, negative, or kept (as -1)",
        "unmentioned": "what an empty cell (not mentioned) becomes: negative (the default), positive or blank",
        "split": "official (the default), or none to draw one by patient",
        "images": "the folder with files/ for the images, if it is not SRC, such as that of MIMIC-CXR with DICOM files",
        "reports": "the folder with files/ for the reports (mimic-cxr-reports.zip unpacked), if it is not SRC",
        "ed": "the folder ed of MIMIC-IV-ED, for triage values and chief complaints",
    },
)


def _chosen(source: Path, labels: str) -> tuple[str, ...]:
    named = tuple(dict.fromkeys(filter(None, (part.strip() for part in labels.split(SEPARATOR)))))
    require_columns(source, named, LABELS)
    return named or LABELS


def _reading(option: str, value: str, *more: str) -> int | None:
    if value not in READINGS:
        message = f"option {option} is '{value}'; it is one of {', '.join((*READINGS, *more))}"
        raise CohortError(message)
    return READINGS[value]


def _root(source: Path, option: str) -> Path:
    """The folder that holds p10, p11 and so on."""
    root = Path(option) if option else source
    if not root.is_dir():
        message = f"{root}: no such folder"
        raise CohortError(message)
    return root / "files" if (root / "files").is_dir() else root


def _table(source: Path, name: str) -> Path:
    """The table of whichever version, packed or not."""
    found = sorted(source.glob(f"mimic-cxr-*-{name}.csv.gz")) or sorted(source.glob(f"mimic-cxr-*-{name}.csv"))
    if not found:
        message = f"{source}: no mimic-cxr-2.0.0-{name}.csv.gz; it comes with MIMIC-CXR-JPG, put it there"
        raise CohortError(message)
    return found[-1]


def _studies(table: Path, problems: list[str]) -> dict[str, _Study]:
    """The studies in the order of the metadata, each with its images."""
    studies: dict[str, _Study] = {}
    faulty = 0
    for row in stream_rows(table, (*IDS, "dicom_id", "ViewPosition", "StudyDate", "StudyTime")):
        ids_hold = _ID.fullmatch(row["subject_id"]) and _ID.fullmatch(row["study_id"])
        if not (ids_hold and _DICOM_ID.fullmatch(row["dicom_id"])):
            faulty += 1
            continue
        study = studies.setdefault(
            row["study_id"], _Study(row["subject_id"], _time_of(row["StudyDate"], row["StudyTime"]))
        )
        study.images.append((row["dicom_id"], row["ViewPosition"]))
    if faulty:
        problems.append(f"{table.name}: {faulty} rows without proper ids; left out")
    return studies


def _time_of(date: str, time: str) -> str | None:
    """ISO 8601 of 21800506 and 213014.531; the table's times have lost the zeros before them."""
    written = f"{date.split('.')[0]}{time.split('.')[0].zfill(6)}"
    try:
        return datetime.strptime(written, "%Y%m%d%H%M%S").isoformat()  # noqa: DTZ007 - shifted dates have no zone
    except ValueError:
        return None


def _add_labels(
    studies: Mapping[str, _Study], table: Path, labels: tuple[str, ...], readings: Mapping[str, int | None]
) -> None:
    """A study that is not in the table stays unlabelled."""
    for study in studies.values():
        study.labels = dict.fromkeys(labels)
    for row in stream_rows(table, (*IDS, *labels)):
        if (found := studies.get(row["study_id"])) is not None:
            found.labels = {label: readings.get(row[label].removesuffix(".0")) for label in labels}


def _add_splits(studies: Mapping[str, _Study], table: Path) -> None:
    for row in stream_rows(table, ("study_id", "split")):
        if (study := studies.get(row["study_id"])) is not None:
            study.split = SPLIT_NAMES.get(row["split"])


def _files(root: Path, study_id: str, study: _Study) -> list[tuple[Path, str]]:
    """The images that are on disk with their views, frontal before lateral; DICOM where there is JPEG too."""
    place = root / f"p{study.subject[:2]}" / f"p{study.subject}" / f"s{study_id}"
    try:
        there = {path.name: path for path in place.iterdir()}
    except OSError:
        return []
    found = [
        (there.get(f"{dicom_id}.dcm") or there[f"{dicom_id}.jpg"], view)
        for dicom_id, view in study.images
        if f"{dicom_id}.dcm" in there or f"{dicom_id}.jpg" in there
    ]
    return sorted(found, key=lambda image: (image[1] not in _FRONTAL, image[1], image[0].name))


def _notes(
    root: Path, study_id: str, study: _Study, stay: Stay | None, folder: NewFolder, problems: list[str]
) -> tuple[Note, ...]:
    """What was said at triage, and then the report."""
    notes = []
    if stay is not None and stay.complaint:
        complaint = f"CHIEF COMPLAINT: {stay.complaint}"
        notes.append(folder.note(complaint, f"s{study_id}_triage", kind="triage", time=stay.arrived.isoformat()))
    path = root / f"p{study.subject[:2]}" / f"p{study.subject}" / f"s{study_id}.txt"
    if path.is_file():
        try:
            text = read_note(path).text or ""
        except NoteError as error:
            problems.append(f"case s{study_id}: {error}")
        else:
            notes.append(folder.note(text, f"s{study_id}", kind="radiology report", time=study.time))
    return tuple(notes)
