"""The verb `medfuse compare`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from medfuse.cli.arguments import AsJson
from medfuse.cli.terminal import table, with_interval


def compare(
    evaluations: Annotated[list[Path], typer.Argument(metavar="A B …", help="Folders of `medfuse evaluate`.")],
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for comparison.json and comparison.html.")],
    draws: Annotated[int, typer.Option(min=0, help="Draws of the paired bootstrap.")] = 1000,
    as_json: AsJson = False,
) -> None:
    """Test models against each other on the same cases; refuses evaluations of different ones.

    Example: medfuse compare runs/fused-evaluation runs/image-evaluation --out runs/comparison
    """
    from medfuse.evaluation.compare import compare as run
    from medfuse.evaluation.compare import write_comparison

    found = run(evaluations, draws=draws)
    write_comparison(found, out)
    if as_json:
        typer.echo(json.dumps(found))
        return
    rows = []
    for pair in found["pairs"]:
        tests = {"AUROC (DeLong)": pair["delong"]} | {name: pair["bootstrap"][name] for name in ("brier", "log_loss")}
        for name, figure in tests.items():
            p = "–" if figure["p_holm"] is None else f"{figure['p_holm']:.3f}".replace("0.000", "< 0.001")
            rows.append((f"{pair['first']} less {pair['second']}: {name}", with_interval(figure), p))
    table(f"{found['n_cases']} cases of {found['n_patients']} patients", ("", "difference", "p, Holm"), rows)
    typer.echo(f"Report: {out / 'comparison.html'}")
