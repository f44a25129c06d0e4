"""The verb `medfuse import`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medfuse.cli.arguments import pair
from medfuse.cli.terminal import bar, exit_with


def import_(
    name: Annotated[
        str,
        typer.Argument(metavar="NAME", help="covid-chestxray, dicom-folder, image-folder, mimic-cxr, openi, table."),
    ],
    source: Annotated[Path, typer.Argument(metavar="SRC", help="The data as they are.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the cohort; must be free.")],
    *,
    task: Annotated[str | None, typer.Option(help="Which task of the source, such as icu.")] = None,
    option: Annotated[
        list[str] | None, typer.Option("--option", help="Importer's option, as in label=finding.")
    ] = None,
) -> None:
    """Turn a public data set, a table or a folder of files into a cohort.

    Example: medfuse import table cases.csv cohorts/ward --option image=xray --option text=history --option label=dx
    """
    from medfuse.importers import import_cohort

    options = dict(pair(given) for given in option or ())
    with bar("importing", None) as advance:
        cohort = import_cohort(name, source, out, task=task, progress=advance, **options)
    labelled = sum(case.labelled for case in cohort.cases)
    patients = len({case.patient_id for case in cohort.cases})
    typer.echo(f"{len(cohort.cases)} cases of {patients} patients, {labelled} labelled, in {out}")
    exit_with(cohort.problems)
