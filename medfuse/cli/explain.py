"""The verb `medfuse explain`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from medfuse.cli.arguments import AsJson, BundleDir, Cache, CohortDir
from medfuse.cli.terminal import bar, exit_with, table
from medfuse.errors import MedfuseError


def explain(
    bundle: BundleDir,
    cohort: CohortDir,
    *,
    case: Annotated[str | None, typer.Option("--case", help="The case's id.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder for overlays, page and JSON.")] = None,
    label: Annotated[str | None, typer.Option("--label", help="The label to explain; default: the likeliest.")] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", help="How heat maps are made, as in grad_cam; with --check it may be given again."),
    ] = None,
    probability: Annotated[
        bool, typer.Option("--probability", help="Explain the calibrated probability instead of the logit.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Measure the heat maps over unseen cases instead.")] = False,
    cases: Annotated[int, typer.Option(min=1, help="Most cases of --check.")] = 40,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Show why a bundle says what it says of a case; or, with --check, measure how far its heat maps can be trusted.

    Example: medfuse explain runs/phantoms cohorts/phantoms --case case-0007 --out runs/why
    """
    if check == (case is not None):
        message = "name a case with --case and --out, or ask for --check"
        raise MedfuseError(message)
    if case is not None and out is None:
        message = "name the folder for the explanation: --out DIR"
        raise MedfuseError(message)
    from medfuse.cohort import Cohort
    from medfuse.explain import explain as run
    from medfuse.explain.explain import METHOD
    from medfuse.inference import Predictor

    methods = method or [METHOD]
    read = Cohort.load(cohort)
    predictor = Predictor.load(bundle, cache=cache)
    if check:
        _check(predictor, read, methods, cases, as_json=as_json)
        return
    from medfuse.explain.page import write_explanation

    assert out is not None
    found = next((one for one in read.cases if one.case_id == case), None)
    if found is None or len(methods) > 1:
        message = "give one --method for a case" if found else f"--case {case}: the cohort has no such case"
        raise MedfuseError(message)
    with bar("explaining", 5) as advance:
        why = run(
            predictor,
            found,
            label=label,
            method=methods[0],
            target="probability" if probability else "logit",
            progress=advance,
        )
    write_explanation(why, found, out, image=predictor.bundle.config.image)
    if as_json:
        typer.echo(json.dumps(why.to_dict(), ensure_ascii=False))
    else:
        typer.echo(f"case {why.case_id}: {why.label} {why.probability:.2f} ({why.base:.2f} with nothing known)")
        for share in why.modalities:
            typer.echo(f"  {share.name:<10} {share.contribution:+.3f}")
        for heat in why.maps:
            if heat.sanity is not None and not heat.sanity.passed:
                typer.echo(f"  the map of {heat.name} failed its sanity check; do not rely on it")
        typer.echo(f"Page: {out / 'explanation.html'}")
    exit_with(why.warnings)


def _check(predictor: object, read: object, methods: list[str], cases: int, *, as_json: bool) -> None:
    from medfuse.cohort import Cohort
    from medfuse.explain.check import check
    from medfuse.inference import Predictor

    assert isinstance(predictor, Predictor)
    assert isinstance(read, Cohort)
    with bar("checking", cases) as advance:
        found = check(predictor, read, methods=methods, cases=cases, progress=advance)
    if as_json:
        typer.echo(json.dumps([one.to_dict() for one in found]))
        return
    table(
        f"{found[0].maps} maps of cases that the bundle has not seen",
        ("", "passed", "similarity", "deletion", "(random)", "insertion", "(random)"),
        [
            (one.method, f"{one.passed:.2f}", f"{one.similarity:+.2f}", f"{one.deletion:.3f}",
             f"{one.deletion_random:.3f}", f"{one.insertion:.3f}", f"{one.insertion_random:.3f}")
            for one in found
        ],
    )  # fmt: skip
    for one in found:
        if one.localisation:
            table(
                f"{one.method}: {one.localised} maps on a known finding",
                ("", "pointing game", "energy in it"),
                [(name, f"{row['pointing']:.2f}", f"{row['energy']:.2f}") for name, row in one.localisation.items()],
            )
