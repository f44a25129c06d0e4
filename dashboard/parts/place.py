"""Where the reader is in the list of cases, and the way to the next."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from medfuse.review.texts import Texts
from medfuse.review.wording import markdown_plain


def go(case_id: str) -> None:
    st.session_state["case"] = case_id
    st.session_state.pop("told", None)
    st.query_params["case"] = case_id


def picked() -> None:
    go(st.session_state["picker"])


def chosen(order: Sequence[str]) -> str:
    """The case of the address, if it is one of the reader's; else the one last open; else the first."""
    asked = st.query_params.get("case")
    if asked is not None and asked not in order:
        del st.query_params["case"]
    found = next((one for one in (asked, st.session_state.get("case")) if one in order), order[0])
    st.session_state["case"] = st.session_state["picker"] = found
    return found


def header(order: Sequence[str], states: dict[str, str], current: str, t: Texts) -> None:
    place = order.index(current)
    title, before, picker, after = st.columns([3, 1.1, 2.6, 1.1], vertical_alignment="bottom")
    title.title(markdown_plain(current))
    before.button(
        t("previous"), icon=":material/chevron_left:", disabled=place == 0, width="stretch", shortcut="B",
        on_click=go, args=(order[max(0, place - 1)],),
    )  # fmt: skip
    near = order[max(0, place - 100) : place + 101]  # a list of all would be sent to the browser each time
    picker.selectbox(
        t("case_of", place=place + 1, count=len(order)),
        near,
        key="picker",
        on_change=picked,
        format_func=lambda one: f"{one} ({t('state_' + states[one].replace(' ', '_'))})" if states.get(one) else one,
    )
    after.button(
        t("next"), icon=":material/chevron_right:", icon_position="right", disabled=place + 1 == len(order),
        width="stretch", on_click=go, args=(order[min(len(order) - 1, place + 1)],), shortcut="N",
    )  # fmt: skip
