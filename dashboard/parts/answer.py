"""What the model says of a case, and how sure it is."""

from __future__ import annotations

import streamlit as st

from medfuse.case import Prediction
from medfuse.review.charts import CHART_CONFIG, probability_bars
from medfuse.review.desk import Desk
from medfuse.review.texts import Texts
from medfuse.review.wording import markdown_plain, rests_on, verdict


def model_says(prediction: Prediction, desk: Desk, t: Texts) -> None:
    """The verdict, what the model did not have, and the probabilities."""
    if prediction.error:
        st.error(markdown_plain(f"{t('not_classified')} {prediction.error}"), icon=":material/error:")
        return
    say = st.warning if prediction.abstain else st.success
    icon = ":material/help:" if prediction.abstain else ":material/check:"
    say(markdown_plain(verdict(prediction, task=desk.cohort.task, texts=t)), icon=icon)
    if missing := rests_on(prediction, texts=t):
        st.info(markdown_plain(missing), icon=":material/info:")
    st.markdown(f"**{t('probability')}**", help=t("probability_help"))
    st.plotly_chart(probability_bars(prediction, texts=t), config=CHART_CONFIG, key="probabilities")
    with st.expander(t("legend")):
        st.markdown(t("legend_text"))
        rows = [{t("label"): one, t("urgency"): desk.cohort.urgency.get(one)} for one in desk.cohort.labels]
        st.dataframe(rows, hide_index=True, width="stretch", height="content")
