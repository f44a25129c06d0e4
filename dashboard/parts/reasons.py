"""Why the model says so: shares of what is there, and the answer without parts of it."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.parts.predictor import predictor_of
from medfuse.case import Case, Prediction
from medfuse.review.bars import contribution_bars, show_bars
from medfuse.review.texts import Texts
from medfuse.review.wording import influence, markdown_plain, most_probable


@st.cache_resource(max_entries=4, show_spinner=False)
def reasons_of(bundle: Path, case_id: str, stamp: int, _case: Case):  # noqa: ARG001 - part of the cache key
    """The case with parts left out, and its explanation."""
    from medfuse.explain import WhatIf, explain

    variants = WhatIf(predictor_of(bundle, stamp), _case)
    return variants, explain(variants.predictor, _case, variants=variants)


def moved(prediction: Prediction, t: Texts) -> None:
    """How far each modality moved the most probable label."""
    top = most_probable(prediction)
    if prediction.contributions and top:
        st.markdown(f"**{t('moved', label=markdown_plain(top[0]))}**")
        show_bars(contribution_bars(prediction, texts=t), key="contributions", name=t("moved", label=top[0]))
        st.caption(markdown_plain(influence(prediction, texts=t) or ""))


def why(prediction: Prediction, variants, explanation, t: Texts) -> None:
    moved(prediction, t)
    if explanation is None:
        return
    rows = [
        {t("part"): one.name, t("share"): round(100 * one.contribution, 1)}
        for one in sorted(explanation.parts, key=lambda one: -abs(one.contribution))
    ]
    st.dataframe(rows, hide_index=True, width="stretch", height="content" if len(rows) < 9 else 300)
    for warning in explanation.warnings:
        st.caption(f":material/warning: {markdown_plain(t.said(warning))}")
    what_if(variants, explanation, t)


@st.fragment
def what_if(variants, explanation, t: Texts) -> None:
    """Switches that leave parts out; only this part is drawn again."""
    st.markdown(f"#### {t('what_if')}")
    parts = {part.key: part for part in variants.parts}
    st.caption(t("what_if_help"))
    answer = st.container()
    out = [
        key
        for key, part in parts.items()
        if not st.toggle(
            markdown_plain(f"{t('kind_' + part.kind)}: {part.name}"),
            value=True,
            key=f"whatif-{explanation.case_id}-{key}",
        )
    ]
    found = variants.without(set(out))
    before, after = explanation.probability, found[explanation.label]
    answer.metric(
        markdown_plain(explanation.label), t.percent(after), border=True, delta_color="off",
        delta=f"{100 * (after - before):+.1f} {t('points')}" if out else t("as_is"),
    )  # fmt: skip
