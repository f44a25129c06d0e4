"""Which columns of a table play which role: named by an option, or else guessed by their usual names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from medfuse.cohort import DIAGNOSIS, ID_COLUMNS
from medfuse.errors import CohortError
from medfuse.importers.rows import require_columns

# Names that are taken for a role if no option names its column, the likeliest first.
GUESSES: Mapping[str, tuple[str, ...]] = {
    "image": ("image", "images", "scan", "scans", "image_path", "path", "filename", "file", "file_name"),
    "text": ("text", "note", "notes", "report", "caption", "description"),
    "label": ("label", "labels", "diagnosis", "target", "class", "category"),
    "patient": ("patient_id", "patient", "patientid", "subject_id", "subject"),
    "case": ("case_id", "case", "caseid"),
    "split": ("split", "subset"),
}
ROLES = (*GUESSES, "tabular", "groups")

# What the options of these names mean, for every importer that reads a table.
OPTIONS: Mapping[str, str] = {
    "image": "columns of image paths, relative to the table's folder; guessed from names such as image, path",
    "text": "columns of text; guessed from names such as text, note, report",
    "label": "the label column, or several of 0/1 for a multilabel cohort; guessed from label, diagnosis, target",
    "patient": "the patient's column; guessed from patient_id, subject; without one each case is a patient",
    "case": "the case's column; rows of one case are joined; without one each row is a case",
    "split": "the split's column (train, validation, calibration, test)",
    "tabular": "columns of values for the model, numbers or categories, such as age,sex",
    "groups": "columns to report results by, never given to the model",
    "redact": "terms to remove from the text, such as `covid 19,intubat*`",
}


@dataclass(frozen=True)
class Columns:
    """The columns of each role; "" or empty where there is none."""

    image: tuple[str, ...]
    text: tuple[str, ...]
    label: tuple[str, ...]
    patient: str
    case: str
    split: str
    tabular: tuple[str, ...]
    groups: tuple[str, ...]


def choose_columns(
    table: Path, there: Sequence[str], options: Mapping[str, str], *, files_known: bool = False
) -> Columns:
    """The columns of each role.

    Args:
        table: The table, for messages.
        there: The columns that it has.
        options: Names by role, several joined by commas.
        files_known: Whether a case's files are found some other way, so that no column has to name them.

    Raises:
        CohortError: If a named column is not there, a needed role has none, or a column would have two roles.
    """
    by_small = {name.lower(): name for name in reversed(there)}
    chosen: dict[str, tuple[str, ...]] = {}
    for role in ROLES:
        named = tuple(dict.fromkeys(filter(None, (part.strip() for part in options.get(role, "").split(",")))))
        require_columns(table, named, there)
        guessed = [by_small[guess] for guess in GUESSES.get(role, ()) if guess in by_small]
        chosen[role] = named or tuple(guessed[:1])
    for role in ("patient", "case", "split"):
        if len(chosen[role]) > 1:
            message = f"{table}: option '{role}' names {len(chosen[role])} columns; one is meant"
            raise CohortError(message)
    needs = {"label": chosen["label"], "image or text": files_known or chosen["image"] + chosen["text"]}
    for role, needed in needs.items():
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
    return Columns(
        image=chosen["image"],
        text=chosen["text"],
        label=chosen["label"],
        patient="".join(chosen["patient"]),
        case="".join(chosen["case"]),
        split="".join(chosen["split"]),
        tabular=chosen["tabular"],
        groups=chosen["groups"],
    )
