"""The notes of a case, letter by letter."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from dashboard.parts.scans import stamp_of
from medfuse.case import Case, Note
from medfuse.errors import MedfuseError
from medfuse.notes import read_note
from medfuse.review.reasons import note_pieces
from medfuse.review.texts import Texts
from medfuse.review.viewer import show_note
from medfuse.review.wording import markdown_plain


@st.cache_data(max_entries=64, show_spinner=False)
def note_of(path: Path, stamp: int) -> Note:  # noqa: ARG001 - part of the cache key
    return read_note(path)


def notes_of(case: Case, explanation, t: Texts) -> list[Note]:
    """Show the notes letter by letter; returns those that could be read."""
    read: list[Note] = []
    if not case.notes:
        st.info(t("no_note"), icon=":material/description:")
    for place, given in enumerate(case.notes):
        try:
            note = note_of(given.path, stamp_of(given.path))
        except MedfuseError as error:
            st.error(markdown_plain(f"{t('note_unreadable')} {t.said(error)}"), icon=":material/error:")
            continue
        read.append(note)
        with st.container(border=True):
            st.caption(markdown_plain(given.path.name))
            if not note.text.strip():
                st.info(t("note_empty"))
                continue
            found = [one for one in explanation.notes if one.note == place] if explanation else []
            same = found and found[0].text == note.text
            show_note(
                note_pieces(note, found[0].words if same else ()), name=given.path.name, texts=t,
                key=f"note-{case.case_id}-{place}",
            )  # fmt: skip
    if read:
        st.caption(t("note_legend_words") if explanation else t("note_legend"))
    return read
