"""Any CSV or TSV table with a column of image paths, of text, or both: radiology, fraud, objects, what you have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medfuse.case import SPLITS, Case, Scan, Split
from medfuse.cohort import DIAGNOSIS, ID_COLUMNS, MISSING, SEPARATOR, Cohort, Kind
from medfuse.errors import CohortError
from medfuse.importers.importer import Importer
from medfuse.importers.linking import digest_of, linked_patients
from medfuse.importers.new_folder import NewFolder, file_inside, safe_name
from medfuse.importers.rows import read_rows, require_columns
from medfuse.notes import Redaction

# Names that are taken for a role if no option names its column, the likeliest first.
GUESSES: Mapping[str, tuple[str, ...]] = {
    "image": ("image", "images", "scan", "scans", "image_path", "path", "filename", "file"),
    "text": ("text", "note", "notes", "report", "caption", "description"),
    "label": ("label", "labels", "diagnosis", "target", "class", "category"),
    "patient": ("patient_id", "patient", "patientid", "subject_id", "subject"),
    "case": ("case_id", "case", "caseid"),
    "split": ("split", "subset"),
}
_SPLITS: Mapping[str, Split] = {split: split for split in SPLITS} | {"val": "validation", "valid": "validation",
                                                                     "dev": "validation"}  # fmt: skip
_YES, _NO = frozenset({"1", "1.0", "y", "yes", "true"}), frozenset({"0", "0.0", "n", "no", "false"})


@dataclass(frozen=True)
class _Columns:
    """Which columns play which role."""

    image: tuple[str, ...]
    text: tuple[str, ...]
    label: tuple[str, ...]
    patient: str
    case: str
    split: str
    tabular: tuple[str, ...]
    groups: tuple[str, ...]


@dataclass(frozen=True)
class _Row:
    number: int
    cells: Mapping[str, str]
    images: tuple[Path, ...]


def read_table(
    source: Path,
    folder: NewFolder,
    *,
    task: str,
    progress: Callable[[int], None] | None = None,
    redact: str = "",
    **options: str,
) -> Cohort:
    """Fill the folder and give the cohort: a row is a case, or rows of one `case` are.

    Raises:
        CohortError: If the source is no table, or a column is missing or cannot be guessed.
    """
    table = _table_of(source)
    cells = read_rows(table)
    columns = _columns(table, list(cells[0]), options)
    multilabel = task == "multilabel" or len(columns.label) > 1
    labels = columns.label if multilabel else _classes(table, columns.label[0], cells)
    kinds = {column: _kind(column, cells) for column in columns.tabular}
    problems: list[str] = []
    rows = [_Row(n, row, _images(table, n, row, columns, problems)) for n, row in enumerate(cells, start=2)]
    keys = _case_keys(rows, columns)
    owners = _patients(rows, keys, columns, problems)
    redaction = Redaction(redact.split(","))
    replaced: Counter[str] = Counter()
    cases: list[Case] = []
    for case_id, group in _grouped(rows, keys).items():
        text, counts = redaction.apply(_text(group, columns))
        scans = _scans(group, case_id, folder)
        if scans or text:
            replaced += counts
            cases.append(
                Case(
                    case_id=case_id,
                    patient_id=owners[case_id],
                    split=_split(group, columns, case_id, problems),
                    scans=scans,
                    notes=(folder.note(text, case_id),) if text else (),
                    values={name: _value(name, kind, group) for name, kind in kinds.items()},
                    labels=_labels(group, columns, labels, case_id, problems, multilabel=multilabel),
                    groups={name: _first(name, group) for name in columns.groups},
                )
            )
        else:
            problems.append(f"case {case_id}: neither an image nor text; left out")
        if progress is not None:
            progress(1)
    counts_by_term = {term: replaced[term] for term in redaction.terms if replaced[term]}
    return Cohort(
        folder=folder.path,
        name=safe_name(table.stem),
        task="multilabel" if multilabel else "multiclass",
        labels=labels,
        cases=tuple(cases),
        tabular=kinds,
        groups=columns.groups,
        redaction={"terms": list(redaction.terms), "replaced": counts_by_term} if redaction.terms else {},
        problems=tuple(problems),
    )


TABLE = Importer(
    read=read_table,
    summary="a CSV or TSV table with image paths, text or both",
    tasks=("multiclass", "multilabel"),
    default_task="multiclass",
    options={
        "image": "columns of image paths, relative to the table's folder; guessed from names such as image, path",
        "text": "columns of text; guessed from names such as text, note, report",
        "label": "the label column, or several of 0/1 for a multilabel cohort; guessed from label, diagnosis, target",
        "patient": "the patient's column; guessed from patient_id, subject; without one each case is a patient",
        "case": "the case's column; rows of one case are joined; without one each row is a case",
        "split": "the split's column (train, validation, calibration, test)",
        "tabular": "columns of values for the model, numbers or categories, such as age,sex",
        "groups": "columns to report results by, never given to the model",
        "redact": "terms to remove from the text, such as `covid 19,intubat*`",
    },
)


def _table_of(source: Path) -> Path:
    if source.is_file():
        return source
    tables = sorted(path for path in source.iterdir() if path.suffix.lower() in (".csv", ".tsv"))
    if len(tables) != 1:
        message = f"{source}: {len(tables)} CSV or TSV tables in the folder; name the file itself"
        raise CohortError(message)
    return tables[0]


def _columns(table: Path, there: Sequence[str], options: Mapping[str, str]) -> _Columns:
    by_small = {name.lower(): name for name in reversed(there)}
    chosen: dict[str, tuple[str, ...]] = {}
    for role in ("image", "text", "label", "patient", "case", "split", "tabular", "groups"):
        named = tuple(dict.fromkeys(filter(None, (part.strip() for part in options.get(role, "").split(",")))))
        require_columns(table, named, there)
        guessed = [by_small[guess] for guess in GUESSES.get(role, ()) if guess in by_small]
        chosen[role] = named or tuple(guessed[:1])
    for role in ("patient", "case", "split"):
        if len(chosen[role]) > 1:
            message = f"{table}: option '{role}' names {len(chosen[role])} columns; one is meant"
            raise CohortError(message)
    for role, needed in (("label", chosen["label"]), ("image or text", chosen["image"] + chosen["text"])):
        if not needed:
            message = f"{table}: which column is the {role}? name it by an option; there are {', '.join(there[:20])}"
            raise CohortError(message)
    made = [*chosen["tabular"], *chosen["groups"], *(chosen["label"] if len(chosen["label"]) > 1 else ())]
    doubtful = [name for name in made if made.count(name) > 1 or name in (*ID_COLUMNS, DIAGNOSIS)]
    if doubtful:
        message = (
            f"{table}: column '{doubtful[0]}' cannot be label, tabular or group here: it has two roles, or a name "
            "that cases.csv keeps for itself; copy it under another name"
        )
        raise CohortError(message)
    return _Columns(
        image=chosen["image"],
        text=chosen["text"],
        label=chosen["label"],
        patient="".join(chosen["patient"]),
        case="".join(chosen["case"]),
        split="".join(chosen["split"]),
        tabular=chosen["tabular"],
        groups=chosen["groups"],
    )


def _classes(table: Path, column: str, cells: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    classes = sorted({_plain(row[column]) for row in cells} - {""})
    if len(classes) < 2:
        message = f"{table}: column '{column}' should hold two labels or more; it holds {len(classes)}"
        raise CohortError(message)
    return tuple(classes)


def _images(
    table: Path, number: int, cells: Mapping[str, str], columns: _Columns, problems: list[str]
) -> tuple[Path, ...]:
    found = []
    for name in (part.strip() for column in columns.image for part in _plain(cells[column]).split(SEPARATOR)):
        path = file_inside(table.parent, name) if name else ""
        if isinstance(path, Path):
            found.append(path)
        elif path:
            problems.append(f"{table.name} row {number}: image '{name}' {path}; left out")
    return tuple(dict.fromkeys(found))


def _case_keys(rows: Sequence[_Row], columns: _Columns) -> list[str]:
    """The case of each row: its cell, or else its row number."""
    keys: dict[str, str] = {}
    taken: set[str] = set()
    for row in rows:
        written = _plain(row.cells[columns.case]) if columns.case else ""
        key = written or f"row {row.number}"
        if key not in keys:
            case_id, number = (safe_name(written) if written else f"row{row.number}"), 1
            while case_id in taken:
                number += 1
                case_id = f"{safe_name(key)}_{number}"
            taken.add(case_id)
            keys[key] = case_id
    return [keys[(_plain(row.cells[columns.case]) if columns.case else "") or f"row {row.number}"] for row in rows]


def _patients(rows: Sequence[_Row], keys: Sequence[str], columns: _Columns, problems: list[str]) -> dict[str, str]:
    """Patient by case; patients who share a file or a case are one."""
    pairs: list[tuple[str, str]] = []
    written: dict[str, str] = {}
    for row, key in zip(rows, keys, strict=True):
        patient = (_plain(row.cells[columns.patient]) if columns.patient else "") or key
        written.setdefault(key, patient)
        pairs.append((patient, f"case {key}"))
        pairs += [(patient, digest_of(image)) for image in row.images]
    linked = linked_patients(pairs)
    if shared := len(linked) - len(set(linked.values())):
        problems.append(f"{shared} patients share a file or a case with another; such patients are taken as one")
    return {key: linked[patient] for key, patient in written.items()}


def _grouped(rows: Sequence[_Row], keys: Sequence[str]) -> dict[str, list[_Row]]:
    groups: dict[str, list[_Row]] = {}
    for row, key in zip(rows, keys, strict=True):
        groups.setdefault(key, []).append(row)
    return groups


def _text(group: Sequence[_Row], columns: _Columns) -> str:
    """The cells once each; of several text columns each stands behind its column's name, as a section."""
    parts: dict[str, None] = {}
    for row in group:
        for column in columns.text:
            if (text := row.cells[column].strip()) and text.lower() not in MISSING:
                parts[f"{column.upper().replace('_', ' ')}: {text}" if len(columns.text) > 1 else text] = None
    return "\n\n".join(parts)


def _scans(group: Sequence[_Row], case_id: str, folder: NewFolder) -> tuple[Scan, ...]:
    images = dict.fromkeys(image for row in group for image in row.images)
    return tuple(folder.scan(image, f"{case_id}_{n}") for n, image in enumerate(images, start=1))


def _split(group: Sequence[_Row], columns: _Columns, case_id: str, problems: list[str]) -> Split | None:
    written = _first(columns.split, group).lower() if columns.split else ""
    if written and written not in _SPLITS:
        problems.append(f"case {case_id}: split '{written}' is none of {', '.join(_SPLITS)}; taken as none")
    return _SPLITS.get(written)


def _labels(
    group: Sequence[_Row],
    columns: _Columns,
    labels: Sequence[str],
    case_id: str,
    problems: list[str],
    *,
    multilabel: bool,
) -> dict[str, int | None]:
    found: dict[str, int | None] = dict.fromkeys(labels)
    for column in columns.label:
        answers = {_plain(row.cells[column]) for row in group} - {""}
        if multilabel:
            answers = {"1" if a.lower() in _YES else "0" if a.lower() in _NO else "?" for a in answers}
        if len(answers) > 1:
            problems.append(f"case {case_id}: rows differ in '{column}'; left blank")
        elif answers == {"?"}:
            problems.append(f"case {case_id}: '{column}' should be 0, 1 or blank; left blank")
        elif answers and multilabel:
            found[column] = int(answers.pop())
        elif answers:
            answer = answers.pop()
            found = {label: int(label == answer) for label in labels}
    return found


def _kind(column: str, cells: Iterable[Mapping[str, str]]) -> Kind:
    """Number if every cell that says something is one."""
    given = {_plain(row[column]) for row in cells} - {""}
    return "number" if given and all(_is_number(cell) for cell in given) else "category"


def _value(column: str, kind: Kind, group: Sequence[_Row]) -> float | str | None:
    first = _first(column, group)
    if not first:
        return None
    return float(first) if kind == "number" else first


def _first(column: str, group: Sequence[_Row]) -> str:
    return next((cell for row in group if (cell := _plain(row.cells[column]))), "")


def _plain(cell: str) -> str:
    plain = " ".join(cell.split())
    return "" if plain.lower() in MISSING else plain


def _is_number(cell: str) -> bool:
    try:
        return abs(float(cell)) < float("inf")
    except ValueError:
        return False
