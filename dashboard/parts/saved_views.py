"""The reader's saved views of the worklist."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from medfuse.errors import MedfuseError
from medfuse.review.desk import Desk
from medfuse.review.texts import Texts
from medfuse.review.views import NAME, save_view, views
from medfuse.review.wording import markdown_plain


def saved_views(desk: Desk, reader: str, fields: Sequence[str], t: Texts) -> None:
    """Choose, save and delete views; `fields` are the keys of the worklist's filters."""
    if not reader:
        return
    state = st.session_state
    try:
        held = views(desk.store, reader)
    except MedfuseError as error:
        st.error(markdown_plain(t.said(error)), icon=":material/error:")
        return

    def use() -> None:
        chosen = held.get(state["saved-view"] or "")
        if chosen is not None:
            for field in fields:
                state.pop(field, None)
                st.query_params.pop(field, None)
            state.update({field: value for field, value in chosen.items() if field in fields})

    def keep(name: str) -> None:
        filters = {field: state[field] for field in fields if state.get(field) not in (None, "", [], False)}
        store(name, filters)

    def remove(name: str) -> None:
        store(name, None)

    def store(name: str, filters: dict | None) -> None:
        try:
            save_view(desk.store, reader, name, filters)
            state["view-told"] = t("view_saved") if filters is not None else t("view_deleted")
            state["saved-view"] = None if filters is None else name
        except MedfuseError as error:
            state["view-told"] = t.said(error)

    with st.popover(t("saved_views"), icon=":material/bookmark:", width="stretch"):
        st.selectbox(t("saved_view"), list(held), index=None, key="saved-view", on_change=use, placeholder=t("no_view"))
        name = st.text_input(t("view_name"), max_chars=NAME, key="view-name").strip()
        st.button(t("save_view"), on_click=keep, args=(name,), disabled=not name, icon=":material/bookmark_add:")
        chosen = state.get("saved-view")
        if chosen in held:
            st.button(t("delete_view"), on_click=remove, args=(chosen,), icon=":material/delete:")
        if told := state.pop("view-told", ""):
            st.caption(markdown_plain(told))
