"""The model: its card, weights, calibration, training data and configuration, as the bundle has them."""

from __future__ import annotations

import json

import streamlit as st

from medfuse.review.desk import Desk
from medfuse.review.texts import Texts

desk: Desk = st.session_state["desk"]
t: Texts = st.session_state["texts"]


def text_of(name: str) -> str | None:
    path = desk.bundle / name
    return path.read_text(encoding="utf-8") if path.is_file() else None


st.title(t("model"))
names = {
    "card": "MODEL_CARD.md", "config": "config.yaml", "weights": "receipt.json", "about": "bundle.json",
    "reference": "reference.json",
}  # fmt: skip
for tab, (name, file) in zip(st.tabs([t(f"model_{name}") for name in names]), names.items(), strict=True):
    with tab:
        content = text_of(file)
        if content is None:
            st.info(t("model_missing", file=file))
        elif file.endswith(".json"):
            st.caption(t(f"model_{name}_help"))
            st.json(json.loads(content), expanded=2 if name != "reference" else 1)
        else:
            st.code(content, language="yaml" if name == "config" else None, wrap_lines=True)
