"""The audit log: who did what and when, and whether the log is whole. For auditors and admins."""

from __future__ import annotations

from datetime import UTC

import streamlit as st

from medfuse.errors import MedfuseError
from medfuse.review.desk import Desk
from medfuse.review.log import actions, newest, record
from medfuse.review.roles import Visitor
from medfuse.review.texts import Texts
from medfuse.review.verify import verify
from medfuse.review.wording import markdown_plain

desk: Desk = st.session_state["desk"]
t: Texts = st.session_state["texts"]
visitor: Visitor = st.session_state["visitor"]
database = desk.store.database


def check() -> None:
    """Verify the chain, which is written down too."""
    anchor = st.text_input(t("log_anchor"), placeholder="120:6f0c…", help=t("log_anchor_help"))
    if not st.button(t("log_verify"), icon=":material/verified:", type="primary"):
        return
    found = verify(database, anchor=anchor.strip() or None)
    told = {"entries": found.entries, "faults": len(found.faults)}
    record(database, "verify", actor=visitor.name or t("nobody_named"), body=told)
    if found.faults:
        for fault in found.faults:
            st.error(markdown_plain(t.said(fault)), icon=":material/error:")
        return
    st.success(t("log_whole", entries=found.entries), icon=":material/check:")
    st.code(found.anchor, language=None)


st.title(t("log"))
try:
    visitor.require("verify")
    check()
    who, what, which = st.columns(3)
    actor = who.text_input(t("log_actor"))
    action = what.selectbox(t("log_action"), ["", *actions(database)], format_func=lambda one: one or t("all_actions"))
    case_id = which.text_input(t("case"))
    entries = newest(database, actor=actor.strip(), action=action, case_id=case_id.strip())
except MedfuseError as error:
    st.error(markdown_plain(t.said(error)), icon=":material/error:")
    st.stop()
rows = [
    {
        t("log_number"): one.number,
        t("log_time"): one.at.astimezone(UTC) if one.at else None,
        t("log_actor"): one.actor,
        t("log_action"): one.action,
        t("case"): one.case_id,
        t("study"): one.study,
        t("cohort"): one.cohort,
    }
    for one in entries
]
if rows:
    st.dataframe(rows, hide_index=True, width="stretch", height=560)
    st.caption(t("log_newest", count=len(rows)))
else:
    st.info(t("log_empty"), icon=":material/history:")
