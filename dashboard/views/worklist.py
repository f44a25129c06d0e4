"""The worklist: what to read next, and how far the reading is. Only the page that is shown goes to the browser."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.parts.saved_views import saved_views
from medfuse.errors import MedfuseError
from medfuse.review.desk import Desk
from medfuse.review.reading import Reading, withheld
from medfuse.review.roles import Visitor
from medfuse.review.texts import Texts
from medfuse.review.wording import markdown_plain
from medfuse.review.worklist import ORDERS, STATES, narrow, urgency_basis, with_decisions

ROWS = 50  # of a page
FILTERS = ("text", "states", "labels", "readers", "sites", "unsure", "disagreeing", "order", "page")
desk: Desk = st.session_state["desk"]
t: Texts = st.session_state["texts"]
visitor: Visitor = st.session_state["visitor"]
BAR = {"min_value": 0, "width": "small"}
COLUMNS = {
    "case_id": st.column_config.TextColumn(t("case")),
    "state": st.column_config.TextColumn(t("state"), width="small"),
    "urgency": st.column_config.ProgressColumn(t("urgency"), format="%.2f", max_value=1, **BAR),
    "uncertainty": st.column_config.ProgressColumn(t("unsure"), format="%.2f", max_value=1, **BAR),
    "label": st.column_config.TextColumn(t("most_probable")),
    "percent": st.column_config.ProgressColumn(t("percent"), format="%.0f %%", max_value=100, **BAR),
    "prediction_set": st.column_config.TextColumn(t("excluded")),
    "disagreement": st.column_config.NumberColumn(t("disagreement"), format="%.2f"),
    "modalities": st.column_config.TextColumn(t("inputs")),
    "site": st.column_config.TextColumn(t("site"), width="small"),
    "warnings": st.column_config.NumberColumn(t("warnings"), width="small"),
    "reader": st.column_config.TextColumn(t("reader"), width="small"),
}


def open_case(case_id: str) -> None:
    st.session_state["case"] = case_id
    kept = {"study": st.query_params["study"]} if "study" in st.query_params else {}  # the sidebar's fields keep theirs
    st.switch_page("views/case.py", query_params={**kept, "case": case_id})


def clickable(table: pd.DataFrame, *, columns: dict, key: str) -> None:
    """A table whose rows open their case."""
    event = st.dataframe(
        table.assign(state=[t(f"state_{state.replace(' ', '_')}") for state in table["state"]]),
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


def clear() -> None:
    for name in FILTERS:
        st.session_state.pop(name, None)
        st.query_params.pop(name, None)


try:
    reading = Reading(desk, visitor.name, st.query_params.get("study", ""), account=visitor.account)
    table = with_decisions(desk.table, desk.store.latest())
    if reading.role != "open":
        queue = reading.cases(())
    elif hidden := withheld(desk, visitor.name):
        table = table[~table["case_id"].isin(hidden)].reset_index(drop=True)
except MedfuseError as error:
    st.error(markdown_plain(str(error)), icon=":material/error:")
    st.stop()

left, kept, right = st.columns([2.4, 1, 1], vertical_alignment="bottom")
left.title(t("worklist"))
if reading.role != "open":  # in a study the list shows nothing but the reader's own cases and how far they are
    waiting = [one for one in queue if reading.state(one) != "done"]
    if waiting and right.button(
        t("read_next"), type="primary", icon=":material/play_arrow:", width="stretch", shortcut="O"
    ):
        open_case(waiting[0])
    st.info(t("in_study", study=markdown_plain(reading.study), waiting=len(waiting), count=len(queue)))
    own = pd.DataFrame({"case_id": list(queue), "state": [reading.state(one) or "open" for one in queue]})
    if len(own):
        clickable(own, columns={name: COLUMNS[name] for name in ("case_id", "state")}, key="own")
    st.stop()

failed = table[table["error"] != ""].reset_index(drop=True)
read = table[table["error"] == ""].reset_index(drop=True)
open_cases = read[read["state"] == "open"]
figures = st.columns(4)
figures[0].metric(t("open"), len(open_cases), border=True)
figures[1].metric(t("reviewed"), int((table["state"] != "open").sum()), border=True)
figures[2].metric(t("not_sure"), int(read["abstain"].sum()), border=True)
figures[3].metric(t("failed"), len(failed), border=True)

for problem in desk.problems[:5]:
    st.warning(markdown_plain(problem), icon=":material/warning:")
if len(desk.problems) > 5:
    st.warning(t("lines_left_out", count=len(desk.problems) - 5), icon=":material/warning:")

if len(failed):
    st.subheader(t("failed"), help=t("failed_help"))
    reasons = {name: COLUMNS[name] for name in ("case_id", "state", "reader")}
    reasons["error"] = st.column_config.TextColumn(t("why_failed"), width="large")
    clickable(failed.head(4 * ROWS), columns=reasons, key="failed")
    st.subheader(t("classified"))

with kept:
    saved_views(desk, visitor.name, [name for name in FILTERS if name != "page"], t)
filters = st.columns([1.6, 1.6, 1.6, 1.6, 1.6], vertical_alignment="bottom")
bound = {"bind": "query-params"}
text = filters[0].text_input(t("case"), placeholder=t("search_id"), key="text", **bound)
states = filters[1].multiselect(
    t("state"), STATES, placeholder=t("all_states"), key="states", **bound,
    format_func=lambda one: t(f"state_{one.replace(' ', '_')}"),
)  # fmt: skip
labels = filters[2].multiselect(
    t("most_probable"), desk.cohort.labels, placeholder=t("all_labels"), key="labels", **bound
)
readers = filters[3].multiselect(
    t("reader"), sorted(set(table["reader"].unique()) - {""}), placeholder=t("all_readers"), key="readers"
)
order = filters[4].selectbox(t("sort"), ORDERS, key="order", format_func=lambda one: t(f"order_{one}"), **bound)
more = st.columns([1.6, 1.6, 1.6, 1.6, 1.6], vertical_alignment="center")
unsure = more[0].toggle(t("only_unsure"), key="unsure", **bound)
disagreeing = more[1].toggle(t("only_disagreeing"), key="disagreeing", **bound)
sites = desk.sites
wanted = (
    more[2].multiselect(t("site"), sites, placeholder=t("all_sites"), key="sites", label_visibility="collapsed")
    if sites
    else []
)
shown = narrow(
    read, states=states, labels=labels, readers=readers, sites=wanted, unsure=unsure, disagreeing=disagreeing,
    text=text, order=order,
)  # fmt: skip
if len(shown) and right.button(
    t("read_next"), type="primary", icon=":material/play_arrow:", width="stretch", shortcut="O"
):
    waiting = shown[shown["state"] == "open"]
    open_case((waiting if len(waiting) else shown)["case_id"].iloc[0])
pages = max(1, -(-len(shown) // ROWS))
page = 1
if pages > 1:
    page = more[4].number_input(f"{t('page')} (1 … {pages})", 1, pages, key="page", **bound)
rows = shown.iloc[(page - 1) * ROWS : page * ROWS].copy()
rows["percent"] = 100 * rows["probability"]
left_out = {"uncertainty" if desk.cohort.urgency else "urgency"} if order not in ("uncertainty",) else set()
left_out |= set() if sites else {"site"}
left_out |= set() if (rows["disagreement"] > 0).any() else {"disagreement"}
columns = {name: column for name, column in COLUMNS.items() if name not in left_out}
if len(rows):
    clickable(rows.reset_index(drop=True), columns=columns, key="cases" if pages == 1 else f"cases-{page}")
else:
    st.info(t("no_match") if len(read) else t("no_cases"), icon=":material/search_off:")
    if len(read):
        st.button(t("clear_filters"), on_click=clear)
basis = urgency_basis(desk.cohort, texts=t)
st.caption(markdown_plain(f"{t('count_of', shown=len(shown), all=len(read))} {basis} {t('open_by_click')}"))
