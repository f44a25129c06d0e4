"""The dashboard's frame: opens the desk, asks who is reading, and shows one of three pages.

Run by `medfuse dashboard`, or by hand:
`streamlit run dashboard/app.py -- --cohort C --predictions P --store sqlite:///reviews.sqlite [--evaluation E]`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

from medfuse.errors import MedfuseError
from medfuse.review.desk import Desk, Places
from medfuse.review.wording import markdown_plain


@st.cache_resource(max_entries=4, show_spinner="Opening the cohort …", on_release=lambda desk: desk.store.close())
def open_desk(places: Places, stamp: tuple[int, ...]) -> Desk:  # noqa: ARG001 - part of the cache key
    """The desk; opened again when a file of its input changes (`stamp`)."""
    return Desk.open(places)


here = Path(__file__).parent
# The icons are files of ours: a browser would fetch the picture of a named icon from another server.
st.set_page_config(page_title="medfuse", page_icon=here / "mark.svg", layout="wide")
st.logo(here / "logo.svg", size="large", icon_image=here / "mark.svg")
places = Places.of_arguments(sys.argv[1:])
try:
    desk = open_desk(places, places.stamp())
except MedfuseError as error:
    st.error(markdown_plain(str(error)), icon=":material/error:")
    st.stop()
st.session_state["desk"] = desk

# Not in a folder "pages": Streamlit would run such files without this one if the first address asked for were theirs.
pages = [
    st.Page("views/worklist.py", title="Worklist", icon=":material/list_alt:", default=True),
    st.Page("views/case.py", title="Case", icon=":material/radiology:"),
    st.Page("views/evaluation.py", title="Evaluation", icon=":material/monitoring:"),
]
page = st.navigation(pages)
with st.sidebar:
    st.text_input(
        "Reader",
        key="reader",
        placeholder="Your name or initials",
        max_chars=200,
        help="Stored with each of your decisions.",
    )
    if reader := st.session_state["reader"].strip():
        done = desk.store.progress().by_reader.get(reader, 0)
        st.caption(f"You have reviewed {done} of {len(desk.predictions)} cases.")
    st.divider()
    st.caption(f"Cohort: {markdown_plain(desk.cohort.name)}")
    st.caption("Research software, not a medical device.")
page.run()
