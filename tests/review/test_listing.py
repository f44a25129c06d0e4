from __future__ import annotations

import pandas as pd

from medfuse.review.listing import Column, rows_of


def test_cells_are_texts_and_shares_are_bars_too() -> None:
    table = pd.DataFrame(
        {"case_id": ["<b>", "c-2"], "p": [0.724, 1.0], "u": [0.5, 0.0], "d": [0.104, 0.0], "n": [2, 0], "left": [1, 2]}
    )
    columns = {
        "case_id": Column("Case"), "p": Column("Probability", "percent"), "u": Column("Urgency", "share"),
        "d": Column("Disagreement", "number"), "n": Column("Warnings", "number"),
    }  # fmt: skip
    first, second = rows_of(table, columns)
    assert first == {
        "case": "<b>",
        "cells": [
            {"text": "<b>", "share": None}, {"text": "72 %", "share": 0.724}, {"text": "0.50", "share": 0.5},
            {"text": "0.10", "share": None}, {"text": "2", "share": None},
        ],
    }  # fmt: skip
    assert [cell["text"] for cell in second["cells"]] == ["c-2", "> 99 %", "0.00", "", ""]
