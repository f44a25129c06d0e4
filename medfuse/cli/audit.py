"""The verb `medfuse audit`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from medfuse.cli.arguments import AsJson, CohortDir
from medfuse.cli.terminal import bar

MOST_LINES = 8  # of evidence a finding on the terminal; the report has them all


def audit(
    cohort: CohortDir,
    *,
    no_pixels: Annotated[bool, typer.Option("--no-pixels", help="Do not decode the scans.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for audit.json and audit.html.")] = None,
    fix: Annotated[Path | None, typer.Option("--fix", help="Folder for a corrected cohort; must be free.")] = None,
    as_json: AsJson = False,
) -> None:
    """Look for leaks, copies, unreadable files and shortcuts in a cohort; exit 1 if there is an error.

    Example: medfuse audit cohorts/ward --out cohorts/ward-audit --fix cohorts/ward-fixed
    """
    from medfuse.audit import audit as run
    from medfuse.cohort import Cohort

    read = Cohort.load(cohort)
    with bar("auditing", len(read.cases)) as advance:
        found = run(read, pixels=not no_pixels, progress=advance)
    if out is not None:
        found.save(out)
    done = None
    if fix is not None:
        from medfuse.audit.repair import repair

        done = repair(read, found, fix)
    if as_json:
        typer.echo(json.dumps(found.record() | ({} if done is None else {"fixed": done}), ensure_ascii=False))
    else:
        for finding in found.findings:
            typer.echo(f"{finding.severity.upper()}  {finding.what}  [{finding.check}]")
            for line in finding.evidence[:MOST_LINES]:
                typer.echo(f"    {line}")
            if len(finding.evidence) > MOST_LINES:
                typer.echo(f"    … {len(finding.evidence) - MOST_LINES} more lines in the report (--out)")
            if finding.fix:
                typer.echo(f"    → {finding.fix}")
        for line in done or ():
            typer.echo(f"fixed: {line}")
        counts = found.record()["summary"]
        typer.echo(", ".join(f"{count} {severity}{'s' * (count != 1)}" for severity, count in counts.items()))
        if out is not None:
            typer.echo(f"Report: {out / 'audit.html'}")
    raise typer.Exit(1 if found.errors else 0)
