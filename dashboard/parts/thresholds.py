"""A threshold on a slider, and what it means for a thousand patients."""

from __future__ import annotations

import streamlit as st

from medfuse.errors import MedfuseError
from medfuse.review.consequences import consequences, held_out
from medfuse.review.desk import Desk
from medfuse.review.texts import Texts
from medfuse.review.wording import markdown_plain


@st.fragment
def thresholds(desk: Desk, t: Texts) -> None:
    """Only this part is drawn again when the slider moves."""
    st.subheader(t("thresholds"))
    pick, slide = st.columns([1, 2])
    label = pick.selectbox(t("label"), desk.cohort.labels, key="threshold-label")
    value = slide.slider(t("threshold"), 0.0, 1.0, 0.5, 0.01, key="threshold", help=t("threshold_help"))
    try:
        probability, truth = held_out(desk.evaluation, desk.cohort, label)
    except MedfuseError as error:
        st.info(markdown_plain(t.said(error)))
        return
    found = consequences(probability, truth, threshold=value)
    counted = {"found": found.found, "missed": found.missed, "false_alarms": found.false_alarms}
    shares = {"sensitivity": found.sensitivity, "specificity": found.specificity}
    shown = {f"threshold_{name}": f"{number:.0f}" for name, number in counted.items()}
    shown |= {name: "–" if share != share else f"{100 * share:.0f} %" for name, share in shares.items()}  # NaN: unknown
    for column, (name, text) in zip(st.columns(5), shown.items(), strict=True):
        column.metric(t(name), text, border=True)
    st.caption(t("threshold_counted", n=found.n))
