"""The verb `medfuse demo`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from medfuse.cli.terminal import bar, brief, show_prediction, table


def demo(
    *,
    out: Annotated[Path, typer.Option("--out", "-o", help="Where everything goes; must be free.")] = Path(
        "medfuse-demo"
    ),
    cases: Annotated[int, typer.Option(min=60, help="Cases of the cohort.")] = 400,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Do the whole path on a synthetic cohort: train, calibrate, evaluate, classify.

    Example: medfuse demo --out medfuse-demo
    """
    from medfuse.demo import run_demo

    shown = run_demo(out, cases=cases, seed=seed, bar=bar)
    table(
        f"AUROC on {shown.rows[0][1]['n_cases']} held-out cases",
        ("model", "AUROC", "95 % interval", "ECE", "best reachable"),
        [
            (
                {"image": "image only", "note": "note only", "fused": "scans, notes and values"}[name],
                f"{summary['auroc']['value']:.3f}",
                f"{summary['auroc']['low']:.3f} to {summary['auroc']['high']:.3f}",
                f"{summary['ece']['value']:.3f}",
                f"{shown.best[{'image': 'image', 'note': 'text', 'fused': 'all'}[name]]:.3f}",
            )
            for name, summary in (shown.rows[1], shown.rows[2], shown.rows[0])
        ],
    )
    show_prediction(shown.example)
    typer.echo(f"The same case without its note: {brief(shown.without_note)}")
    typer.echo(f"\nGo on with:\n  medfuse dashboard --bundle {out / 'fused'} --cohort {out / 'cohort'}")
    typer.echo(f"  open {out / 'evaluation' / 'fused' / 'report.html'}")
    typer.echo(f"  medfuse classify {out / 'fused'} {out / 'cohort'} --out predictions.jsonl")
    typer.echo("Research software, not a medical device.")
