"""Since deployment: what readers made of the predictions, and whether the cases are still those the model knows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import streamlit as st

from dashboard.parts.scans import stamp_of
from medfuse.errors import MedfuseError
from medfuse.review.desk import Desk
from medfuse.review.since import by_month
from medfuse.review.texts import Texts
from medfuse.review.wording import markdown_plain

if TYPE_CHECKING:
    from medfuse.monitor import Monitoring


@st.cache_resource(max_entries=2, show_spinner=False)
def monitored(bundle: Path, stamp: int, _desk: Desk) -> Monitoring:  # noqa: ARG001 - part of the cache key
    from medfuse.monitor import monitor

    predicted = tuple(case for case in _desk.cohort.cases if case.case_id in _desk.predictions)
    return monitor(bundle, replace(_desk.cohort, cases=predicted))


def decided(desk: Desk, t: Texts) -> None:
    """How often readers overrode the model, by month, outside of any study."""
    months = by_month(desk.store.latest())
    if not months:
        st.info(t("since_none"), icon=":material/timeline:")
        return
    rows = []
    for one in months:
        interval = one.interval
        rows.append(
            {
                t("month"): one.name,
                t("state_accepted"): one.accepted,
                t("state_overridden"): one.overridden,
                t("unclear"): one.unclear,
                t("share_overridden"): "–" if one.share is None else f"{100 * one.share:.0f} %",
                t("interval"): "–" if interval is None else f"{100 * interval[0]:.0f} … {100 * interval[1]:.0f} %",
            }
        )
    st.dataframe(rows, hide_index=True, width="stretch", height="content")
    st.caption(t("since_help"))


def drift(desk: Desk, t: Texts) -> None:
    """The predicted cases against those that the bundle was calibrated on; asked for, since it reads all of them."""
    if not st.toggle(t("drift_compare"), key="drift", help=t("drift_help")):
        return
    try:
        with st.spinner(t("comparing_all")):
            found = monitored(desk.bundle, stamp_of(desk.bundle / "receipt.json"), desk)
    except MedfuseError as error:
        st.info(markdown_plain(t.said(error)), icon=":material/info:")
        return
    say = st.warning if found.drifted else st.success
    names = ", ".join(t.said(one.what) for one in found.drifted)
    told = t("drift_found", what=names) if found.drifted else t("drift_none", count=len(found.checks))
    say(markdown_plain(told), icon=":material/trending_up:")
    rows = [
        {
            t("what"): t.said(one.what),
            t("kind"): t(f"drift_{one.kind}"),
            t("measure"): t.said(one.statistic),
            t("value"): round(one.value, 3),
            t("from_there"): one.threshold,
            t("chance"): round(one.adjusted, 4),
            t("drifted"): one.drift,
        }
        for one in sorted(found.checks, key=lambda one: (not one.drift, one.adjusted))
    ]
    st.dataframe(rows, hide_index=True, width="stretch", height=min(420, 36 * (len(rows) + 1)))
    st.caption(t("drift_counted", cases=found.cases, reference=found.reference))
    for problem in found.problems[:5]:
        st.caption(f":material/warning: {markdown_plain(t.said(problem))}")


def since_deployment(desk: Desk, t: Texts) -> None:
    st.subheader(t("since"))
    try:
        decided(desk, t)
    except MedfuseError as error:
        st.error(markdown_plain(t.said(error)), icon=":material/error:")
    if desk.bundle is not None:
        drift(desk, t)
