"""Drop files, paste a note, and see what the model says; nothing is kept unless asked."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.parts.answer import model_says
from dashboard.parts.predictor import predictor_of
from dashboard.parts.reasons import moved
from dashboard.parts.scans import stamp_of
from medfuse.case import Case
from medfuse.errors import MedfuseError
from medfuse.imaging import fit_scan
from medfuse.review.desk import Desk
from medfuse.review.levels import scan_levels
from medfuse.review.roles import Visitor
from medfuse.review.texts import Texts
from medfuse.review.upload import dropped_case
from medfuse.review.viewer import arguments, show
from medfuse.review.wording import markdown_plain, receipt_rows

desk: Desk = st.session_state["desk"]
t: Texts = st.session_state["texts"]
visitor: Visitor = st.session_state["visitor"]


def classify(case: Case) -> dict:
    """The result and what to show of the scans, so that the files can go."""
    with st.status(t("classifying"), expanded=True) as status:
        st.write(t("loading_model"))
        predictor = predictor_of(desk.bundle, stamp_of(desk.bundle / "receipt.json"))
        st.write(t("reading_files"))
        shown = []
        for scan in case.scans:
            try:
                read, levels = scan_levels(scan.path, series=desk.image.series, slices=desk.image.slices)
            except MedfuseError:
                continue  # the prediction says so
            shown.append((read.receipt, levels, fit_scan(read, desk.image.size, equalise=desk.image.equalise)))
        st.write(t("asking_model"))
        prediction = predictor.classify(case)
        status.update(label=t("classified_done"), state="complete", expanded=False)
    return {"prediction": prediction, "scans": shown}


st.title(t("upload"))
st.caption(t("upload_help" if visitor.account is None else "upload_help_remote"))
with st.form("upload", border=True):
    files = st.file_uploader(t("upload_files"), accept_multiple_files=True)
    note = st.text_area(t("upload_note"), height=140, placeholder=t("upload_note_placeholder"))
    # A folder of the server is nothing that others may write to.
    here = visitor.account is None
    keep = st.text_input(t("upload_keep"), placeholder=t("upload_keep_placeholder")) if here else ""
    asked = st.form_submit_button(t("upload_go"), type="primary", icon=":material/play_arrow:")
if asked:
    st.session_state.pop("dropped", None)
    try:
        content = [(one.name, one.getvalue()) for one in files]
        with dropped_case(content, note, keep=Path(keep).expanduser() if keep.strip() else None) as case:
            st.session_state["dropped"] = classify(case)
    except MedfuseError as error:
        st.error(markdown_plain(t.said(error)), icon=":material/error:")
found = st.session_state.get("dropped")
if found is None:
    st.stop()
prediction = found["prediction"]
left, right = st.columns([1.75, 1], gap="medium")
with right:
    model_says(prediction, desk, t)
    if not prediction.error:
        moved(prediction, t)
    for warning in prediction.warnings:
        st.markdown(f":material/warning: {markdown_plain(warning)}")
with left:
    for place, (receipt, levels, seen) in enumerate(found["scans"]):
        show(arguments(levels, seen, key=receipt.sha256[:16], texts=t, height=460), key=f"dropped-{place}")
        with st.expander(t("how_read")):
            st.table({"": dict(receipt_rows(receipt, texts=t))}, border="horizontal")
