"""A folder of images, `SOURCE/<label>/<images>`, each folder's name the label; or with a `metadata.csv`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from medfuse.case import Case, Note, Split
from medfuse.cohort import Cohort
from medfuse.errors import CohortError, NoteError
from medfuse.importers.columns import OPTIONS
from medfuse.importers.image_metadata import cohort_of_metadata, metadata_of
from medfuse.importers.importer import Importer
from medfuse.importers.linking import digest_of, linked_patients
from medfuse.importers.new_folder import NewFolder, file_inside, safe_name
from medfuse.importers.rows import read_rows, require_columns
from medfuse.importers.splits import SPLIT_NAMES, fill_splits
from medfuse.notes import read_note

SUFFIXES = frozenset({".dcm", ".dicom", ".png", ".jpg", ".jpeg", ".tif", ".tiff"})
PATIENTS = "patients.csv"


def read_image_folder(
    source: Path,
    folder: NewFolder,
    *,
    task: str,
    progress: Callable[[int], None] | None = None,
    patients: str = "",
    redact: str = "",
    **options: str,
) -> Cohort:
    """Fill the folder and give the cohort: one case an image, its note a `.txt` file of the same stem beside it.

    An image's patient is its stem, so that `a/17.png` and `b/17.png` stay in one split, unless a table names it.
    `train`, `val`, `test` and the like right under the source are splits, with the labels' folders inside; a patient's
    stem then holds within the split. With `metadata.csv` or `metadata.jsonl` the rows of these are the cases instead.

    Raises:
        CohortError: If the source has neither labels' folders nor metadata, or the new folder lies inside it.
    """
    if not source.is_dir():
        message = f"{source}: not a folder; image-folder reads SOURCE/<label>/<images>"
        raise CohortError(message)
    if folder.out.resolve().is_relative_to(source.resolve()):
        message = f"{folder.out}: lies inside the source and would be taken for a label next time; name another place"
        raise CohortError(message)
    if metadata := metadata_of(_roots(source)):
        return cohort_of_metadata(
            metadata, options, source=source, folder=folder, task=task, redact=redact, progress=progress
        )
    if redact or options or task != "multiclass":
        message = f"{source}: no metadata.csv or metadata.jsonl; tasks and options for columns need one"
        raise CohortError(message)
    return _read_label_folders(source, folder, patients=patients, progress=progress)


def _read_label_folders(
    source: Path, folder: NewFolder, *, patients: str, progress: Callable[[int], None] | None
) -> Cohort:
    problems: list[str] = []
    images = _images(source, problems)
    labels = sorted({label for _, label, _ in images})
    if len(labels) < 2:
        message = f"{source}: images of two labels or more are needed, in SOURCE/<label>/; found {labels or 'none'}"
        raise CohortError(message)
    names = _patients(source, patients, problems)
    owners = [
        names.get(path.relative_to(source).as_posix(), f"{split}_{path.stem}" if split else path.stem)
        for path, _, split in images
    ]
    linked = linked_patients((owner, digest_of(path)) for owner, (path, _, _) in zip(owners, images, strict=True))
    if shared := len(set(owners)) - len(set(linked.values())):
        problems.append(f"{shared} patients share a file with another; such patients are taken as one")
    cases: list[Case] = []
    for owner, (path, label, split) in zip(owners, images, strict=True):
        scan = folder.scan(path, f"{label}_{path.stem}")
        case_id = safe_name(f"{label}_{path.stem}")
        cases.append(
            Case(
                case_id=case_id,
                patient_id=linked[owner],
                split=split,
                scans=(scan,),
                notes=_note_beside(path, source, folder, problems),
                labels={name: int(name == label) for name in labels},
            )
        )
        if progress is not None:
            progress(1)
    return Cohort(
        folder=folder.path,
        name=safe_name(source.resolve().name),
        task="multiclass",
        labels=tuple(labels),
        cases=fill_splits(_with_unique_ids(cases)),
        problems=tuple(problems),
    )


IMAGE_FOLDER = Importer(
    read=read_image_folder,
    summary="a folder of images a label, SOURCE/<label>/<images>, with .txt notes beside them; or with metadata.csv",
    tasks=("multiclass", "multilabel"),
    default_task="multiclass",
    options={
        "patients": f"a table inside SOURCE with the columns file and patient_id; {PATIENTS} if it is there",
        **{name: f"in metadata: {meaning}" for name, meaning in OPTIONS.items() if name not in ("image", "split")},
    },
)


def _images(source: Path, problems: list[str]) -> list[tuple[Path, str, Split | None]]:
    """Path, label and split of each image, in the order of the names."""
    images: list[tuple[Path, str, Split | None]] = []
    for root, split in _roots(source):
        for label in _folders(root):
            for path in sorted(label.rglob("*")):
                if path.is_dir() or path.suffix.lower() == ".txt" or path.name.startswith("."):
                    continue
                where = path.relative_to(source).as_posix()
                found = file_inside(source, where)
                if path.suffix.lower() not in SUFFIXES and not (path.suffix == "" and _is_dicom(path)):
                    problems.append(f"'{where}' is no DICOM, PNG, JPEG or TIFF file; left out")
                elif isinstance(found, str):
                    problems.append(f"'{where}' {found}; left out")
                else:
                    images.append((path, label.name, split))
    return images


def _roots(source: Path) -> list[tuple[Path, Split | None]]:
    """The folders that hold the labels' folders, with the split of each: the source itself, or one a split."""
    tops = _folders(source)
    if tops and all(top.name.lower() in SPLIT_NAMES for top in tops):
        return [(top, SPLIT_NAMES[top.name.lower()]) for top in tops]
    return [(source, None)]


def _folders(root: Path) -> list[Path]:
    return sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _is_dicom(path: Path) -> bool:
    """Whether the file has the prefix of DICOM PS3.10 section 7.1; such files often have no suffix."""
    with path.open("rb") as stream:
        return stream.read(132)[128:] == b"DICM"


def _patients(source: Path, option: str, problems: list[str]) -> dict[str, str]:
    """Patient by path of the image."""
    found = file_inside(source, option or PATIENTS)
    if isinstance(found, str):
        if option:
            message = f"{source / option}: {found}; `patients` is a table inside the source folder"
            raise CohortError(message)
        return {}
    rows = read_rows(found)
    require_columns(found, ("file", "patient_id"), list(rows[0]))
    names = {Path(row["file"].strip()).as_posix(): row["patient_id"].strip() for row in rows}
    if blank := sum(not name for name in names.values()):
        problems.append(f"{found.name}: {blank} files without patient_id; each is taken as a patient of its own")
    return {file: name for file, name in names.items() if name}


def _note_beside(path: Path, source: Path, folder: NewFolder, problems: list[str]) -> tuple[Note, ...]:
    beside = path.with_suffix(".txt")
    if not beside.exists():
        return ()
    where = beside.relative_to(source).as_posix()
    found = file_inside(source, where)
    if isinstance(found, str):
        problems.append(f"'{where}' {found}; left out")
        return ()
    try:
        text = read_note(found).text or ""
    except NoteError as error:
        problems.append(f"note '{where}': {error}")
        return ()
    return (folder.note(text, f"{path.parent.name}_{path.stem}"),) if text else ()


def _with_unique_ids(cases: list[Case]) -> tuple[Case, ...]:
    """Cases whose ids met (two files of one stem) told apart by a number."""
    taken: set[str] = set()
    unique = []
    for case in cases:
        case_id, number = case.case_id, 1
        while case_id in taken:
            number += 1
            case_id = f"{case.case_id}_{number}"
        taken.add(case_id)
        unique.append(replace(case, case_id=case_id))
    return tuple(unique)
