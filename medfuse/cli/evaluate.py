"""The verb `medfuse evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from medfuse.cli.arguments import AsJson, Cache, Overrides, load_config
from medfuse.cli.terminal import bar, exit_with, show_metrics
from medfuse.errors import MedfuseError

if TYPE_CHECKING:
    from medfuse.cohort import Cohort
    from medfuse.evaluation import Evaluation


def evaluate(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle; with --folds a config.")],
    cohorts: Annotated[
        list[Path], typer.Argument(metavar="COHORT [COHORT …]", help="Cohorts; the others are compared with the first.")
    ],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for metrics.json, predictions and report.html.")],
    baselines: Annotated[bool, typer.Option("--baselines", help="Compare with logistic regression.")] = False,
    folds: Annotated[int | None, typer.Option(min=2, help="Cross-validate a config by patient.")] = None,
    by: Annotated[list[str] | None, typer.Option("--by", help="Report subgroups by this column too.")] = None,
    stress: Annotated[bool, typer.Option("--stress", help="Worsen scans and notes step by step.")] = False,
    overlap: Annotated[
        str, typer.Option(help="Cases that the bundle has seen, in another cohort: refuse, leave-out or keep.")
    ] = "refuse",
    public: Annotated[bool, typer.Option("--public", help="Write nothing about single cases.")] = False,
    override: Overrides = None,
    draws: Annotated[int, typer.Option(min=0, help="Bootstrap draws of the intervals.")] = 1000,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Measure a bundle on patients it has not seen, or a config by cross-validation.

    Example: medfuse evaluate runs/phantoms cohorts/phantoms --out runs/phantoms-evaluation --baselines
    """
    from medfuse.cohort import Cohort
    from medfuse.evaluation.overlap import RULES
    from medfuse.evaluation.sites import folder_of

    if overlap not in RULES:
        message = f"--overlap {overlap}: one of {', '.join(RULES)}"
        raise MedfuseError(message)
    read = [Cohort.load(folder) for folder in cohorts]
    shared: dict[str, Any] = {"baselines": baselines, "by": tuple(by or ()), "draws": draws, "cache": cache}
    if folds is None:
        if bundle.is_file():
            message = f"{bundle}: a config is evaluated by cross-validation; add --folds 5, or name a bundle"
            raise MedfuseError(message)
        from medfuse.evaluation import evaluate_cohorts

        with bar("evaluating", None) as advance:
            found = evaluate_cohorts(bundle, read, stressed=stress, overlap=overlap, progress=advance, **shared)
    else:
        found = {read[0].name: _cross_validated(bundle, read, folds, override, shared, stress=stress)}
    first, *others = found
    found[first].save(out, public=public)
    for name in others:
        found[name].save(folder_of(name, out), public=public)
    metrics = found[first].metrics
    if as_json:
        told = metrics["summary"]
        if others:
            told = told | {"cohorts": {name: one.metrics["summary"] for name, one in found.items()}}
        typer.echo(json.dumps(told))
    else:
        show_metrics(metrics, out)
        for name in others:
            show_metrics(found[name].metrics, folder_of(name, out), title=name)
    exit_with([line for one in found.values() for line in one.metrics["problems"]])


def _cross_validated(
    config: Path, cohorts: list[Cohort], folds: int, override: Overrides, shared: dict[str, Any], *, stress: bool
) -> Evaluation:
    if stress:
        message = "--stress worsens the cases of one bundle; leave out --folds, or --stress"
        raise MedfuseError(message)
    if len(cohorts) > 1:
        message = "--folds trains and tests on one cohort; name one, or leave out --folds and name a bundle"
        raise MedfuseError(message)
    read = load_config(config, override)
    from medfuse.evaluation import cross_validate

    with bar(f"{folds} folds", sum(case.labelled for case in cohorts[0].cases)) as advance:
        return cross_validate(read, cohorts[0], folds=folds, progress=advance, **shared)
