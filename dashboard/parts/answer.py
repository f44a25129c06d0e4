"""What the model says of a case, and how sure it is."""

from __future__ import annotations

import streamlit as st

from medfuse.case import Prediction
from medfuse.review.bars import probability_bars, show_bars
from medfuse.review.desk import Desk
from medfuse.review.texts import Texts
from medfuse.review.wording import markdown_plain, markdown_table, rests_on, verdict


def model_says(prediction: Prediction, desk: Desk, t: Texts) -> None:
    """The verdict, what the model did not have, and the probabilities."""
    if prediction.error:
        st.error(markdown_plain(f"{t('not_classified')} {t.said(prediction.error)}"), icon=":material/error:")
        return
    say = st.warning if prediction.abstain else st.success
    icon = ":material/help:" if prediction.abstain else ":material/check:"
    say(markdown_plain(verdict(prediction, task=desk.cohort.task, texts=t)), icon=icon)
    if missing := rests_on(prediction, texts=t):
        st.info(markdown_plain(missing), icon=":material/info:")
    st.markdown(f"**{t('probability')}**", help=t("probability_help"))
    show_bars(probability_bars(prediction, texts=t), key="probabilities", name=t("probability"))
    with st.expander(t("legend")):
        st.markdown(t("legend_text"))
        rows = [
            (one, f"{desk.cohort.urgency[one]:g}" if one in desk.cohort.urgency else "–") for one in desk.cohort.labels
        ]
        st.markdown(markdown_table((t("label"), t("urgency")), rows))
