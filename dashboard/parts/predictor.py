"""The model, loaded once for all pages."""

from __future__ import annotations

from pathlib import Path

import streamlit as st


@st.cache_resource(max_entries=1, show_spinner=False)
def predictor_of(bundle: Path, stamp: int):  # noqa: ARG001 - part of the cache key
    from medfuse.inference import Predictor

    return Predictor.load(bundle)
