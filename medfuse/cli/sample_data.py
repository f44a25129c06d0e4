"""The verb `medfuse sample-data`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medfuse.cli.terminal import bar


def sample_data(
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the cohort; must be free.")],
    *,
    cases: Annotated[int, typer.Option(min=1)] = 600,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    masks: Annotated[bool, typer.Option("--masks", help="Write where each scan's opacity lies, too.")] = False,
) -> None:
    """Make a synthetic cohort whose true posterior is known.

    Example: medfuse sample-data cohorts/phantoms --cases 600 --seed 1
    """
    from medfuse.synthetic import make_cohort

    with bar("making phantoms", cases) as advance:
        cohort = make_cohort(out, cases=cases, seed=seed, progress=advance, masks=masks)
    typer.echo(f"{len(cohort.cases)} cases in {out}")
