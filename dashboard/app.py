"""The dashboard's frame: opens the desk, asks who is reading, and shows one page.

Run by `medfuse dashboard` through `door.py`, or by hand, without a login:
`streamlit run dashboard/app.py -- --cohort C --predictions P --store sqlite:///reviews.sqlite`.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import streamlit as st

from medfuse.errors import MedfuseError
from medfuse.review.desk import Desk, Places
from medfuse.review.texts import LANGUAGES, Texts
from medfuse.review.wording import markdown_plain

here = Path(__file__).parent
if str(here.parent) not in sys.path:  # pages import their parts as `dashboard.parts`
    sys.path.insert(0, str(here.parent))
from dashboard.parts.visitor import choose_study, named, signed_in  # noqa: E402


@st.cache_resource(max_entries=4, show_spinner="Opening the cohort …", on_release=lambda desk: desk.store.close())
def open_desk(places: Places, stamp: tuple[int, ...]) -> Desk:  # noqa: ARG001 - part of the cache key
    """The desk; opened again when a file of its input changes (`stamp`)."""
    desk = Desk.open(places)
    # Streamlit collects garbage after each run of a page, and would look through every case of the cohort each time.
    gc.collect()
    gc.freeze()
    return desk


# The icons are files of ours: a browser would fetch the picture of a named icon from another server.
st.set_page_config(page_title="medfuse", page_icon=here / "mark.svg", layout="wide", initial_sidebar_state=230)
st.logo(here / "logo.svg", size="large", icon_image=here / "mark.svg")
places = Places.of_arguments(sys.argv[1:])
with st.sidebar:
    head = st.container()
    language = st.selectbox(
        "Language · Sprache", list(LANGUAGES), format_func=LANGUAGES.get, key="lang", bind="query-params"
    )
t = st.session_state["texts"] = Texts(language if language in LANGUAGES else "en")
try:
    desk = open_desk(places, places.stamp())
except MedfuseError as error:
    st.error(markdown_plain(t.said(error)), icon=":material/error:")
    st.stop()
st.session_state["desk"] = desk
visitor = signed_in(desk, head, openid=places.openid, t=t) if places.login else named(head, t)
st.session_state["visitor"] = visitor

# Not in a folder "pages": Streamlit would run such files without this one if the first address asked for were theirs.
pages = [
    st.Page(f"views/{name}.py", title=t(title), icon=f":material/{icon}:", default=name == "worklist", url_path=name)
    for name, title, icon, shown in (
        ("worklist", "worklist", "list_alt", True),
        ("case", "case", "radiology", True),
        ("studies", "studies", "groups", True),
        ("upload", "upload", "upload_file", desk.bundle is not None and visitor.may("read")),
        ("evaluation", "performance", "monitoring", True),
        ("model", "model", "deployed_code", desk.bundle is not None),
        ("accounts", "accounts", "manage_accounts", places.login and visitor.may("accounts")),
        ("log", "log", "history", visitor.may("verify")),
    )
    if shown
]
page = st.navigation(pages)
with head:
    if visitor.name:
        choose_study(desk, visitor, t)
with st.sidebar:
    st.divider()
    st.caption(f"{t('cohort')}: {markdown_plain(desk.cohort.name)}")
    if desk.bundle is None:
        st.caption(t("review_only"))
    st.caption(t("research_only"))
page.run()
