"""The list of cases in the browser: a table of text whose rows lead to their case.

A table of the page itself, and not Streamlit's: that one is drawn by a megabyte and a half of code, on a canvas whose
words a screen reader finds late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import pandas as pd

from medfuse.resources import shipped
from medfuse.review.texts import Texts

Kind = Literal["text", "share", "percent", "number"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the list.

    Attributes:
        title: What stands above it.
        kind: `text` as it is; `share` a bar of 0…1 with its figure; `percent` the same in percent; `number` whole
            or of two digits, and nothing for 0.
    """

    title: str
    kind: Kind = "text"


def rows_of(table: pd.DataFrame, columns: Mapping[str, Column]) -> list[dict[str, Any]]:
    """What the browser is given of each row: the case, and its cells as `{"text", "share"}`, where `share` may be None.

    Args:
        table: With `case_id` and all of `columns`.
        columns: By their name in the table, in the order in which they stand.
    """
    chosen = [(table[name].tolist(), column.kind) for name, column in columns.items()]
    ids = table["case_id"].tolist()
    return [{"case": one, "cells": [_cell(values[at], kind) for values, kind in chosen]} for at, one in enumerate(ids)]


def _cell(value: Any, kind: Kind) -> dict[str, Any]:
    if kind == "text":
        return {"text": str(value), "share": None}
    if kind == "number":
        told = f"{value:.2f}" if isinstance(value, float) else str(value)
        return {"text": told if value else "", "share": None}
    number = float(value)
    text = f"{number:.2f}"
    if kind == "percent":  # never told as certain
        text = "< 1 %" if number < 0.01 else "> 99 %" if number > 0.99 else f"{100 * number:.0f} %"
    return {"text": text, "share": round(min(1.0, max(0.0, number)), 4)}


def show_rows(
    table: pd.DataFrame, columns: Mapping[str, Column], *, key: str, texts: Texts, on_open: Callable[[str], None]
) -> None:
    """Draw the list.

    Args:
        table: As `rows_of` takes it.
        columns: As `rows_of` takes them.
        key: Of the element.
        texts: The words.
        on_open: Called before the page runs again, with the case that was chosen.
    """
    import streamlit as st

    rows = rows_of(table, columns)

    def opened() -> None:
        case_id = st.session_state[key]["opened"]
        if any(row["case"] == case_id for row in rows):  # a browser can send anything
            on_open(case_id)

    heads = [{"title": one.title, "number": one.kind != "text"} for one in columns.values()]
    _component()(data={"columns": heads, "rows": rows, "name": texts("worklist")}, key=key, on_opened_change=opened)


@cache
def _component() -> Any:
    from streamlit.components.v2 import component

    folder = shipped("dashboard") / "list"
    css, js = ((folder / f"list.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return component("medfuse_list", css=css, js=js)
