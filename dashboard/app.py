"""The dashboard's frame: opens the desk, asks who is reading, and shows one page.

Run by `medfuse dashboard`, or by hand:
`streamlit run dashboard/app.py -- --cohort C --predictions P --store sqlite:///reviews.sqlite`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

from medfuse.errors import MedfuseError
from medfuse.review.desk import Desk, Places
from medfuse.review.study import studies
from medfuse.review.texts import LANGUAGES, Texts
from medfuse.review.wording import markdown_plain


@st.cache_resource(max_entries=4, show_spinner="Opening the cohort …", on_release=lambda desk: desk.store.close())
def open_desk(places: Places, stamp: tuple[int, ...]) -> Desk:  # noqa: ARG001 - part of the cache key
    """The desk; opened again when a file of its input changes (`stamp`)."""
    return Desk.open(places)


here = Path(__file__).parent
if str(here.parent) not in sys.path:  # pages import their parts as `dashboard.parts`
    sys.path.insert(0, str(here.parent))
# The icons are files of ours: a browser would fetch the picture of a named icon from another server.
st.set_page_config(page_title="medfuse", page_icon=here / "mark.svg", layout="wide", initial_sidebar_state=230)
st.logo(here / "logo.svg", size="large", icon_image=here / "mark.svg")
places = Places.of_arguments(sys.argv[1:])
try:
    desk = open_desk(places, places.stamp())
except MedfuseError as error:
    st.error(markdown_plain(str(error)), icon=":material/error:")
    st.stop()
st.session_state["desk"] = desk
with st.sidebar:
    head = st.container()
    language = st.selectbox(
        "Language · Sprache", list(LANGUAGES), format_func=LANGUAGES.get, key="lang", bind="query-params"
    )
t = st.session_state["texts"] = Texts(language if language in LANGUAGES else "en")

# Not in a folder "pages": Streamlit would run such files without this one if the first address asked for were theirs.
pages = [
    st.Page("views/worklist.py", title=t("worklist"), icon=":material/list_alt:", default=True),
    st.Page("views/case.py", title=t("case"), icon=":material/radiology:", url_path="case"),
    st.Page("views/studies.py", title=t("studies"), icon=":material/groups:", url_path="studies"),
    st.Page("views/evaluation.py", title=t("performance"), icon=":material/monitoring:", url_path="evaluation"),
]
if desk.bundle is not None:
    pages.insert(3, st.Page("views/upload.py", title=t("upload"), icon=":material/upload_file:", url_path="upload"))
    pages.append(st.Page("views/model.py", title=t("model"), icon=":material/deployed_code:", url_path="model"))
page = st.navigation(pages)
with head:
    st.text_input(
        t("reader"), key="reader", placeholder=t("reader_placeholder"), max_chars=200, help=t("reader_help"),
        bind="query-params",
    )  # fmt: skip
    reader = st.session_state["reader"].strip()
    if reader:
        done = desk.store.progress().by_reader.get(reader, 0)
        st.caption(t("reviewed_of", done=done, count=len(desk.predictions)))
        mine = [name for name, one in studies(desk.store).items() if reader in (*one.readers, one.arbiter)]
        asked = st.query_params.get("study", "")
        if mine:
            which = st.selectbox(
                t("study"), ["", *mine], index=[*["", *mine]].index(asked) if asked in mine else 0,
                format_func=lambda one: one or t("no_study"), help=t("study_help"),
            )  # fmt: skip
            if which != asked:
                st.query_params["study"] = which
                st.query_params.pop("case", None)
                st.rerun()
        elif asked:
            del st.query_params["study"]
with st.sidebar:
    st.divider()
    st.caption(f"{t('cohort')}: {markdown_plain(desk.cohort.name)}")
    if desk.bundle is None:
        st.caption(t("review_only"))
    st.caption(t("research_only"))
page.run()
