"""The verb `medfuse pretrain`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from medfuse.cli.arguments import AsJson, Cache, Overrides, load_config
from medfuse.cli.terminal import exit_with


def pretrain(
    config: Annotated[Path, typer.Argument(metavar="CONFIG", help="A YAML file; it names the encoders to start from.")],
    *,
    cohort: Annotated[Path, typer.Option("--cohort", "-c", help="Folder with cohort.yaml and cases.csv.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the checkpoints; must be free.")],
    override: Overrides = None,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Go on training encoders on the training split's notes and scans, without labels.

    Example: medfuse pretrain configs/demo.yaml --cohort cohorts/ward --out checkpoints/ward
    """
    from medfuse.cohort import Cohort
    from medfuse.training.pretrain import pretrain as run

    read = Cohort.load(cohort)
    found = run(load_config(config, override), read, out, cache=cache, show=sys.stderr.isatty())
    if as_json:
        typer.echo(json.dumps({key: value for key, value in found.items() if key not in ("patients", "config")}))
    else:
        before, after = found["held_loss_before"], found["held_loss_after"]
        typer.echo(f"{out}: loss on held-out patients of the training split {before} before, {after} after")
        named = " ".join(f"--set {key}={out / place}" for key, place in found["checkpoints"].items())
        typer.echo(f"Next: medfuse train {config} --cohort {cohort} {named} --out BUNDLE")
    exit_with(read.problems)
