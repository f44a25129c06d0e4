"""COVID-19 Image Data Collection (Cohen et al., 2020): chest radiographs with case notes from public reports.

The source folder has the collection's layout: `metadata.csv` and `images/`. Rows of one patient and one day become a
case. A file that stands under two patients is taken as one person entered twice: the two become one patient, so that
no split separates them and no image counts twice.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import urlsplit

from medfuse.case import Case
from medfuse.cohort import MISSING, Cohort, Kind
from medfuse.importers.covid_terms import COVID_TERMS, ICU_TERMS
from medfuse.importers.importer import Importer
from medfuse.importers.linking import digest_of, linked_patients
from medfuse.importers.new_folder import NewFolder, file_inside, safe_name
from medfuse.importers.rows import read_rows, require_columns
from medfuse.notes import Redaction

TERMS = {"icu": ICU_TERMS, "covid": COVID_TERMS}

NEEDED = (
    "patientid", "offset", "sex", "age", "finding", "went_icu", "view", "date", "filename", "url", "clinical_notes",
)  # fmt: skip

# What is known when the image is taken. Not survival, intubated, intubation_present, in_icu, extubated and
# needed_supplemental_O2: they are outcomes. pO2_saturation mixes per cent with mmHg, as the collection has it.
TABULAR: dict[str, Kind] = {
    "age": "number",
    "sex": "category",
    "temperature": "number",
    "pO2_saturation": "number",
    "leukocyte_count": "number",
    "neutrophil_count": "number",
    "lymphocyte_count": "number",
}
# `sex` once more under another name, because a column is either an input or a group.
GROUPS = ("view", "source", "sex_group", "age_band")

LICENCE = "metadata and notes CC BY-NC-SA 4.0; each image under its own licence ({licences})"
CITATION = (
    "J. P. Cohen, P. Morrison, L. Dao, K. Roth, T. Q. Duong, M. Ghassemi: COVID-19 Image Data Collection: Prospective "
    "Predictions Are the Future. arXiv:2006.11988, 2020; J. P. Cohen, P. Morrison, L. Dao: COVID-19 Image Data "
    "Collection. arXiv:2003.11597, 2020"
)


@dataclass(frozen=True)
class _Row:
    """One row: its `number` as a spreadsheet counts, and its image; `file` is None and `digest` "" if there is none."""

    number: int
    cells: Mapping[str, str]
    file: Path | None
    digest: str


def read_covid_chestxray(
    source: Path, folder: NewFolder, *, task: str, progress: Callable[[int], None] | None = None
) -> Cohort:
    """Fill the folder and give the cohort.

    Raises:
        CohortError: If there is no `metadata.csv` or it lacks a column.
    """
    cells = read_rows(source / "metadata.csv")
    require_columns(source / "metadata.csv", NEEDED, list(cells[0]))
    problems: list[str] = []
    rows = _rows(source, cells, problems)
    patients = linked_patients((row.cells["patientid"], row.digest or f"row {row.number}") for row in rows)
    for linked, members in _members(patients).items():
        if len(members) > 1:
            problems.append(f"patients {', '.join(members)} share a file; taken as one patient, {linked}")
    redaction = Redaction(TERMS[task])
    replaced: Counter[str] = Counter()
    cases: list[Case] = []
    taken: set[str] = set()
    for patient, group in _by_day(rows, patients):
        case_id = _case_id(patient, group[0].cells["offset"], taken)
        images = _images(group)
        text, counts = redaction.apply("\n\n".join(_distinct(row.cells["clinical_notes"] for row in group)))
        if images or text:
            replaced += counts
            case = Case(
                case_id=case_id,
                patient_id=patient,
                time=_time(group[0].cells["date"], group[0].cells["offset"]),
                scans=tuple(
                    folder.scan(image.file, f"{case_id}_{number}_{image.cells['view'] or 'unknown'}")
                    for number, image in enumerate(images, start=1)
                    if image.file is not None
                ),
                notes=(folder.note(text, case_id),) if text else (),
                values={column: _value(column, group, case_id, problems) for column in TABULAR},
                labels={task: _label(task, group, case_id, problems)},
                groups=_groups(group, images),
            )
            cases.append(case)
        else:
            problems.append(f"case {case_id}: neither an image nor a note; left out")
        if progress is not None:
            progress(1)
    licences = dict.fromkeys(row.cells["license"] for row in rows if row.cells.get("license"))
    return Cohort(
        folder=folder.path,
        name=f"covid-chestxray-{task}",
        task="multilabel",
        labels=(task,),
        cases=tuple(cases),
        tabular=TABULAR,
        groups=GROUPS,
        urgency={task: 1.0},
        licence=LICENCE.format(licences=", ".join(sorted(licences)) or "not stated"),
        citation=CITATION,
        redaction={
            "terms": list(redaction.terms),
            "replaced": {term: replaced[term] for term in redaction.terms if replaced[term]},
        },
        problems=tuple(problems),
    )


COVID_CHESTXRAY = Importer(
    read=read_covid_chestxray,
    summary="COVID-19 Image Data Collection: a folder with metadata.csv and images/",
    tasks=("icu", "covid"),
)


def _rows(source: Path, cells: Sequence[Mapping[str, str]], problems: list[str]) -> list[_Row]:
    rows, other = [], 0
    for number, row in enumerate(cells, start=2):  # row 1 is the header
        plain = {column: _blank_if_missing(cell) for column, cell in row.items()}
        if plain.get("modality", "") not in ("", "X-ray"):
            other += 1
            continue
        if not plain["patientid"]:
            problems.append(f"metadata.csv row {number}: no patientid; the row is left out")
            continue
        found = file_inside(source / "images", plain["filename"]) if plain["filename"] else "is not named"
        if isinstance(found, str):
            problems.append(f"metadata.csv row {number}: image '{plain['filename']}' {found}; left out")
            rows.append(_Row(number, plain, None, ""))
        else:
            rows.append(_Row(number, plain, found, digest_of(found)))
    if other:
        problems.append(f"metadata.csv: {other} rows are not X-rays; left out")
    return rows


def _members(patients: Mapping[str, str]) -> dict[str, list[str]]:
    members: dict[str, list[str]] = {}
    for patient, linked in patients.items():
        members.setdefault(linked, []).append(patient)
    return members


def _by_day(rows: Iterable[_Row], patients: Mapping[str, str]) -> list[tuple[str, list[_Row]]]:
    """Patient and rows of each case, in the order of the first row.

    The day is `offset`, days since the first symptoms or admission. Where it is blank nothing but one date and one
    note for both says that two images belong together; without a note they stay apart.
    """
    days: dict[tuple[str, ...], list[_Row]] = {}
    for row in rows:
        offset, note = row.cells["offset"], row.cells["clinical_notes"]
        day = (offset,) if offset else ("", row.cells["date"], note or f"row {row.number}")
        days.setdefault((patients[row.cells["patientid"]], *day), []).append(row)
    return [(key[0], group) for key, group in days.items()]


def _case_id(patient: str, offset: str, taken: set[str]) -> str:
    stem = safe_name(f"{patient}_day{offset}" if offset else f"{patient}_undated")
    case_id, number = stem, 1
    while case_id.casefold() in taken:
        number += 1
        case_id = f"{stem}_{number}"
    taken.add(case_id.casefold())
    return case_id


def _images(group: Sequence[_Row]) -> list[_Row]:
    """The rows whose image is taken: each image once, frontal before lateral."""
    ordered = sorted((row for row in group if row.file is not None), key=lambda row: row.cells["view"].startswith("L"))
    return list({row.digest: row for row in reversed(ordered)}.values())[::-1]


def _distinct(notes: Iterable[str]) -> list[str]:
    """Each note once, in order; blanks that differ do not count."""
    return list({" ".join(note.split()): note.strip() for note in notes if note.strip()}.values())


def _time(date: str, offset: str) -> str | None:
    """ISO 8601 if the day is given; else the day of illness, else what is known of the date."""
    for form in ("%Y-%m-%d", "%B %d, %Y", "%b %d, %Y"):
        try:
            return datetime.strptime(date, form).date().isoformat()  # noqa: DTZ007 - a date has no time zone
        except ValueError:
            continue
    return f"day {offset}" if offset else date or None


def _value(column: str, group: Sequence[_Row], case_id: str, problems: list[str]) -> float | str | None:
    """The first value that is given."""
    given = dict.fromkeys(row.cells.get(column, "") for row in group)
    given.pop("", None)
    if len(given) > 1:
        problems.append(f"case {case_id}: rows differ in '{column}'; the first is taken")
    first = next(iter(given), None)
    if first is None or TABULAR[column] == "category":
        return first
    number = _number(first)
    if number is None:
        problems.append(f"case {case_id}: '{column}' is no number; taken as missing")
    return number


def _label(task: str, group: Sequence[_Row], case_id: str, problems: list[str]) -> int | None:
    """What the rows agree on, 1 or 0; None where they are blank or differ."""
    answers = {_answer(task, row.cells) for row in group} - {None}
    if len(answers) > 1:
        problems.append(f"case {case_id}: rows differ in the label '{task}'; left blank")
        return None
    return next(iter(answers), None)


def _answer(task: str, cells: Mapping[str, str]) -> int | None:
    if task == "icu":
        return {"y": 1, "n": 0}.get(cells["went_icu"].lower())
    finding = cells["finding"].lower()
    return None if finding in ("", "todo", "unknown") else int("covid-19" in finding)


def _groups(group: Sequence[_Row], images: Sequence[_Row]) -> dict[str, str]:
    first = group[0].cells
    age = _number(next((row.cells["age"] for row in group if row.cells["age"]), ""))
    return {
        "view": images[0].cells["view"] if images else "",
        "source": _publisher(first["url"]),
        "sex_group": next((row.cells["sex"] for row in group if row.cells["sex"]), ""),
        "age_band": "" if age is None else "80+" if age >= 80 else f"{age // 20 * 20:.0f}-{age // 20 * 20 + 19:.0f}",
    }


def _publisher(url: str) -> str:
    """The host the image came from; on a host of repositories, with the owner."""
    parts = urlsplit(url)
    host = (parts.hostname or "").removeprefix("www.")
    owner = parts.path.strip("/").split("/")[0]
    return f"{host}/{owner}" if host in ("github.com", "gitlab.com") and owner else host


def _blank_if_missing(cell: str) -> str:
    plain = " ".join(cell.split())
    return "" if plain.lower() in MISSING else plain


def _number(cell: str) -> float | None:
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
