"""A folder of DICOM files and a spreadsheet: what an export from a PACS and a list from a research database give.

A row is matched to files by what it names: a file, a StudyInstanceUID, an AccessionNumber or a PatientID. A study is a
case; its structured reports and encapsulated PDF documents are notes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from medfuse.case import Note
from medfuse.cohort import Cohort
from medfuse.errors import CohortError, NoteError
from medfuse.importers.columns import OPTIONS, choose_columns
from medfuse.importers.dicom_index import HEADER_COLUMNS, DicomFile, index_dicom, scans_of
from medfuse.importers.importer import Importer
from medfuse.importers.new_folder import NewFolder, safe_name
from medfuse.importers.row_cases import Row, cohort_of_rows, plain
from medfuse.importers.rows import TABLE_SUFFIXES, read_rows, require_columns
from medfuse.notes import read_note

# How a row may name its files, the surest first, with the usual names of such columns.
MATCHES: Mapping[str, tuple[str, ...]] = {
    "file": ("file", "filename", "file_name", "path", "image", "sopinstanceuid", "sop_instance_uid"),
    "study": ("studyinstanceuid", "study_instance_uid", "study_uid"),
    "accession": ("accessionnumber", "accession_number", "accession"),
    "patient": ("patientid", "patient_id", "patient", "mrn"),
}


@dataclass(frozen=True)
class _Index:
    """The files by what a row may name them by."""

    file: Mapping[str, Sequence[DicomFile]]
    study: Mapping[str, Sequence[DicomFile]]
    accession: Mapping[str, Sequence[DicomFile]]
    patient: Mapping[str, Sequence[DicomFile]]


def read_dicom_folder(
    source: Path,
    folder: NewFolder,
    *,
    task: str,
    progress: Callable[[int], None] | None = None,
    table: str = "",
    redact: str = "",
    file: str = "",
    study: str = "",
    accession: str = "",
    patient: str = "",
    **options: str,
) -> Cohort:
    """Fill the folder and give the cohort.

    A case is named by a running number, since every identifier of a header may name the person; its patient is the
    header's PatientID.

    Raises:
        CohortError: If there is no table or no DICOM, or no column names files.
    """
    path = _table(source, table)
    cells = read_rows(path)
    there = list(cells[0])
    named = {"file": file, "study": study, "accession": accession, "patient": patient}
    matches = _match_columns(path, there, named)
    columns = choose_columns(
        path,
        [*there, *(column for column in HEADER_COLUMNS if column not in there)],
        options | {"patient": matches.get("patient", "")},
        files_known=True,
    )
    problems: list[str] = []
    files = index_dicom(source, problems)
    if not files:
        message = f"{source}: no DICOM files in the folder"
        raise CohortError(message)
    index = _index(source, files)
    rows: list[Row] = []
    names: dict[str, str] = {}
    matched: set[Path] = set()
    for number, row in enumerate(cells, start=2):
        found = _found(row, matches, index)
        if isinstance(found, str):
            problems.append(f"{path.name} row {number}: {found}; left out")
            continue
        matched.update(one.path for one in found)
        for of_study in _by_study(found):
            name = names.setdefault(of_study[0].study, f"study{len(names) + 1:05}")
            rows.append(_row(number, row, of_study, name, problems))
    if unmatched := len({one.path for one in files} - matched):
        problems.append(f"{unmatched} of {len(files)} DICOM files belong to no row of {path.name}; left out")
    if not rows:
        message = f"{path}: no row names a DICOM file of {source}; matched by {', '.join(matches.values())}"
        raise CohortError(message)
    return cohort_of_rows(
        rows,
        columns,
        folder=folder,
        table=path,
        name=safe_name(source.resolve().name),
        task=task,
        redact=redact,
        problems=problems,
        progress=progress,
    )


DICOM_FOLDER = Importer(
    read=read_dicom_folder,
    summary="a folder of DICOM files and a CSV, TSV or Excel table whose rows name a file, study, accession or patient",
    tasks=("multiclass", "multilabel"),
    default_task="multiclass",
    options={
        "table": "the table; if not given, the only one in SRC itself",
        "file": "the column that names a file by path, name or SOPInstanceUID; guessed from file, filename, path",
        "study": "the column of StudyInstanceUIDs; guessed from StudyInstanceUID, study_uid",
        "accession": "the column of AccessionNumbers; guessed from AccessionNumber, accession",
        "patient": "the column of PatientIDs; guessed from PatientID, patient_id, mrn",
        **{role: OPTIONS[role] for role in ("text", "label", "case", "split", "redact")},
        "tabular": f"columns of values for the model; {', '.join(HEADER_COLUMNS)} come from the headers",
        "groups": "columns to report results by, never given to the model; those of the headers too",
    },
)


def _table(source: Path, option: str) -> Path:
    if not source.is_dir():
        message = f"{source}: not a folder; dicom-folder reads a folder of DICOM files and a table"
        raise CohortError(message)
    if option:
        inside = source / option
        return inside if inside.is_file() else Path(option)
    tables = sorted(path for path in source.iterdir() if path.suffix.lower() in TABLE_SUFFIXES)
    if len(tables) != 1:
        message = f"{source}: {len(tables)} tables in the folder; name one by the option table"
        raise CohortError(message)
    return tables[0]


def _match_columns(table: Path, there: Sequence[str], named: Mapping[str, str]) -> dict[str, str]:
    """The column of each way to match, the surest first; a named one must be there."""
    require_columns(table, filter(None, named.values()), there)
    by_small = {name.lower(): name for name in reversed(there)}
    found = {}
    for way, guesses in MATCHES.items():
        column = named[way] or next((by_small[guess] for guess in guesses if guess in by_small), "")
        if column:
            found[way] = column
    if not found:
        message = (
            f"{table}: which column names the DICOM files? name it by one of the options {', '.join(MATCHES)}; there "
            f"are {', '.join(there[:20])}"
        )
        raise CohortError(message)
    return found


def _index(source: Path, files: Iterable[DicomFile]) -> _Index:
    index = _Index({}, {}, {}, {})
    for file in files:
        inside = file.path.relative_to(source)
        for key in dict.fromkeys((inside.as_posix(), inside.name, inside.stem, file.instance)):
            _add(index.file, key, file)
        _add(index.study, file.study, file)
        for way, key in ((index.accession, file.accession), (index.patient, file.patient)):
            _add(way, key, file)
            if (bare := key.lstrip("0")) != key:  # spreadsheets take 00123 for a number
                _add(way, bare, file)
    return index


def _add(way: Mapping[str, Sequence[DicomFile]], key: str, file: DicomFile) -> None:
    if key:
        assert isinstance(way, dict)
        way.setdefault(key, []).append(file)


def _found(row: Mapping[str, str], matches: Mapping[str, str], index: _Index) -> Sequence[DicomFile] | str:
    """The files of a row by the surest way that it has, or in words why there are none."""
    for way, column in matches.items():
        if not (cell := plain(row[column])):
            continue
        if way == "file":
            cell = PurePosixPath(cell.replace("\\", "/")).as_posix()
            if len(found := index.file.get(cell, ())) > 1:
                return f"{len(found)} files have the name in '{column}'; give their paths"
        else:
            found = getattr(index, way).get(cell, ())
        return found or f"no DICOM file for what is in '{column}'"
    return f"nothing in {', '.join(map(repr, matches.values()))}"


def _by_study(files: Iterable[DicomFile]) -> list[list[DicomFile]]:
    """The files of each study, the earliest study first."""
    studies: dict[str, list[DicomFile]] = {}
    for file in files:
        studies.setdefault(file.study, []).append(file)
    return sorted(studies.values(), key=lambda study: study[0].time or "")


def _row(number: int, cells: Mapping[str, str], files: Sequence[DicomFile], name: str, problems: list[str]) -> Row:
    notes: list[Note] = []
    for file in files:
        if file.document:
            try:
                notes.append(read_note(file.path))
            except NoteError as error:
                problems.append(f"case {name}: {error}")
    image = next((file for file in files if not file.document), files[0])
    return Row(
        number,
        {**image.cells, **cells},
        scans_of(files),
        notes=tuple(notes),
        fallback=name,
        patient=image.patient,
        time=image.time,
    )
