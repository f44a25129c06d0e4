"""The DICOM files of a folder, told apart by their headers: which are images of one series, and which are documents."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from medfuse.imaging.boundary import FOREIGN, hush

# Columns that a header gives to every row of its study, for values and groups (PS3.6 keywords; the age in years).
HEADER_COLUMNS = ("PatientAge", "PatientSex", "Modality", "ViewPosition", "Manufacturer")
VOLUMES = frozenset({"CT", "MR", "PT", "NM"})  # modalities whose files of one series are one scan
DOCUMENTS = (  # PS3.4 B.5: structured reports, and encapsulated PDF
    "1.2.840.10008.5.1.4.1.1.88.",
    "1.2.840.10008.5.1.4.1.1.104.1",
)

_TAGS = [
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "InstanceNumber", "PatientID",
    "AccessionNumber", "StudyDate", "StudyTime", "Rows", *HEADER_COLUMNS,
]  # fmt: skip
_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}  # of an age string (PS3.5 6.2, VR AS)


@dataclass(frozen=True)
class DicomFile:
    """What of a header an import needs."""

    path: Path
    study: str
    series: str
    instance: str
    number: int
    patient: str
    accession: str
    time: str | None
    document: bool
    cells: Mapping[str, str]


def index_dicom(source: Path, problems: list[str]) -> list[DicomFile]:
    """The images and documents of a folder and the folders in it, in the order of their paths.

    What is no DICOM is passed over, and so is DICOM without an image or a text; a file that ends in .dcm and cannot be
    read is told of.
    """
    hush()
    found = []
    for folder, folders, names in os.walk(source):
        folders.sort()
        for name in sorted(names):
            path = Path(folder) / name
            try:
                one = _read(path)
            except FOREIGN:
                one = None
                if path.suffix.lower() in (".dcm", ".dicom"):
                    problems.append(f"'{path.relative_to(source).as_posix()}' is no DICOM that can be read; left out")
            if one is not None:
                found.append(one)
    return found


def scans_of(files: Iterable[DicomFile]) -> tuple[tuple[Path, ...], ...]:
    """The files of each scan: those of a CT, MR, PET or NM series together and in order, every other image alone."""
    scans: dict[str, list[DicomFile]] = {}
    for file in files:
        if not file.document:
            volume = file.cells["Modality"] in VOLUMES and file.series
            scans.setdefault(file.series if volume else f"file {file.path}", []).append(file)
    return tuple(
        tuple(file.path for file in sorted(scan, key=lambda file: (file.number, file.path))) for scan in scans.values()
    )


def _read(path: Path) -> DicomFile | None:
    """The header; None if the file has neither an image nor a text.

    Raises:
        Exception: One of `FOREIGN` if it is no DICOM file or broken.
    """
    from pydicom import dcmread
    from pydicom.errors import InvalidDicomError

    if not path.is_file():
        return None
    try:
        dataset = dcmread(path, stop_before_pixels=True, specific_tags=_TAGS)
    except InvalidDicomError as error:
        if path.suffix.lower() not in (".dcm", ".dicom"):
            return None
        dataset = dcmread(path, stop_before_pixels=True, specific_tags=_TAGS, force=True)
        if "SOPClassUID" not in dataset:
            message = "no DICOM file"
            raise ValueError(message) from error
    document = _text(dataset, "SOPClassUID").startswith(DOCUMENTS)
    if not document and "Rows" not in dataset:
        return None
    number = _text(dataset, "InstanceNumber")
    cells = {column: _text(dataset, column) for column in HEADER_COLUMNS}
    cells["PatientAge"] = _years(cells["PatientAge"])
    instance = _text(dataset, "SOPInstanceUID") or str(path)
    return DicomFile(
        path=path,
        study=_text(dataset, "StudyInstanceUID") or instance,
        series=_text(dataset, "SeriesInstanceUID"),
        instance=instance,
        number=int(number) if re.fullmatch(r"-?\d{1,9}", number) else 0,
        patient=_text(dataset, "PatientID"),
        accession=_text(dataset, "AccessionNumber"),
        time=_time(_text(dataset, "StudyDate"), _text(dataset, "StudyTime")),
        document=document,
        cells=cells,
    )


def _text(dataset: Any, keyword: str) -> str:
    """The value as text in one line; "" if it is missing, or broken."""
    try:
        value = dataset.get(keyword)
    except FOREIGN:
        return ""
    if value is None:
        return ""
    joined = "/".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)
    return " ".join(joined.split())


def _years(age: str) -> str:
    match = re.fullmatch(r"(\d{3})([YMWD])", age)
    return "" if match is None else f"{int(match[1]) * _YEARS[match[2]]:.4g}"


def _time(date: str, time: str) -> str | None:
    """ISO 8601 of a date (VR DA) and a time (VR TM)."""
    try:
        day = datetime.strptime(date.replace(".", ""), "%Y%m%d")  # noqa: DTZ007 - a date has no time zone
    except ValueError:
        return None
    digits = time.split(".")[0].replace(":", "")
    try:
        clock = datetime.strptime(digits, "%H%M%S"[: len(digits)]).time()  # noqa: DTZ007
    except ValueError:
        return day.date().isoformat()
    return datetime.combine(day, clock).isoformat() if digits else day.date().isoformat()
