"""The verb `medfuse classify`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from medfuse.cli.arguments import AsJson, Cache, number, pair
from medfuse.cli.terminal import bar, exit_with, show_prediction
from medfuse.errors import MedfuseError

if TYPE_CHECKING:
    from medfuse.inference import Summary


def classify(
    bundle: Annotated[str, typer.Argument(metavar="BUNDLE", help="Folder that `medfuse train` made.")],
    cohort: Annotated[
        str | None, typer.Argument(metavar="[COHORT]", help="A cohort; or use --scan and --note.")
    ] = None,
    *,
    out: Annotated[
        str | None, typer.Option("--out", "-o", help="predictions.jsonl, .csv or .parquet; with --on ray a folder.")
    ] = None,
    scan: Annotated[list[Path] | None, typer.Option("--scan", help="A scan of one case; may be given again.")] = None,
    note: Annotated[list[Path] | None, typer.Option("--note", help="A note of one case; may be given again.")] = None,
    value: Annotated[list[str] | None, typer.Option("--value", help="A value of one case, as in age=61.")] = None,
    engine: Annotated[
        str | None,
        typer.Option("--engine", help="torch, onnx, int8, openvino or auto; default: the config's. Or ray: --on ray."),
    ] = None,
    on: Annotated[str | None, typer.Option("--on", help="ray: on many machines; a path may be s3://…")] = None,
    workers: Annotated[int | None, typer.Option(min=1, help="With --on ray: most processes, one core each.")] = None,
    block: Annotated[int | None, typer.Option(min=16, help="With --on ray: cases of a part, a multiple of 16.")] = None,
    cache: Cache = None,
    as_json: AsJson = False,
) -> None:
    """Classify every case of a cohort, or one case from its files.

    Example: medfuse classify runs/phantoms --scan chest.dcm --note history.txt --value age=61
    """
    if engine == "ray":
        engine, on = None, "ray"
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
    if on not in (None, "ray") or (on is None and (workers or block)):
        message = "--on takes ray; --workers and --block go with it"
        raise MedfuseError(message)
    if cohort is None:
        _one(bundle, scan or (), note or (), value or (), out=out, engine=engine, cache=cache, as_json=as_json)
    assert cohort is not None
    assert out is not None
    if on == "ray":
        summary = _on_ray(bundle, cohort, out, workers=workers, block=block, engine=engine, cache=cache)
    else:
        summary = _here(bundle, cohort, out, engine=engine, cache=cache)
    counts = {
        "classified": summary.cases - summary.failed,
        "failed": summary.failed,
        "with_warnings": summary.remarkable,
    }
    typer.echo(json.dumps(counts) if as_json else f"{counts['classified']} cases classified, in {out}")
    wrong = summary.failed or summary.unreadable or summary.lines["table"]
    exit_with(summary.told(), code=1 if wrong else 0, more=summary.untold)


def _here(bundle: str, cohort: str, out: str, *, engine: str | None, cache: Path | None) -> Summary:
    from medfuse.inference import Predictor, Summary, write_predictions
    from medfuse.table import Ids, Table

    table = Table.of(cohort)
    predictor, ids, faults = Predictor.load(bundle, cache=cache, engine=engine), Ids(table), Summary()
    with bar("classifying", ids.cases) as advance:
        cases = table.stream(Path(cohort), ids, lambda line: faults.tell("table", line))
        summary = write_predictions(predictor.stream(cases), out, progress=advance)
    summary.lines["table"].update(faults.lines["table"])
    summary.untold += faults.untold
    return summary


def _on_ray(bundle: str, cohort: str, out: str, *, block: int | None, **how: Any) -> Summary:
    from medfuse.inference.cluster import BLOCK, classify_on_ray

    with bar("classifying", None) as advance:
        return classify_on_ray(bundle, cohort, out, block=block or BLOCK, progress=advance, **how)


def _one(
    bundle: str,
    scan: Sequence[Path],
    note: Sequence[Path],
    value: Sequence[str],
    *,
    out: str | None,
    engine: str | None,
    cache: Path | None,
    as_json: bool,
) -> NoReturn:
    from medfuse.inference import Predictor, write_predictions
    from medfuse.inference.output import record

    values: dict[str, float | str | None] = {key: number(text) for key, text in map(pair, value)}
    predictor = Predictor.load(bundle, cache=cache, engine=engine)
    unknown = [name for name in values if name not in {column.name for column in predictor.bundle.columns}]
    if unknown:
        message = f"--value {unknown[0]}: the bundle has no such column"
        raise MedfuseError(message)
    prediction = predictor.classify_files(scans=scan, notes=note, values=values)
    if out is not None:
        write_predictions([prediction], out)
    if as_json:
        typer.echo(json.dumps(record(prediction), ensure_ascii=False))
    else:
        show_prediction(prediction)
    raise typer.Exit(1 if prediction.error or prediction.unreadable else 0)
