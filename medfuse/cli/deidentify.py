"""The verb `medfuse deidentify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from medfuse.cli.arguments import AsJson, CohortDir
from medfuse.cli.terminal import bar, exit_with
from medfuse.errors import MedfuseError


def deidentify(
    cohort: CohortDir,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the new cohort; must be free.")],
    *,
    keep: Annotated[list[str] | None, typer.Option(help="Keep in headers: characteristics, device.")] = None,
    blank: Annotated[bool, typer.Option("--blank", help="Blank ultrasound outside of its regions.")] = False,
    key: Annotated[
        Path | None, typer.Option(help="File with a secret of 16 bytes or more, for names that stay.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take out what names the patients: headers, dates, names in notes; what cannot be promised is in the report.

    Example: medfuse deidentify cohorts/ward cohorts/ward-deidentified --keep characteristics
    """
    from medfuse.deidentify import deidentify as run

    secret = None
    if key is not None:
        try:
            secret = key.read_bytes()
        except OSError as error:
            message = f"{key}: cannot be read ({error.strerror})"
            raise MedfuseError(message) from error
        if len(secret) < 16:
            message = f"{key}: a secret of 16 bytes or more is needed, such as `openssl rand -out FILE 32` makes"
            raise MedfuseError(message)
    with bar("de-identifying", None) as advance:
        done = run(cohort, out, key=secret, keep=keep or (), blank=blank, progress=advance)
    if as_json:
        facts = {"cases": len(done.cohort.cases), "replaced": done.replaced, "blanked": done.blanked}
        typer.echo(json.dumps(facts | {"burned_in": done.burned_in, "left_out": done.left_out}))
    else:
        typer.echo(f"{len(done.cohort.cases)} cases in {out}")
        if done.burned_in:
            typer.echo(f"{len(done.burned_in)} scans may have text in their pixels; look at them before they leave")
        typer.echo(f"What was done, and what cannot be promised: {out / 'DEIDENTIFICATION.md'}")
    exit_with(done.left_out)
