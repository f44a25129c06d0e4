"""The scan viewer in the browser: cornerstone3D in a Streamlit component, fed with 16-bit values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from medfuse.case import Scan
from medfuse.resources import shipped
from medfuse.review.levels import Levels, Window
from medfuse.review.texts import Texts


@dataclass(frozen=True, slots=True)
class Overlay:
    """A map of the model over a scan, for laying it on.

    Attributes:
        name: What it is, for the reader.
        greys: uint8 [slices, rows, columns], 255 where it is greatest; it covers the whole image whatever its own size.
        numbers: Which slices of the volume it has, from 1; (1,) for a single image.
        warning: What a reader must know of it; "" if nothing.
    """

    name: str
    greys: np.ndarray
    numbers: tuple[int, ...] = (1,)
    warning: str = ""


def overlay_of(name: str, values: np.ndarray, *, numbers: tuple[int, ...] = (1,), warning: str = "") -> Overlay:
    """A map as an overlay: what is below 0 is clear, the greatest value is full.

    Args:
        name: What it is, for the reader.
        values: [rows, columns] or [slices, rows, columns].
        numbers: Which slices these are.
        warning: What a reader must know of it.
    """
    stack = np.nan_to_num(np.asarray(values, dtype=np.float32)).reshape(-1, *np.shape(values)[-2:])
    greatest = float(stack.max(initial=0.0))
    greys = np.rint(np.clip(stack, 0, None) * (255 / greatest)) if greatest > 0 else np.zeros_like(stack)
    return Overlay(name, greys.astype(np.uint8), numbers, warning)


def arguments(
    levels: Levels,
    seen: Scan | None,
    *,
    key: str,
    texts: Texts,
    overlays: Sequence[Overlay] = (),
    region: Mapping[str, int] | None = None,
    height: int = 560,
) -> dict[str, Any]:
    """What the component is given.

    Args:
        levels: The scan's values.
        seen: The scan as the network saw it (`fit_scan`); None to leave it out.
        key: Changes with the scan; as long as it stays, the reader's zoom and window stay.
        texts: The words.
        overlays: Maps to choose from.
        region: The reader's region on this scan, if there is one.
        height: Of the image, pixels.
    """
    slices, rows, columns = levels.codes.shape
    small = np.zeros((0, 1, 1), dtype=np.uint8)
    seen_numbers: tuple[int, ...] = ()
    if seen is not None and seen.pixels is not None:
        small = np.rint(255 * seen.pixels.reshape(-1, *seen.pixels.shape[-2:])).astype(np.uint8)
        shown = seen.receipt.shown if seen.receipt else ()
        seen_numbers = shown if len(shown) == len(small) else tuple(range(1, len(small) + 1))
    maps: dict[str, Any] = {f"overlay_{index}": one.greys.tobytes() for index, one in enumerate(overlays)}
    return maps | {
        "image_key": key,
        "pixels": levels.codes.astype("<u2").tobytes(),
        "seen": small.tobytes(),
        "seen_shape": list(small.shape),
        "seen_numbers": list(seen_numbers),
        "slices": slices,
        "rows": rows,
        "columns": columns,
        "slope": levels.slope,
        "intercept": levels.intercept,
        "unit": "" if levels.unit == "grey" else levels.unit,
        "inverted": levels.inverted,
        "spacing": list(levels.spacing) if levels.spacing else None,
        "aspect": levels.aspect,
        "numbers": list(levels.numbers),
        "start": slices // 2,
        "presets": [_preset(window, texts) for window in levels.windows],
        "overlays": [
            {
                "name": one.name,
                "slices": one.greys.shape[0],
                "rows": one.greys.shape[1],
                "columns": one.greys.shape[2],
                "numbers": list(one.numbers),
                "warning": one.warning,
            }
            for one in overlays
        ],
        "region": dict(region) if region else None,
        "height": height,
        "texts": _words(texts),
    }


@cache
def _component() -> Any:
    from streamlit.components.v1 import declare_component

    return declare_component("medfuse_viewer", path=str(shipped("dashboard") / "viewer"))


def show(given: Mapping[str, Any], *, key: str) -> Mapping[str, Any] | None:
    """Draw the viewer; returns `{"image_key", "region"}` once the reader marked or cleared a region, else None."""
    answer = _component()(**given, key=key, default=None)
    return answer if isinstance(answer, dict) and answer.get("image_key") == given["image_key"] else None


def show_note(pieces: Sequence[Mapping[str, Any]], *, name: str, key: str, texts: Texts, height: int = 420) -> None:
    """Draw a note as `note_pieces` cut it, letter by letter and never as HTML or Markdown.

    Args:
        pieces: Of `note_pieces`.
        name: What the note is called, for screen readers.
        key: Of the element.
        texts: The words.
        height: At most so many pixels; more is scrolled.
    """
    words = ("for", "against", "negated", "possible", "historical", "hypothetical", "other")
    told = {one: texts(f"note_{one}") for one in words}
    given = {"kind": "note", "pieces": list(pieces), "words": told, "name": name, "height": height, "texts": _words(texts)}
    _component()(**given, key=key, default=None)


def _preset(window: Window, texts: Texts) -> dict[str, Any]:
    name = texts(f"window_{window.name}")
    if window.number:
        name = f"{name} {window.number}"
    return {"name": name, "lower": window.lower, "upper": window.upper, "sigmoid": window.sigmoid}


def _words(texts: Texts) -> dict[str, Any]:
    names = (
        "original seen seen_button label tools view tool_window tool_pan tool_zoom tool_length tool_region invert fit "
        "clear keys presets slice overlay no_overlay opacity window zoom inverted pixels fault"
    ).split()
    keys = (
        ("w", "tool_window"), ("p", "tool_pan"), ("z", "tool_zoom"), ("m", "tool_length"), ("g", "tool_region"),
        ("i", "invert"), ("f", "fit"), ("s", "seen_button"), ("o", "key_overlay"), ("1 … 9", "key_presets"),
        ("+  −", "key_zoom"), ("← → ↑ ↓", "key_move"), ("PgUp  PgDn", "key_slices"), (",  .", "key_level"),
        ("[  ]", "key_width"), ("Del", "clear"), ("Esc", "tool_window"),
    )  # fmt: skip
    words: dict[str, Any] = {name: texts(f"viewer_{name}") for name in names}
    return words | {"key_list": [[key, texts(f"viewer_{name}")] for key, name in keys]}
