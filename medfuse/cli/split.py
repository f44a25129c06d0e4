"""The verb `medfuse split`."""

from __future__ import annotations

import json
from collections import Counter
from enum import StrEnum
from typing import Annotated

import typer

from medfuse.cli.arguments import AsJson, CohortDir
from medfuse.cli.terminal import exit_with


class By(StrEnum):
    """What decides the split."""

    patient = "patient"
    time = "time"
    site = "site"


def split(
    cohort: CohortDir,
    *,
    by: Annotated[By, typer.Option(help="Draw patients, take the latest to test, or keep sites for it.")] = By.patient,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw.")] = 0,
    column: Annotated[str, typer.Option(help="With --by site: the column that names the site.")] = "site",
    test: Annotated[list[str] | None, typer.Option(help="With --by site: a site to test on; repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """Put every case into train, validation, calibration or test, no patient into two; recorded in cohort.yaml.

    Example: medfuse split cohorts/ward --by site --column site --test east
    """
    from medfuse.case import SPLITS
    from medfuse.cohort import MOVED, Cohort, record_splits
    from medfuse.errors import CohortError
    from medfuse.splits import split_by_patient, split_by_site, split_by_time

    read = Cohort.load(cohort)
    if by is By.site and column not in read.groups:
        message = f"{cohort}: no group column '{column}'; there are {', '.join(read.groups) or 'none'}"
        raise CohortError(message)
    if by is By.time:
        made = read.in_splits(split_by_time(read.cases), by="time")
    elif by is By.site:
        sites = sorted(test or ())
        drawn = split_by_site(read.cases, column=column, test=sites, seed=seed)
        made = read.in_splits(drawn, by="site", column=column, test=sites, seed=seed)
    else:
        made = read.in_splits(split_by_patient(read.cases, seed=seed), by="patient", seed=seed)
    record_splits(made)
    cases = Counter(case.split for case in made.cases)
    patients = Counter(part for _, part in {(case.patient_id, case.split) for case in made.cases})
    if as_json:
        counts = {part: {"cases": cases[part], "patients": patients[part]} for part in SPLITS}
        typer.echo(json.dumps({**made.splits, "splits": counts}))
    else:
        for part in SPLITS:
            typer.echo(f"{part}: {cases[part]} cases of {patients[part]} patients")
    exit_with(problem for problem in read.problems if problem != MOVED)
