"""The verb `medfuse sample-data`."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from medfuse.cli.terminal import bar


class Kind(StrEnum):
    """What is scanned how."""

    chest = "chest"
    ct = "ct"


def sample_data(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the cohort; must be free.")],
    *,
    cases: Annotated[int, typer.Option(min=1)] = 600,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    kind: Annotated[Kind, typer.Option(help="Frontal radiographs with values, or CT series.")] = Kind.chest,
) -> None:
    """Make a synthetic cohort whose true posterior is known.

    Example: medfuse sample-data cohorts/phantoms --cases 600 --seed 1
    """
    from medfuse.synthetic import make_cohort
    from medfuse.synthetic.volume import make_ct_cohort

    make = make_ct_cohort if kind is Kind.ct else make_cohort
    with bar("making phantoms", cases) as advance:
        cohort = make(out, cases=cases, seed=seed, progress=advance)
    typer.echo(f"{len(cohort.cases)} cases in {out}")
