"""Other studies of the patient, to look at beside this one."""

from __future__ import annotations

import streamlit as st

from dashboard.parts.notes import note_of
from dashboard.parts.scans import scans_of, stamp_of
from medfuse.case import Case
from medfuse.review.reading import Reading
from medfuse.review.texts import Texts


def before_of(reading: Reading, case: Case, t: Texts) -> None:
    """Earlier and later studies of the patient, to look at beside this one."""
    others = reading.desk.previous(case)
    if not others:
        return
    with st.expander(t("previous_studies", count=len(others))):
        names = {one.case_id: one for one in others}
        which = st.selectbox(
            t("study_of_patient"), list(names), key=f"previous-{case.case_id}",
            format_func=lambda one: f"{names[one].time or t('time_unknown')} · {one}",
        )  # fmt: skip
        if st.toggle(t("show_study"), key=f"show-previous-{case.case_id}"):
            scans_of(names[which], reading.desk, None, t, key="previous-")
            for given in names[which].notes:
                st.text(note_of(given.path, stamp_of(given.path)).text)
