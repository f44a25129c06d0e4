"""The worklist: what to read next, and how far the reading is. Only the page that is shown goes to the browser."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from dashboard.parts.saved_views import saved_views
from medfuse.errors import MedfuseError
from medfuse.review.bars import KINDS
from medfuse.review.desk import Desk
from medfuse.review.listing import Column, show_rows
from medfuse.review.reading import Reading, withheld
from medfuse.review.roles import Visitor
from medfuse.review.texts import Texts
from medfuse.review.wording import absent, answer_set, markdown_plain
from medfuse.review.worklist import ORDERS, STATES, narrow, urgency_basis, with_decisions

ROWS = 50  # of a page
FILTERS = ("text", "states", "labels", "readers", "sites", "unsure", "disagreeing", "order", "page")
desk: Desk = st.session_state["desk"]
t: Texts = st.session_state["texts"]
visitor: Visitor = st.session_state["visitor"]
COLUMNS = {
    "case_id": Column(t("case")),
    "state": Column(t("state")),
    "urgency": Column(t("urgency"), "share"),
    "uncertainty": Column(t("unsure"), "share"),
    "label": Column(t("most_probable")),
    "probability": Column(t("percent"), "percent"),
    "prediction_set": Column(t("excluded")),
    "disagreement": Column(t("disagreement"), "number"),
    "absent": Column(t("missing")),
    "site": Column(t("site")),
    "warnings": Column(t("warnings"), "number"),
    "reader": Column(t("reader")),
}


def open_case(case_id: str) -> None:
    """Runs before the page: what is drawn next is the case, and not this list once more."""
    st.session_state["case"] = case_id
    kept = {"study": st.query_params["study"]} if "study" in st.query_params else {}  # the sidebar's fields keep theirs
    st.switch_page("views/case.py", query_params={**kept, "case": case_id})


def read_next(case_id: str) -> None:
    right.button(
        t("read_next"), type="primary", icon=":material/play_arrow:", width="stretch", shortcut="O",
        on_click=open_case, args=(case_id,),
    )  # fmt: skip


def clickable(table: pd.DataFrame, *, columns: dict[str, Column], key: str) -> None:
    """A table whose rows open their case."""
    told = table.assign(state=[t(f"state_{state.replace(' ', '_')}") for state in table["state"]])
    show_rows(told, columns, key=key, texts=t, on_open=open_case)


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
    st.error(markdown_plain(t.said(error)), icon=":material/error:")
    st.stop()

left, kept, right = st.columns([2.4, 1, 1], vertical_alignment="bottom")
left.title(t("worklist"))
if reading.role != "open":  # in a study the list shows nothing but the reader's own cases and how far they are
    waiting = [one for one in queue if reading.state(one) != "done"]
    if waiting:
        read_next(waiting[0])
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
    st.warning(markdown_plain(t.said(problem)), icon=":material/warning:")
if len(desk.problems) > 5:
    st.warning(t("lines_left_out", count=len(desk.problems) - 5), icon=":material/warning:")

if len(failed):
    st.subheader(t("failed"), help=t("failed_help"))
    reasons = {name: COLUMNS[name] for name in ("case_id", "state", "reader")}
    reasons["error"] = Column(t("why_failed"))
    failed = failed.head(4 * ROWS)
    told = failed.assign(error=[t.said(one) for one in failed["error"]])
    clickable(told, columns=reasons, key="failed")
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
if len(shown):
    waiting = shown[shown["state"] == "open"]
    read_next((waiting if len(waiting) else shown)["case_id"].iloc[0])
pages = max(1, -(-len(shown) // ROWS))
page = 1
if pages > 1:
    page = more[4].number_input(f"{t('page')} (1 … {pages})", 1, pages, key="page", **bound)
rows = shown.iloc[(page - 1) * ROWS : page * ROWS]
predicted = [desk.predictions[one] for one in rows["case_id"]]
rows = rows.assign(
    prediction_set=[answer_set(one, task=desk.cohort.task, texts=t) for one in predicted],
    absent=[", ".join(t(f"kind_{KINDS[name]}") for name in absent(one)) for one in predicted],
)
left_out = {"uncertainty" if desk.cohort.urgency else "urgency"} if order not in ("uncertainty",) else set()
left_out |= set() if sites else {"site"}
left_out |= {
    name for name in ("absent", "disagreement", "warnings", "reader") if not rows[name].any()
}  # nothing to show
columns = {name: column for name, column in COLUMNS.items() if name not in left_out}
if len(rows):
    clickable(rows, columns=columns, key="cases")
else:
    st.info(t("no_match") if len(read) else t("no_cases"), icon=":material/search_off:")
    if len(read):
        st.button(t("clear_filters"), on_click=clear)
basis = urgency_basis(desk.cohort, texts=t)
st.caption(markdown_plain(f"{t('count_of', shown=len(shown), all=len(read))} {basis} {t('open_by_click')}"))
