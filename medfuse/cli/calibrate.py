"""The verb `medfuse calibrate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from medfuse.cli.arguments import AsJson, BundleDir, Cache, CohortDir
from medfuse.cli.terminal import bar, exit_with
from medfuse.errors import MedfuseError


def calibrate(
    bundle: BundleDir,
    cohort: CohortDir,
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the bundle with its new calibration.")],
    method: Annotated[str, typer.Option(help="A calibrator, or auto to choose by cross-fitted log loss.")] = "auto",
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Calibrate a bundle anew for another site; exit 1 and no bundle if the old calibration is no worse.

    Example: medfuse calibrate runs/phantoms cohorts/ward --out runs/phantoms-ward
    """
    from medfuse.bundle import require_free
    from medfuse.calibration import CALIBRATORS
    from medfuse.cohort import Cohort

    if method != "auto" and method not in CALIBRATORS:
        message = f"--method {method}: known are auto, {', '.join(CALIBRATORS)}"
        raise MedfuseError(message)
    require_free(out)
    read = Cohort.load(cohort)
    from medfuse.recalibration import recalibrate

    with bar("calibrating", len(read.cases)) as advance:
        found = recalibrate(bundle, read, method=method, cache=cache, progress=advance)
    if found.bundle is not None:
        found.bundle.save(out)
    if as_json:
        told = {"out": None if found.bundle is None else str(out), "calibrator": found.chosen}
        typer.echo(json.dumps({**told, **found.transfer.to_dict()}))
    else:
        typer.echo(f"{out}: {found.verdict}" if found.bundle is not None else found.verdict)
        for size, gain in found.transfer.curve.items():
            typer.echo(f"  calibrated on {size:>4} patients: log loss lower by {gain:+.4f}")
    exit_with(read.problems, code=0)
    raise typer.Exit(0 if found.bundle is not None else 1)
