"""The verb `medfuse export`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from medfuse.cli.arguments import AsJson, BundleDir


def export(
    bundle: BundleDir,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Folder for the ONNX files and their manifest.")],
    *,
    int8: Annotated[bool, typer.Option("--int8", help="The text encoder's linear maps in 8-bit integers.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a bundle as ONNX files that run without torch and medfuse; refused if they differ from torch by over 1e-4.

    Example: medfuse export runs/phantoms exported/phantoms
    """
    from medfuse.bundle import Bundle, require_free

    require_free(out)
    from medfuse.inference.export import export_bundle

    manifest = export_bundle(Bundle.load(bundle), out, int8=int8)
    if as_json:
        typer.echo(json.dumps(manifest, ensure_ascii=False))
        return
    for name, told in manifest["files"].items():
        said = f", {told['precision']}, from torch at most {told['difference']:.1e}" if "precision" in told else ""
        typer.echo(f"{out / name}: {(out / name).stat().st_size / 1e6:.1f} MB{said}")
