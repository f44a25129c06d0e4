"""Blinded reading studies: set one up, see how far each reader is, and what came of it once everybody is done."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import streamlit as st

from medfuse.errors import MedfuseError
from medfuse.review.agreement import Agreement
from medfuse.review.arbitration import CaseResult, reader_progress, results
from medfuse.review.desk import Desk
from medfuse.review.export import write_csv
from medfuse.review.figures import figure_text
from medfuse.review.log import record
from medfuse.review.roles import Visitor
from medfuse.review.study import AIS, Study, create_study, studies
from medfuse.review.study_agreement import study_agreement
from medfuse.review.texts import Texts
from medfuse.review.wording import markdown_plain, told

desk: Desk = st.session_state["desk"]
t: Texts = st.session_state["texts"]
visitor: Visitor = st.session_state["visitor"]
reader = visitor.name


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
        create_study(desk.store, wanted, actor=reader or t("nobody_named"))
    except MedfuseError as error:
        st.error(markdown_plain(t.said(error)), icon=":material/error:")
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
    if visitor.may("see_all"):
        outcome(study)


def outcome(study: Study) -> None:
    """What came of it: told only when nobody can be biased by it any more."""
    found = results(desk.store, study)
    agreed = sum(one.outcome == "agreed" for one in found)
    columns = st.columns(3)
    columns[0].metric(t("agreed"), f"{agreed} / {len(found)}", border=True)
    columns[1].metric(t("waiting_arbiter"), sum(one.outcome == "disagreed" for one in found), border=True)
    columns[2].metric(t("arbitrated"), sum(one.outcome == "arbitrated" for one in found), border=True)
    agreement(study, found)
    rows = [
        {
            t("case"): one.case_id,
            t("outcome"): t(f"outcome_{one.outcome}"),
            t("final"): told(one.final, texts=t) if one.final else "",
        }
        for one in found
    ]
    st.dataframe(rows, hide_index=True, width="stretch")


def agreement(study: Study, found: Sequence[CaseResult]) -> None:
    """Cohen's, Fleiss' and Gwet's figures with their intervals."""
    try:
        asked = study_agreement(study, found, labels=desk.cohort.labels, task=desk.cohort.task)
    except MedfuseError as error:
        st.info(markdown_plain(t.said(error)))
        return
    rows = []
    for one in asked:
        named = {f"Cohen κ ({a}, {b})": figure for (a, b), figure in one.pairs.items()}
        for name, figure in {"Gwet AC1": one.ac1, "Fleiss κ": one.fleiss, **named}.items():
            rows.append(
                {
                    t("question"): one.question,
                    t("measure"): name,
                    t("value"): figure_text(vars_of(figure), texts=t)[0],
                    t("interval"): figure_text(vars_of(figure), texts=t)[1],
                }
            )
    st.dataframe(rows, hide_index=True, width="stretch", height="content")


def vars_of(figure: Agreement) -> dict[str, float | None]:
    known = figure.value == figure.value  # NaN where all say one thing
    return {"value": figure.value if known else None, "low": figure.low, "high": figure.high}


def exported() -> None:
    record(
        desk.store.database,
        "export",
        actor=reader or t("nobody_named"),
        cohort=desk.store.cohort,
        body={"format": "csv"},
    )


def export() -> None:
    """All decisions as a table that no spreadsheet takes for formulas."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "reviews.csv"
        write_csv(desk.store, out)
        content = out.read_bytes()
    st.download_button(
        t("export_csv"), content, file_name="reviews.csv", mime="text/csv", icon=":material/download:",
        help=t("export_help"), on_click=exported,
    )  # fmt: skip


st.title(t("studies"))
try:
    existing = studies(desk.store)
    mine = {name: one for name, one in existing.items() if reader in (*one.readers, one.arbiter)}
    shown = existing if visitor.may("see_all") else mine
    if not shown:
        st.info(t("no_studies" if visitor.may("studies") else "no_studies_yours"), icon=":material/groups:")
    for one in reversed(shown.values()):
        show_study(one)
except MedfuseError as error:
    st.error(markdown_plain(t.said(error)), icon=":material/error:")
    st.stop()
if visitor.may("studies"):
    with st.expander(t("study_new"), expanded=not existing):
        set_up()
if visitor.may("export") and not mine:  # a reader of a study would find the others' decisions in it
    export()
