"""The verb `medfuse monitor`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from medfuse.cli.arguments import AsJson, BundleDir, Cache, CohortDir
from medfuse.cli.terminal import bar, exit_with


def monitor(
    bundle: BundleDir,
    cohort: CohortDir,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for drift.json and drift.html.")],
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Compare new cases with those that a bundle was calibrated on; exit 1 if they have drifted.

    Example: medfuse monitor runs/phantoms cohorts/this-month --out runs/phantoms-drift
    """
    from medfuse.cohort import Cohort
    from medfuse.monitor import monitor as run

    read = Cohort.load(cohort)
    with bar("comparing", len(read.cases)) as advance:
        found = run(bundle, read, cache=cache, progress=advance)
    found.save(out)
    if as_json:
        typer.echo(json.dumps(found.to_dict()))
    else:
        typer.echo(f"{found.verdict} Report: {out / 'drift.html'}")
    exit_with(found.problems, code=0)
    raise typer.Exit(1 if found.drifted else 0)
