"""The evaluation: how good the model was on held-out cases, how far to trust the figures, and how it goes since."""

from __future__ import annotations

import streamlit as st

from dashboard.parts.since import since_deployment
from dashboard.parts.thresholds import thresholds
from medfuse.review.charts import CHART_CONFIG, confusion_maps, reliability_plot
from medfuse.review.desk import Desk
from medfuse.review.figures import HEADLINE, best_reachable, figure_text, label_table, subgroup_table
from medfuse.review.texts import Texts
from medfuse.review.wording import markdown_plain

desk: Desk = st.session_state["desk"]
t: Texts = st.session_state["texts"]
left, right = st.columns([5, 1], vertical_alignment="bottom")
left.title(t("performance"))
if desk.metrics is None:
    st.info(t("no_evaluation"), icon=":material/monitoring:")
    since_deployment(desk, t)
    st.stop()
if desk.report is not None:
    right.download_button(
        t("report"), desk.report.read_bytes(), file_name="report.html", mime="text/html", icon=":material/download:",
        help=t("report_help"), width="stretch", on_click="ignore",
    )  # fmt: skip

summary = desk.metrics["summary"]
st.caption(t("measured_on", cases=summary.get("n_cases", "?"), patients=summary.get("n_patients", "?")))
for column, (name, title) in zip(st.columns(len(HEADLINE)), HEADLINE.items(), strict=True):
    value, interval = figure_text(summary.get(name), texts=t)
    column.metric(
        title, value, border=True, help=t(f"metric_{name}"), delta=interval, delta_color="off", delta_arrow="off"
    )
st.caption(t("below_each"))
for line in best_reachable(summary, texts=t):
    st.markdown(markdown_plain(line))

if desk.evaluation is not None and (desk.evaluation / "predictions.parquet").is_file():
    thresholds(desk, t)

reliability = reliability_plot(desk.metrics.get("reliability", {}), texts=t)
if reliability is not None:
    st.subheader(t("reliability"))
    st.caption(t("reliability_help"))
    st.plotly_chart(reliability, theme=None, config=CHART_CONFIG, key="reliability")

if desk.metrics.get("confusion"):
    st.subheader(t("confusion"))
    maps = confusion_maps(desk.metrics["confusion"], texts=t)
    columns = st.columns(1 if len(maps) == 1 else 3)
    for index, (label, figure) in enumerate(maps.items()):
        with columns[index % len(columns)]:
            if label:
                st.markdown(f"**{markdown_plain(label)}**")
            st.plotly_chart(figure, theme=None, config=CHART_CONFIG, key=f"confusion-{index}")

if desk.metrics.get("labels"):
    st.subheader(t("by_label"))
    st.dataframe(label_table(desk.metrics["labels"], texts=t), hide_index=True)

if desk.metrics.get("subgroups"):
    st.subheader(t("subgroups"))
    st.caption(t("subgroups_help"))
    for name, column in desk.metrics["subgroups"].items():
        st.markdown(f"**{markdown_plain(name)}**")
        st.dataframe(subgroup_table(column, texts=t), hide_index=True, width="stretch", height="content")
        if column.get("n_unknown"):
            st.caption(t("group_unknown", count=column["n_unknown"]))

since_deployment(desk, t)
