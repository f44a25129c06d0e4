"""The verb `medfuse classify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from medfuse.cli.arguments import AsJson, BundleDir, Cache, number, pair
from medfuse.cli.terminal import bar, exit_with, show_prediction
from medfuse.errors import MedfuseError


def classify(
    bundle: BundleDir,
    cohort: Annotated[
        Path | None, typer.Argument(metavar="[COHORT]", help="A cohort; or use --scan and --note.")
    ] = None,
    *,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="predictions.jsonl, .csv or .parquet")] = None,
    scan: Annotated[list[Path] | None, typer.Option("--scan", help="A scan of one case; may be given again.")] = None,
    note: Annotated[list[Path] | None, typer.Option("--note", help="A note of one case; may be given again.")] = None,
    value: Annotated[list[str] | None, typer.Option("--value", help="A value of one case, as in age=61.")] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", help="torch, onnx, int8, openvino or auto; default: the config's.")
    ] = None,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Classify every case of a cohort, or one case from its files.

    Example: medfuse classify runs/phantoms --scan chest.dcm --note history.txt --value age=61
    """
    one = bool(scan or note or value)
    if one == (cohort is not None):
        message = "name either a cohort or the files of one case (--scan, --note, --value)"
        raise MedfuseError(message)
    if cohort is not None and out is None:
        message = "name the file for the predictions: --out predictions.jsonl"
        raise MedfuseError(message)
    if engine not in (None, "torch", "onnx", "int8", "openvino", "auto"):
        message = f"no engine '{engine}'; there are torch, onnx, int8, openvino and auto"
        raise MedfuseError(message)
    from medfuse.inference import Predictor, write_predictions
    from medfuse.inference.output import record

    if cohort is None:
        values: dict[str, float | str | None] = {key: number(text) for key, text in map(pair, value or ())}
        predictor = Predictor.load(bundle, cache=cache, engine=engine)
        unknown = [name for name in values if name not in {column.name for column in predictor.bundle.columns}]
        if unknown:
            message = f"--value {unknown[0]}: the bundle has no such column"
            raise MedfuseError(message)
        prediction = predictor.classify_files(scans=scan or (), notes=note or (), values=values)
        if out is not None:
            write_predictions([prediction], out)
        if as_json:
            typer.echo(json.dumps(record(prediction), ensure_ascii=False))
        else:
            show_prediction(prediction)
        raise typer.Exit(1 if prediction.error or prediction.unreadable else 0)
    from medfuse.cohort import Cohort

    assert out is not None
    read = Cohort.load(cohort)
    predictor = Predictor.load(bundle, cache=cache, engine=engine)
    with bar("classifying", len(read.cases)) as advance:
        remarkable = write_predictions(predictor.stream(read.cases), out, progress=advance)
    failed = [p for p in remarkable if p.error is not None]
    summary = {"classified": len(read.cases) - len(failed), "failed": len(failed), "with_warnings": len(remarkable)}
    typer.echo(json.dumps(summary) if as_json else f"{summary['classified']} cases classified, in {out}")
    problems = [f"case {p.case_id}: not classified: {p.error}" for p in failed]
    damaged = [f"case {p.case_id}: {line}" for p in remarkable if not p.error for line in p.unreadable]
    notes = [f"case {p.case_id}: {line}" for p in remarkable if not p.error for line in p.warnings]
    told = dict.fromkeys([*read.problems, *problems, *damaged, *notes])  # the worst first, each once
    exit_with(told, code=1 if failed or damaged or read.problems else 0)
