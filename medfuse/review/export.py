"""Decisions out of the store: as a table that spreadsheets open safely, and as a cohort with corrected labels."""

from __future__ import annotations

import csv
import os
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from medfuse.case import Case, Note, Scan
from medfuse.cohort import Cohort
from medfuse.errors import CohortError
from medfuse.review.arbitration import results
from medfuse.review.chain import canonical
from medfuse.review.decision import Review, ReviewError
from medfuse.review.entries import entry_of_review
from medfuse.review.standing import standing
from medfuse.review.store import ReviewStore
from medfuse.review.study import studies

COLUMNS = (
    *("number", "time", "study", "case_id", "reader", "action", "labels", "judged", "comment", "regions", "predicted"),
    *("probability", "model_answer", "ai_shown", "seconds", "corrects", "undoes", "stands", "bundle", "prediction"),
)
# What a spreadsheet takes for a formula, also in their full-width forms; after spaces too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def final_decisions(store: ReviewStore, study: str = "") -> dict[str, Review]:
    """The decision that counts for each case.

    Outside of a study that is the newest that stands; in one, what its readers agree on or the arbiter decided.

    Raises:
        ReviewError: If there is no such study.
    """
    if not study:
        return {case_id: one for case_id, one in standing(store.latest()).items() if one.action != "comment"}
    found = studies(store).get(study)
    if found is None:
        message = f"there is no study '{study}'; there are {', '.join(studies(store)) or 'none'}"
        raise ReviewError(message)
    return {result.case_id: result.final for result in results(store, found) if result.final is not None}


def write_csv(store: ReviewStore, out: Path, *, study: str = "") -> int:
    """Write every decision, also what was corrected or taken back, oldest first.

    A cell that a spreadsheet would take for a formula begins with an apostrophe.

    Returns:
        The number of rows.
    """
    stands = {review.id for review in store.latest(study)}
    rows = [_row_of(review, stands=review.id in stands) for review in store.decisions(study)]
    partial = out.with_name(out.name + ".partial")
    out.parent.mkdir(parents=True, exist_ok=True)
    with partial.open("w", newline="", encoding="utf-8-sig") as stream:  # the mark lets spreadsheets see the encoding
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows({name: safe_cell(value) for name, value in row.items()} for row in rows)
    os.replace(partial, out)
    return len(rows)


def safe_cell(value: Any) -> Any:
    """A text that no spreadsheet takes for a formula; numbers stay."""
    if isinstance(value, str) and (value.startswith(_FORMULA) or value.lstrip().startswith(_FORMULA)):
        return "'" + value
    return value


@dataclass(frozen=True, slots=True)
class Corrected:
    """What became of a cohort.

    Attributes:
        cohort: The new one.
        changed: Cases whose labels the readers changed.
        confirmed: Cases whose labels they confirmed, or that had none and have now.
        uncertain: Cases whose readers were uncertain: their labels are blank.
        bad_image: Cases whose image is bad: their scans are left out.
    """

    cohort: Cohort
    changed: int
    confirmed: int
    uncertain: int
    bad_image: int


def write_cohort(
    cohort: Cohort, decisions: Mapping[str, Review], out: Path, *, progress: Callable[[int], None] = lambda _: None
) -> Corrected:
    """Write the cohort anew with the labels that the readers decided on; `medfuse train` takes it as it is.

    Cases without a decision stay as they are, and so do the splits. Files are hard links where that works.

    Args:
        cohort: The cohort that was read.
        decisions: Of `final_decisions`.
        out: The folder to make; it must not exist, or be empty.
        progress: Told of each case.

    Raises:
        CohortError: If the folder is taken or cannot be written.
    """
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        message = f"{out}: is there already and not an empty folder; name a new one"
        raise CohortError(message)
    partial = out.with_name(out.name + ".partial")
    counts = {"changed": 0, "confirmed": 0, "uncertain": 0, "bad_image": 0}
    cases = []
    try:
        if partial.exists():
            shutil.rmtree(partial)
        partial.mkdir(parents=True)
        for case in cohort.cases:
            kept, what = _decided(case, decisions.get(case.case_id), cohort)
            if what:
                counts[what] += 1
            cases.append(_moved(kept, cohort.folder.resolve(), partial))
            progress(1)
        made = replace(cohort, folder=partial, name=f"{cohort.name} reviewed", cases=tuple(cases), problems=())
        made.save()
        if out.exists():
            out.rmdir()
        os.replace(partial, out)
    except OSError as error:
        message = f"{out}: the cohort cannot be written: {error.strerror}"
        raise CohortError(message) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Corrected(cohort=Cohort.load(out), **counts)


def _decided(case: Case, review: Review | None, cohort: Cohort) -> tuple[Case, str]:
    """The case as the reader left it, and what that did."""
    if review is None:
        return case, ""
    if review.action == "uncertain":
        return replace(case, labels=dict.fromkeys(cohort.labels)), "uncertain"
    if review.action == "bad_image":
        return replace(case, scans=()), "bad_image"
    answer = review.answer(cohort.task)
    if answer is None or (cohort.task == "multiclass" and len(answer) != 1):
        return case, ""
    judged = cohort.labels if review.judged is None else review.judged
    labels = {label: int(label in answer) if label in judged else case.labels.get(label) for label in cohort.labels}
    before = {label: case.labels.get(label) for label in cohort.labels}
    contradicted = any(before[label] not in (None, labels[label]) for label in cohort.labels)
    return replace(case, labels=labels), "changed" if contradicted else "confirmed"


def _moved(case: Case, root: Path, folder: Path) -> Case:
    """The case with its files in the new folder, under the paths that they had."""
    scans = tuple(Scan(_link(scan.path, root, folder)) for scan in case.scans)
    notes = tuple(Note(_link(note.path, root, folder)) for note in case.notes if note.path is not None)
    return replace(case, scans=scans, notes=notes)


def _link(path: Path, root: Path, folder: Path) -> Path:
    """Link or copy a file or a series' folder; returns its path relative to both."""
    path = path if path.is_absolute() else root / path
    relative = path.relative_to(root)
    sources: Iterable[Path] = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    for source in sources:
        target = folder / source.relative_to(root)
        if target.exists():  # two cases may share a file
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(source.resolve(), target)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, target)
    return relative


def _row_of(review: Review, *, stands: bool) -> dict[str, Any]:
    body = entry_of_review(review, cohort="").body
    return {
        "number": review.id,
        "time": review.created_at.isoformat() if review.created_at else "",
        "study": review.study,
        "case_id": review.case_id,
        "reader": review.reader,
        "action": review.action,
        "labels": _joined(review.labels),
        "judged": "" if review.judged is None else _joined(review.judged),
        "comment": review.comment,
        "regions": canonical(body["regions"]) if review.regions else "",
        "predicted": review.predicted or "",
        "probability": review.probability,
        "model_answer": _joined(review.model_answer),
        "ai_shown": int(review.ai),
        "seconds": review.seconds,
        "corrects": review.corrects,
        "undoes": review.undoes,
        "stands": int(stands),
        "bundle": review.bundle,
        "prediction": review.prediction,
    }


def _joined(labels: Sequence[str]) -> str:
    return "|".join(labels)
