"""Public data sets, tables and folders of yours to a cohort: one file a source.

Example:
    >>> from medfuse.importers import import_cohort
    >>> import_cohort("covid-chestxray", "data/covid-chestxray", "cohorts/icu", task="icu")  # doctest: +SKIP
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from difflib import get_close_matches
from pathlib import Path

from medfuse.cohort import Cohort
from medfuse.errors import CohortError
from medfuse.importers.covid_chestxray import COVID_CHESTXRAY
from medfuse.importers.dicom_folder import DICOM_FOLDER
from medfuse.importers.image_folder import IMAGE_FOLDER
from medfuse.importers.importer import Importer
from medfuse.importers.mimic_cxr import MIMIC_CXR
from medfuse.importers.new_folder import NewFolder
from medfuse.importers.openi import OPENI
from medfuse.importers.table import TABLE

__all__ = ["IMPORTERS", "Importer", "import_cohort"]

IMPORTERS: dict[str, Importer] = {
    "covid-chestxray": COVID_CHESTXRAY,
    "dicom-folder": DICOM_FOLDER,
    "image-folder": IMAGE_FOLDER,
    "mimic-cxr": MIMIC_CXR,
    "openi": OPENI,
    "table": TABLE,
}


def import_cohort(
    name: str,
    source: str | Path,
    out: str | Path,
    *,
    task: str | None = None,
    progress: Callable[[int], None] | None = None,
    **options: str,
) -> Cohort:
    """Make a cohort folder `out` from `source`; `out` appears only when it is complete.

    Args:
        name: One of `IMPORTERS`.
        source: The file or folder to read; nothing in it is changed.
        out: The folder to make; it must not exist, or be empty.
        task: Which task, for importers that have several.
        progress: Called with 1 after each case.
        options: What `IMPORTERS[name].options` lists.

    Returns:
        The cohort as `Cohort.load` reads it; its `problems` also tell what of the source had to be left out.

    Raises:
        CohortError: If the source is not what the importer reads, an option is not known or `out` is not empty.
    """
    _known(name, IMPORTERS, what="importer")
    importer = IMPORTERS[name]
    for option in options:
        _known(option, importer.options, what=f"option of the importer '{name}'")
    if task is None:
        task = importer.default_task
    if task is None or task not in importer.tasks:
        given = f"has no task '{task}'" if task else "needs a task"
        message = f"the importer '{name}' {given}; --task is one of {', '.join(importer.tasks)}"
        raise CohortError(message)
    source, out = Path(source), Path(out)
    if not source.exists():
        message = f"{source}: no such file or folder to import from"
        raise CohortError(message)
    with NewFolder(out) as folder:
        cohort = importer.read(source, folder, task=task, progress=progress, **options)
        if not cohort.cases:
            first = f"; first: {cohort.problems[0]}" if cohort.problems else ""
            message = f"{source}: no case could be made of it{first}"
            raise CohortError(message)
        cohort.save()
    made = Cohort.load(out)
    return replace(made, problems=(*cohort.problems, *made.problems))


def _known(name: str, known: Iterable[str], *, what: str) -> None:
    names = sorted(known)
    if name not in names:
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"there are: {', '.join(names) or 'none'}"
        message = f"no {what} called '{name}'; {hint}"
        raise CohortError(message)
