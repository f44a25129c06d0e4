"""Blinded reading studies: set one up, see how far each reader is, and what came of it once everybody is done."""

from __future__ import annotations

import streamlit as st

from medfuse.errors import MedfuseError
from medfuse.review.arbitration import reader_progress, results
from medfuse.review.desk import Desk
from medfuse.review.study import AIS, Study, create_study, studies
from medfuse.review.texts import Texts
from medfuse.review.wording import markdown_plain, told

desk: Desk = st.session_state["desk"]
t: Texts = st.session_state["texts"]
reader = st.session_state.get("reader", "").strip()


def join(name: str) -> None:
    st.query_params["study"] = name
    st.query_params.pop("case", None)


def set_up() -> None:
    """The form of a new study."""
    with st.form("new-study", border=True):
        name = st.text_input(t("study_name"), max_chars=100)
        readers = st.text_area(t("study_readers"), placeholder="AB\nCD", height=90)
        columns = st.columns(3)
        reads = columns[0].number_input(t("study_reads"), 1, 20, 2)
        arbiter = columns[1].text_input(t("study_arbiter"), max_chars=200)
        ai = columns[2].selectbox(t("study_ai"), AIS, index=2, format_func=lambda one: t(f"ai_{one}"))
        count = st.number_input(t("study_count"), 1, max(1, len(desk.table)), min(50, max(1, len(desk.table))))
        if not st.form_submit_button(t("study_create"), type="primary"):
            return
    wanted = Study(
        name=name.strip(), readers=tuple(filter(None, (one.strip() for one in readers.splitlines()))),
        cases=tuple(desk.table["case_id"].head(int(count))), reads=int(reads), ai=ai, arbiter=arbiter.strip(),
    )  # fmt: skip
    try:
        create_study(desk.store, wanted, actor=reader or "nobody named")
    except MedfuseError as error:
        st.error(markdown_plain(str(error)), icon=":material/error:")
        return
    st.success(t("study_made"))
    st.rerun()


def show_study(study: Study) -> None:
    st.subheader(markdown_plain(study.name))
    st.caption(t("study_line", cases=len(study.cases), reads=study.reads, ai=t(f"ai_{study.ai}")))
    progress = reader_progress(desk.store, study)
    rows = [
        {
            t("reader"): one.reader,
            t("progress"): one.done / max(1, one.assigned),
            t("done_of"): f"{one.done} / {one.assigned}",
            t("median_time"): "–" if one.median_seconds is None else f"{one.median_seconds:.0f} s",
        }
        for one in progress
    ]
    bar = {t("progress"): st.column_config.ProgressColumn(t("progress"), min_value=0, max_value=1, format="percent")}
    st.dataframe(rows, hide_index=True, column_config=bar, width="stretch", height="content")
    if reader in (*study.readers, study.arbiter) and st.query_params.get("study") != study.name:
        st.button(t("study_join"), key=f"join-{study.name}", on_click=join, args=(study.name,), type="primary")
    finished = all(one.done == one.assigned for one in progress)
    if not finished:
        st.info(t("study_unfinished"), icon=":material/visibility_off:")
        return
    outcome(study)


def outcome(study: Study) -> None:
    """What came of it: told only when nobody can be biased by it any more."""
    found = results(desk.store, study)
    agreed = sum(one.outcome == "agreed" for one in found)
    columns = st.columns(3)
    columns[0].metric(t("agreed"), f"{agreed} / {len(found)}", border=True)
    columns[1].metric(t("waiting_arbiter"), sum(one.outcome == "disagreed" for one in found), border=True)
    columns[2].metric(t("arbitrated"), sum(one.outcome == "arbitrated" for one in found), border=True)
    agreement(study)
    rows = [
        {
            t("case"): one.case_id,
            t("outcome"): t(f"outcome_{one.outcome}"),
            t("final"): told(one.final) if one.final else "",
        }
        for one in found
    ]
    st.dataframe(rows, hide_index=True, width="stretch")


def agreement(study: Study) -> None:
    try:
        from medfuse.review.study_agreement import study_agreement
    except ImportError:
        return
    try:
        found = study_agreement(desk.store, study)
    except MedfuseError as error:
        st.info(markdown_plain(str(error)))
        return
    st.write(found)


st.title(t("studies"))
try:
    existing = studies(desk.store)
    if not existing:
        st.info(t("no_studies"), icon=":material/groups:")
    for one in reversed(existing.values()):
        show_study(one)
except MedfuseError as error:
    st.error(markdown_plain(str(error)), icon=":material/error:")
    st.stop()
with st.expander(t("study_new"), expanded=not existing):
    set_up()
