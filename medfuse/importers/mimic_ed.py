"""The emergency department's triage that goes with a study, from MIMIC-IV-ED as PhysioNet lays it out."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from medfuse.cohort import Kind
from medfuse.errors import CohortError
from medfuse.importers.rows import stream_rows

# As triage.csv has them: temperature in °F, rates per minute, o2sat in per cent, pressures in mmHg, pain as the patient
# says (0 to 10), acuity as the Emergency Severity Index (1 is the most urgent).
NUMBERS = ("temperature", "heartrate", "resprate", "o2sat", "sbp", "dbp", "pain", "acuity")
TRIAGE_COLUMNS: Mapping[str, Kind] = {**dict.fromkeys(NUMBERS, "number"), "sex": "category"}


@dataclass
class Stay:
    """One stay in the emergency department."""

    arrived: datetime
    left: datetime
    sex: str
    complaint: str = ""
    values: dict[str, float | str | None] = field(default_factory=dict)


def read_stays(folder: Path, subjects: Collection[str]) -> dict[str, list[Stay]]:
    """The stays of these subjects, with what was taken down at triage, in the order of arrival.

    Args:
        folder: Holds `edstays.csv.gz` and `triage.csv.gz` (or the same unpacked), or a folder `ed` with them.
        subjects: `subject_id`s.

    Raises:
        CohortError: If a table is missing, damaged, or lacks a column.
    """
    stays: dict[str, list[Stay]] = {}
    by_id: dict[str, Stay] = {}
    for row in stream_rows(_table(folder, "edstays"), ("subject_id", "stay_id", "intime", "outtime", "gender")):
        arrived, left = _time(row["intime"]), _time(row["outtime"])
        if row["subject_id"] in subjects and arrived is not None and left is not None:
            stay = Stay(arrived, left, row["gender"])
            stays.setdefault(row["subject_id"], []).append(stay)
            by_id[row["stay_id"]] = stay
    for row in stream_rows(_table(folder, "triage"), ("stay_id", *NUMBERS, "chiefcomplaint")):
        if (found := by_id.get(row["stay_id"])) is not None:
            found.complaint = " ".join(row["chiefcomplaint"].split())
            found.values = {column: _number(row[column], pain=column == "pain") for column in NUMBERS}
            found.values["sex"] = found.sex or None
    for of_subject in stays.values():
        of_subject.sort(key=lambda stay: stay.arrived)
    return stays


def stay_at(stays: list[Stay], time: str | None) -> Stay | None:
    """The stay during which a study was made: the last that had begun and not ended by then.

    Args:
        stays: Stays of the study's subject in the order of arrival.
        time: When the study was made, ISO 8601.
    """
    made = _time(time or "")
    if made is None:
        return None
    return next((stay for stay in reversed(stays) if stay.arrived <= made <= stay.left), None)


def _table(folder: Path, name: str) -> Path:
    for path in (folder / part / f"{name}{suffix}" for part in ("", "ed") for suffix in (".csv.gz", ".csv")):
        if path.is_file():
            return path
    message = f"{folder}: no {name}.csv.gz of MIMIC-IV-ED there; name the folder ed of its download"
    raise CohortError(message)


def _time(written: str) -> datetime | None:
    try:
        return datetime.fromisoformat(written)
    except ValueError:
        return None


def _number(cell: str, *, pain: bool) -> float | None:
    """The number; None if the cell holds none, or pain that is not on the scale of 0 to 10."""
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) and (not pain or 0 <= number <= 10) else None
