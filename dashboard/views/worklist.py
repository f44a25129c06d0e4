"""The worklist: what to read next, and how far the reading is."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from medfuse.errors import MedfuseError
from medfuse.review.desk import Desk
from medfuse.review.wording import markdown_plain
from medfuse.review.worklist import STATES, narrow, urgency_basis, worklist

BAR = {"min_value": 0, "width": "small"}
COLUMNS = {
    "case_id": st.column_config.TextColumn("Case"),
    "urgency": st.column_config.ProgressColumn("Urgency", format="%.2f", max_value=1, **BAR),
    "uncertainty": st.column_config.ProgressColumn("Unsure", format="%.2f", max_value=1, **BAR),
    "label": st.column_config.TextColumn("Most probable"),
    "percent": st.column_config.ProgressColumn("Probability", format="%.0f %%", max_value=100, **BAR),
    "prediction_set": st.column_config.TextColumn("Cannot be excluded"),
    "modalities": st.column_config.TextColumn("Inputs used"),
    "warnings": st.column_config.NumberColumn("Warnings", width="small"),
    "state": st.column_config.TextColumn("State", width="small"),
    "reader": st.column_config.TextColumn("Reader", width="small"),
}


def open_case(case_id: str) -> None:
    st.session_state["case"] = case_id
    st.switch_page("views/case.py", query_params={"case": case_id})


def clickable(table: pd.DataFrame, *, columns: dict, key: str) -> None:
    """A table whose rows open their case."""
    event = st.dataframe(
        table,
        key=key,
        hide_index=True,
        column_order=list(columns),
        column_config=columns,
        on_select="rerun",
        selection_mode="single-cell",
        height="content" if len(table) <= 15 else 560,
        lazy=False,
    )
    for row, _ in event.selection.cells:
        if row < len(table):
            open_case(table["case_id"].iloc[row])


desk: Desk = st.session_state["desk"]
try:
    table = worklist(desk.cohort, desk.predictions, desk.store.latest())
except MedfuseError as error:
    st.error(markdown_plain(str(error)), icon=":material/error:")
    st.stop()
failed = table[table["error"] != ""].reset_index(drop=True)
read = table[table["error"] == ""].reset_index(drop=True)
open_cases = read[read["state"] == "open"]

left, right = st.columns([5, 1], vertical_alignment="bottom")
left.title("Worklist")
if len(open_cases) and right.button(
    "Read the next case", type="primary", icon=":material/play_arrow:", width="stretch"
):
    open_case(open_cases["case_id"].iloc[0])

figures = st.columns(4)
figures[0].metric("Open", len(open_cases), border=True)
figures[1].metric("Reviewed", int((table["state"] != "open").sum()), border=True)
figures[2].metric("Model not sure", int(read["abstain"].sum()), border=True)
figures[3].metric("Could not be classified", len(failed), border=True)

for problem in desk.problems[:5]:
    st.warning(markdown_plain(problem), icon=":material/warning:")
if len(desk.problems) > 5:
    st.warning(f"{len(desk.problems) - 5} more lines of the predictions were left out.", icon=":material/warning:")

if len(failed):
    st.subheader("Could not be classified", help="These cases have no prediction. They need a reader all the same.")
    reasons = {name: COLUMNS[name] for name in ("case_id", "state", "reader")}
    reasons["error"] = st.column_config.TextColumn("Why", width="large")
    clickable(failed, columns=reasons, key="failed")
    st.subheader("Classified")

filters = st.columns([2, 2, 2, 1.2], vertical_alignment="bottom")
text = filters[0].text_input("Case", placeholder="Search by case id")
states = filters[1].multiselect("State", STATES, placeholder="All states")
labels = filters[2].multiselect("Most probable", desk.cohort.labels, placeholder="All labels")
unsure = filters[3].toggle("Only unsure")
shown = narrow(read, states=states, labels=labels, unsure=unsure, text=text)
shown["percent"] = 100 * shown["probability"]
unused = "uncertainty" if desk.cohort.urgency else "urgency"
columns = {name: column for name, column in COLUMNS.items() if name != unused}
if len(shown):
    clickable(shown, columns=columns, key="cases")
else:
    st.info("No case matches these filters." if len(read) else "There are no classified cases.")
count = f"{len(shown)} of {len(read)} cases. " if len(shown) < len(read) else f"{len(read)} cases. "
st.caption(markdown_plain(count + urgency_basis(desk.cohort)) + " Click a row to open its case.")
