"""The server: the dashboard, behind a sign-in where one is asked for. Run by `medfuse dashboard`."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from streamlit.file_util import get_static_dir

from medfuse.review.access import Accounts
from medfuse.review.assets import Assets
from medfuse.review.database import Database
from medfuse.review.desk import Places
from medfuse.review.signin import guarded

places = Places.of_arguments(sys.argv[1:])
guard = guarded(Accounts(Database(places.store)), openid=places.openid) if places.login else {}
behind = [*guard.pop("middleware", []), Middleware(Assets, folder=Path(get_static_dir()))]
app = st.App(Path(__file__).parent / "app.py", middleware=behind, **guard)
