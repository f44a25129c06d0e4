"""One case: scans, notes and values, what the model says and why, and the reader's decision."""

from __future__ import annotations

from time import monotonic

import streamlit as st

from dashboard.parts.answer import model_says
from dashboard.parts.decision import decide, history
from dashboard.parts.notes import notes_of
from dashboard.parts.patient import before_of
from dashboard.parts.place import chosen, header
from dashboard.parts.reasons import reasons_of, why
from dashboard.parts.scans import scans_of, stamp_of
from dashboard.parts.similar import similar_of
from medfuse.case import Prediction
from medfuse.errors import MedfuseError
from medfuse.review.desk import Desk
from medfuse.review.reading import Reading
from medfuse.review.roles import Visitor
from medfuse.review.texts import Texts
from medfuse.review.wording import markdown_plain, markdown_table, reader_warnings, value_rows
from medfuse.review.worklist import with_decisions

desk: Desk = st.session_state["desk"]
t: Texts = st.session_state["texts"]
visitor: Visitor = st.session_state["visitor"]
try:
    reading = Reading(desk, visitor.name, st.query_params.get("study", ""), account=visitor.account)
    table = with_decisions(desk.table, desk.store.latest())
    order = reading.cases(desk.order)
except MedfuseError as error:
    st.error(markdown_plain(t.said(error)), icon=":material/error:")
    st.stop()
if not order:
    st.info(t("nothing_to_read"), icon=":material/done_all:")
    st.stop()
if reading.role == "open":
    read = table[table["state"] != "open"]
    states = dict(zip(read["case_id"], read["state"], strict=True))
else:
    states = {one: reading.state(one) for one in order if reading.state(one) not in ("", "open")}
current = chosen(order)
if st.session_state.get("opened", ("", 0))[0] != current:
    st.session_state["opened"] = (current, monotonic())
    st.session_state.pop(f"version-{current}", None)
    st.session_state["regions"] = {}
    try:
        if reading.reader:
            reading.viewed(current)
    except MedfuseError as error:
        st.error(markdown_plain(t.said(error)))
case, prediction = desk.cases[current], reading.prediction(current)
header(order, states, current, t)

variants = explanation = None
right_first = desk.bundle is not None and prediction is not None and not prediction.error
if right_first and st.toggle(t("show_why"), key="why", bind="query-params", help=t("show_why_help")):
    try:
        with st.spinner(t("explaining")):
            variants, explanation = reasons_of(desk.bundle, current, stamp_of(desk.bundle / "receipt.json"), case)
    except MedfuseError as error:
        st.error(markdown_plain(f"{t('no_reasons')} {t.said(error)}"))
left, right = st.columns([1.75, 1], gap="medium")
with left:
    scans = scans_of(case, desk, explanation, t)
    st.markdown(f"#### {t('notes')}")
    notes = notes_of(case, explanation, t)
    if case.values:
        st.markdown(f"#### {t('values')}")
        st.markdown(markdown_table((t("column"), t("value")), value_rows(case, texts=t)))
    before_of(reading, case, t)
with right:
    if prediction is None:
        st.info(t("blinded" if current in desk.predictions else "no_prediction"), icon=":material/visibility_off:")
    else:
        model_says(prediction, desk, t)
    for warning in reader_warnings(prediction or Prediction(current), scans, notes):
        st.markdown(f":material/warning: {markdown_plain(t.said(warning))}")
    if reading.decides:
        with st.container(border=True):
            waiting = [one for one in order if one not in states or states[one] == "read"]
            decide(reading, case, prediction, next((one for one in waiting if one != current), None), t)
    if prediction is not None and not prediction.error:
        why(prediction, variants, explanation, t)
        if desk.bundle is not None:
            similar_of(desk, case, t)
    history(reading, current, t)
