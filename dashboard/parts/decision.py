"""The reader's decision on a case, and those before it."""

from __future__ import annotations

from time import monotonic
from uuid import uuid4

import streamlit as st

from dashboard.parts.place import go
from dashboard.parts.scans import regions_of
from medfuse.case import Case, Prediction
from medfuse.errors import MedfuseError
from medfuse.review.decision import ACTIONS, COMMENT_LIMIT, ConflictError, Review
from medfuse.review.reading import Reading
from medfuse.review.texts import Texts
from medfuse.review.wording import markdown_plain, told

ICONS = {
    "accept": ":material/check:", "override": ":material/edit:", "uncertain": ":material/help:",
    "bad_image": ":material/broken_image:", "comment": ":material/chat:",
}  # fmt: skip


def save(reading: Reading, case: Case, version: int, t: Texts) -> None:
    """Store the decision; the form is emptied, and success told, only once it is stored."""
    state, case_id = st.session_state, case.case_id
    named = state.get(f"labels-{case_id}") or ()
    action = state.get(f"action-{case_id}") or ""
    override = action == "override"
    if not action:
        state["told"] = (case_id, "error", t("choose_action"))
        return
    review = Review(
        case_id=case_id,
        reader=reading.reader,
        action=action,
        labels=((named,) if isinstance(named, str) else tuple(named)) if override else (),
        comment=state.get(f"comment-{case_id}", ""),
        regions=regions_of(reading.desk, case),
        seconds=round(monotonic() - state["opened"][1], 1),
        key=state.setdefault(f"key-{case_id}", uuid4().hex),
    )
    try:
        stored = reading.add(review, version=version)
    except ConflictError as error:
        state[f"version-{case_id}"] = error.version  # what is new is shown below; saving again is then meant
        state["told"] = (case_id, "error", f"{t('not_stored')} {t.said(error)}.")
        return
    except MedfuseError as error:
        state["told"] = (case_id, "error", f"{t('not_stored')} {t.said(error)}.")
        return
    state.pop(f"key-{case_id}")
    state[f"version-{case_id}"] = reading.version(case_id)
    # Set and not removed: a browser keeps what it shows unless it is told otherwise.
    empty = {"action": None, "labels": None if reading.desk.cohort.task == "multiclass" else [], "comment": ""}
    for field, value in empty.items():
        if f"{field}-{case_id}" in state:
            state[f"{field}-{case_id}"] = value
    state["told"] = (case_id, "success", f"{t('stored')} {told(stored, texts=t)}.")


def undo(reading: Reading, case_id: str, version: int, t: Texts) -> None:
    try:
        reading.undo(case_id, version=version)
        st.session_state[f"version-{case_id}"] = reading.version(case_id)
        st.session_state["told"] = (case_id, "success", t("undone"))
    except MedfuseError as error:
        st.session_state[f"version-{case_id}"] = reading.version(case_id)
        st.session_state["told"] = (case_id, "error", f"{t('not_undone')} {t.said(error)}.")


def decide(reading: Reading, case: Case, prediction: Prediction | None, following: str | None, t: Texts) -> None:
    case_id, desk = case.case_id, reading.desk
    st.markdown(f"#### {t('decision')}")
    version = st.session_state.setdefault(f"version-{case_id}", reading.version(case_id))
    can_accept = prediction is not None and not prediction.error
    offered = [one for one in ACTIONS if one != "accept" or can_accept]
    action = st.pills(
        t("decision"), offered, format_func=lambda one: f"{ICONS[one]} {t('action_' + one)}", key=f"action-{case_id}",
        label_visibility="collapsed",
    )  # fmt: skip
    if action == "override" and desk.cohort.task == "multiclass":
        st.selectbox(t("right_label"), desk.cohort.labels, index=None, placeholder=t("choose"), key=f"labels-{case_id}")
    elif action == "override":
        st.multiselect(t("right_labels"), desk.cohort.labels, placeholder=t("none_applies"), key=f"labels-{case_id}")
    st.text_area(t("comment"), key=f"comment-{case_id}", max_chars=COMMENT_LIMIT, height=80)
    if not reading.reader:
        st.caption(t("say_who"))
    saved, back = st.columns(2)
    saved.button(
        t("save"), type="primary", key="save", on_click=save, icon=":material/save:", shortcut="S",
        args=(reading, case, version, t), width="stretch",
    )  # fmt: skip
    back.button(
        t("undo"), key="undo", on_click=undo, icon=":material/undo:", disabled=not reading.can_undo(case_id),
        args=(reading, case_id, version, t), width="stretch", help=t("undo_help"), shortcut="U",
    )  # fmt: skip
    about, kind, text = st.session_state.get("told", ("", "", ""))
    if about == case_id:
        (st.success if kind == "success" else st.error)(markdown_plain(text))
        if kind == "success" and following:
            st.button(
                t("next_open"), icon=":material/arrow_forward:", on_click=go, args=(following,), shortcut="Ctrl+Right"
            )


def history(reading: Reading, case_id: str, t: Texts) -> None:
    for review in reading.reads(case_id):
        with st.container(border=True):
            st.markdown(markdown_plain(told(review, texts=t)))
            if review.comment:
                st.text(review.comment)
    st.markdown(f"#### {t('history')}")
    decisions = reading.history(case_id)
    if not decisions:
        st.caption(t("no_history"))
    for review in reversed(decisions):
        st.markdown(markdown_plain(told(review, texts=t)))
        if review.comment:
            st.text(review.comment)
        if review.regions:
            st.caption(t("with_region"))
