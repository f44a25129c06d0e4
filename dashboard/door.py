"""The server: the dashboard, behind a sign-in where one is asked for. Run by `medfuse dashboard`."""

from __future__ import annotations

import sys
from pathlib import Path

import streamlit as st

from medfuse.review.access import Accounts
from medfuse.review.database import Database
from medfuse.review.desk import Places
from medfuse.review.signin import guarded

places = Places.of_arguments(sys.argv[1:])
guard = guarded(Accounts(Database(places.store)), openid=places.openid) if places.login else {}
app = st.App(Path(__file__).parent / "app.py", **guard)
