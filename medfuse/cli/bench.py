"""The verb `medfuse bench`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from medfuse.cli.arguments import AsJson
from medfuse.cli.terminal import bar, table

if TYPE_CHECKING:
    from medfuse.bench import Report


def bench(
    name: Annotated[str, typer.Argument(metavar="NAME", help="What is measured, such as classify.")],
    *,
    cases: Annotated[int | None, typer.Option(min=1, help="Cases that every side works on.")] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="Times that every side runs.")] = None,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads that every side may use.")] = None,
    work: Annotated[Path | None, typer.Option("--work", help="Folder for the cases; they are used again.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything drawn.")] = 0,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="JSON file; a plot lies beside it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Measure medfuse beside what else does the same, in turns on the same cases; exit 1 if an aim is missed.

    Example: medfuse bench classify --cases 64 --rounds 3 --out bench.json
    """
    from medfuse.bench import Settings, run

    settings = Settings(cases=cases, rounds=rounds, threads=threads, work=work, seed=seed)
    with bar("measuring", None) as advance:
        report = run(name, settings, advance)
    written = json.dumps(report.to_dict(), indent=1)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(written + "\n", encoding="utf-8")
        if report.figure:
            out.with_suffix(".svg").write_text(report.figure, encoding="utf-8")
    if as_json:
        typer.echo(written)
    else:
        show_report(report)
    if any(one.reached is False for one in report.comparisons):
        raise typer.Exit(1)


def show_report(report: Report) -> None:
    """Print a report: seconds by side, then the comparisons with their aims."""
    from medfuse.bench.harness import Spread

    rows = []
    for timing in report.timings:
        clock, cpu = Spread.of(timing.seconds), Spread.of(timing.cpu)
        spread = f"{clock.low:.4g} to {clock.high:.4g}"
        rows.append((timing.name, f"{clock.median:.4g}", spread, f"{cpu.median:.4g}", str(len(timing.seconds))))
    table(f"bench {report.bench}", ("side", "seconds", "quartiles", "processor s", "rounds"), rows)
    if report.comparisons:
        table(
            "how many times as fast",
            ("side", "than", "ratio", "quartiles", "aim"),
            [
                (
                    one.name,
                    one.than,
                    f"{one.ratio.median:.3g}",
                    f"{one.ratio.low:.3g} to {one.ratio.high:.3g}",
                    "" if one.aim is None else f"{one.aim:g} {'reached' if one.reached else 'missed'}",
                )
                for one in report.comparisons
            ],
        )
    for key, value in report.facts.items():
        typer.echo(f"{key}: {value}")
