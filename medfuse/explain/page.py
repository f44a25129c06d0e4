"""An explanation as files: overlays as PNG, a page that opens without a network, and explanation.json."""

from __future__ import annotations

import json
import os
from base64 import b64encode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from medfuse.case import Case
from medfuse.config import ImageConfig
from medfuse.explain.explanation import Explanation, HeatMap, NoteWords
from medfuse.imaging import read_scan
from medfuse.page import page

if TYPE_CHECKING:
    from jaxtyping import Float32
    from numpy import ndarray

LONGEST = 1600  # pixels of the longer side of an overlay; a larger scan is made smaller
TEMPLATE = Path(__file__).with_name("page.html.j2")

_FOR, _AGAINST = (
    np.array([0.84, 0.37, 0.0]),
    np.array([0.0, 0.45, 0.70]),
)  # Okabe & Ito: told apart by colour-blind eyes
_OPAQUE = 0.6  # of the strongest place


def overlay(grey: Float32[ndarray, "h w"], heat: Float32[ndarray, "h w"], *, strongest: float) -> Image.Image:
    """A scan with its map: orange speaks for the label, blue against it, the stronger the less the scan shines through.

    Args:
        grey: The scan, 0…1.
        heat: The map in the same pixels.
        strongest: What counts as full colour.
    """
    share = np.clip(np.abs(heat) / strongest if strongest > 0 else np.zeros_like(heat), 0, 1)[..., None] * _OPAQUE
    colour = np.where((heat > 0)[..., None], _FOR, _AGAINST)
    mixed = grey[..., None] * (1 - share) + colour * share
    picture = Image.fromarray(np.rint(np.clip(mixed, 0, 1) * 255).astype(np.uint8))
    picture.thumbnail((LONGEST, LONGEST))
    return picture


def write_explanation(
    explanation: Explanation, case: Case, folder: str | Path, *, image: ImageConfig | None = None
) -> list[Path]:
    """Write `explanation.json`, one PNG a map (a volume slice by slice), and `explanation.html` with all of it.

    Args:
        explanation: What is written.
        case: Its case.
        folder: Where to; made if it is not there.
        image: How the scans were read; None as `read_scan` does by itself.

    Returns:
        The files.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = image or ImageConfig()
    shown: list[_Shown] = []
    files: list[Path] = []
    for heat in explanation.maps:
        scan = case.scans[heat.scan]
        pixels = scan.pixels
        if pixels is None:
            pixels = read_scan(scan.path, series=config.series, slices=config.slices).pixels
        assert pixels is not None
        for number, picture in enumerate(_pictures(pixels, heat)):
            tail = f"-slice-{number + 1}" if pixels.ndim == 3 else ""
            stream = BytesIO()
            picture.save(stream, format="PNG")
            path = folder / f"scan-{heat.scan + 1}{tail}.png"
            _write(path, stream.getvalue())
            files.append(path)
            encoded = b64encode(stream.getvalue()).decode("ascii")
            shown.append(_Shown(heat, number + 1 if pixels.ndim == 3 else 0, f"data:image/png;base64,{encoded}"))
    written = folder / "explanation.json"
    _write(written, json.dumps(explanation.to_dict(), indent=1, ensure_ascii=False).encode())
    page = folder / "explanation.html"
    _write(page, _page(explanation, shown).encode())
    return [*files, written, page]


@dataclass(frozen=True)
class _Shown:
    """A picture of the page."""

    heat: HeatMap
    slice: int
    uri: str


def _pictures(pixels: Float32[ndarray, "*s h w"], heat: HeatMap) -> Iterator[Image.Image]:
    strongest = float(np.abs(heat.heat).max())
    if pixels.ndim == 2:
        yield overlay(pixels, heat.original(), strongest=strongest)
        return
    for grey, one in zip(pixels, heat.original(), strict=True):
        yield overlay(grey, one, strongest=strongest)


def _page(explanation: Explanation, shown: Sequence[_Shown]) -> str:
    return page(
        TEMPLATE,
        {
            "explanation": explanation,
            "shown": shown,
            "notes": [(note, list(stretches(note))) for note in explanation.notes],
        },
        filters={
            "signed": lambda value: f"{value:+.3f}".replace("-", "−"),
            "percent": lambda value: f"{100 * value:.1f} %",
        },
    )


def stretches(note: NoteWords) -> Iterator[tuple[str, float, float]]:
    """The whole text in order, piece by piece: what it says, its attribution, and its strength -1…1 for colouring."""
    strongest = max((abs(word.attribution) for word in note.words), default=0.0) or 1.0
    last = 0
    for word in note.words:
        if word.start > last:
            yield note.text[last : word.start], 0.0, 0.0
        yield note.text[word.start : word.end], word.attribution, word.attribution / strongest
        last = word.end
    if last < len(note.text):
        yield note.text[last:], 0.0, 0.0


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.write_bytes(content)
    os.replace(partial, path)
