"""The evaluation: how good the model was on held-out cases, and how far to trust the figures."""

from __future__ import annotations

import streamlit as st

from medfuse.errors import MedfuseError
from medfuse.review.charts import CHART_CONFIG, confusion_maps, reliability_plot
from medfuse.review.consequences import consequences, held_out
from medfuse.review.desk import Desk
from medfuse.review.figures import HEADLINE, best_reachable, figure_text, label_table
from medfuse.review.texts import Texts
from medfuse.review.wording import markdown_plain

desk: Desk = st.session_state["desk"]
t: Texts = st.session_state["texts"]
left, right = st.columns([5, 1], vertical_alignment="bottom")
left.title(t("performance"))
if desk.metrics is None:
    st.info(
        "No evaluation was given. Make one with `medfuse evaluate BUNDLE COHORT --out DIR`, then start the dashboard "
        "with `--evaluation DIR`.",
        icon=":material/monitoring:",
    )
    st.stop()
if desk.report is not None:
    right.download_button(
        "Report", desk.report.read_bytes(), file_name="report.html", mime="text/html", icon=":material/download:",
        help="One file that opens without a network", width="stretch", on_click="ignore",
    )  # fmt: skip

summary = desk.metrics["summary"]
st.caption(f"Measured on {summary.get('n_cases', '?')} cases of {summary.get('n_patients', '?')} patients.")
for column, (name, (title, meaning)) in zip(st.columns(len(HEADLINE)), HEADLINE.items(), strict=True):
    value, interval = figure_text(summary.get(name))
    column.metric(title, value, border=True, help=meaning, delta=interval, delta_color="off", delta_arrow="off")
st.caption("Below each figure: its 95 % interval over patients. Averages over the labels.")
for line in best_reachable(summary):
    st.markdown(markdown_plain(line))


@st.fragment
def thresholds() -> None:
    """A threshold on a slider, and what it means for a thousand patients."""
    st.subheader(t("thresholds"))
    pick, slide = st.columns([1, 2])
    label = pick.selectbox(t("label"), desk.cohort.labels, key="threshold-label")
    value = slide.slider(t("threshold"), 0.0, 1.0, 0.5, 0.01, key="threshold", help=t("threshold_help"))
    try:
        probability, truth = held_out(desk.evaluation, desk.cohort, label)
    except MedfuseError as error:
        st.info(markdown_plain(str(error)))
        return
    found = consequences(probability, truth, threshold=value)
    counted = {"found": found.found, "missed": found.missed, "false_alarms": found.false_alarms}
    for column, (name, number) in zip(st.columns(5), counted.items(), strict=False):
        column.metric(t(f"threshold_{name}"), f"{number:.0f}", border=True)
    for column, (name, share) in zip(
        st.columns(5), {"sensitivity": found.sensitivity, "specificity": found.specificity}.items(), strict=False
    ):
        column.metric(t(name), "–" if share != share else f"{100 * share:.0f} %", border=True)
    st.caption(t("threshold_counted", n=found.n))


if desk.evaluation is not None and (desk.evaluation / "predictions.parquet").is_file():
    thresholds()

reliability = reliability_plot(desk.metrics.get("reliability", {}))
if reliability is not None:
    st.subheader("Do the probabilities hold?")
    st.caption(
        "Of the cases for which the model said 70 %, about 70 % should have the label: points on the dashed line."
    )
    st.plotly_chart(reliability, theme=None, config=CHART_CONFIG, key="reliability")

if desk.metrics.get("confusion"):
    st.subheader("What is taken for what?")
    maps = confusion_maps(desk.metrics["confusion"])
    columns = st.columns(1 if len(maps) == 1 else 3)
    for index, (label, figure) in enumerate(maps.items()):
        with columns[index % len(columns)]:
            if label:
                st.markdown(f"**{markdown_plain(label)}**")
            st.plotly_chart(figure, theme=None, config=CHART_CONFIG, key=f"confusion-{index}")

if desk.metrics.get("labels"):
    st.subheader("Label by label")
    st.dataframe(label_table(desk.metrics["labels"]), hide_index=True)
