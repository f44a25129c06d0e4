"""Cases of training that the model sees as like this one."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.parts.predictor import predictor_of
from dashboard.parts.scans import stamp_of
from medfuse.case import Case
from medfuse.errors import MedfuseError
from medfuse.review.desk import Desk
from medfuse.review.similar import TrainingCases
from medfuse.review.standing import standing
from medfuse.review.texts import Texts
from medfuse.review.wording import markdown_plain


@st.cache_resource(max_entries=1, show_spinner=False)
def training_of(bundle: Path, stamp: int, _desk: Desk) -> TrainingCases:
    """Encoded once; a decision that is made afterwards counts when the dashboard starts again."""
    return TrainingCases.of(predictor_of(bundle, stamp), _desk.cohort.cases, standing(_desk.store.latest()))


def similar_of(desk: Desk, case: Case, t: Texts) -> None:
    """Shown when asked for: the first time all cases of training are encoded."""
    with st.expander(t("similar")):
        st.caption(t("similar_help"))
        if not st.toggle(t("show_similar"), key=f"similar-{case.case_id}"):
            return
        stamp = stamp_of(desk.bundle / "receipt.json")
        try:
            with st.spinner(t("comparing")):
                found = training_of(desk.bundle, stamp, desk).nearest(predictor_of(desk.bundle, stamp), case)
        except MedfuseError as error:
            st.info(markdown_plain(t.said(error)), icon=":material/info:")
            return
        rows = [
            {
                t("likeness"): one.likeness,
                t("label"): ", ".join(one.answer) or t("none_of_the_labels"),
                t("said_by"): t("said_by_reader" if one.reviewed else "said_by_cohort"),
                t("inputs"): ", ".join(one.modalities),
            }
            for one in found
        ]
        bar = st.column_config.ProgressColumn(t("likeness"), min_value=-1, max_value=1, format="%.2f")
        st.dataframe(rows, hide_index=True, width="stretch", height="content", column_config={t("likeness"): bar})
