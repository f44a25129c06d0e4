"""One case: the scan, the notes, the values, what the model says and why, and the reader's decision."""

from __future__ import annotations

from pathlib import Path
from time import monotonic

import streamlit as st

from medfuse.case import Case, Note, Prediction, Scan
from medfuse.config import ImageConfig
from medfuse.errors import MedfuseError
from medfuse.imaging import fit_scan, read_scan
from medfuse.notes import read_note
from medfuse.review.charts import CHART_CONFIG, SCAN_CONFIG, contribution_bars, probability_bars, scan_figure
from medfuse.review.decision import COMMENT_LIMIT, Review
from medfuse.review.desk import Desk
from medfuse.review.window import for_display, windowed
from medfuse.review.wording import (
    influence,
    markdown_plain,
    most_probable,
    reader_warnings,
    receipt_rows,
    rests_on,
    told,
    value_rows,
    verdict,
)
from medfuse.review.worklist import worklist

SCAN_HEIGHT = 600  # pixels
ACTIONS = {"accept": "Accept", "override": "Override", "comment": "Comment only"}


@st.cache_data(max_entries=16, show_spinner="Reading the scan …")
def scan_of(path: Path, fitted: str, stamp: int) -> tuple[Scan, Scan]:  # noqa: ARG001 - part of the cache key
    """The scan for the screen, and as the network saw it; read again when the file changes (`stamp`)."""
    image = ImageConfig.model_validate_json(fitted)
    scan = read_scan(path, series=image.series, slices=image.slices)
    shown = scan.pixels if scan.pixels.ndim == 3 else for_display(scan.pixels)
    return Scan(path, shown, scan.spacing, scan.receipt), fit_scan(scan, image.size, equalise=image.equalise)


@st.cache_data(max_entries=64, show_spinner=False)
def note_of(path: Path, stamp: int) -> Note:  # noqa: ARG001 - part of the cache key
    return read_note(path)


def stamp_of(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def go(case_id: str) -> None:
    st.session_state["case"] = case_id
    st.session_state.pop("told", None)
    st.query_params["case"] = case_id


def picked() -> None:
    go(st.session_state["picker"])


def chosen(order: list[str]) -> str:
    """The case of the address, if it is one of the cohort's; else the one last open; else the first."""
    asked = st.query_params.get("case")
    if asked is not None and asked not in order:
        del st.query_params["case"]
    found = next((one for one in (asked, st.session_state.get("case")) if one in order), order[0])
    st.session_state["case"] = st.session_state["picker"] = found
    return found


def header(order: list[str], states: dict[str, str], current: str) -> None:
    place = order.index(current)
    title, before, picker, after = st.columns([3, 1.1, 2.6, 1.1], vertical_alignment="bottom")
    title.title(markdown_plain(current))
    before.button(
        "Previous", icon=":material/chevron_left:", disabled=place == 0, width="stretch",
        on_click=go, args=(order[max(0, place - 1)],),
    )  # fmt: skip
    picker.selectbox(
        f"Case {place + 1} of {len(order)}, most urgent first",
        order,
        key="picker",
        on_change=picked,
        format_func=lambda one: one if states[one] == "open" else f"{one} ({states[one]})",
    )
    after.button(
        "Next", icon=":material/chevron_right:", icon_position="right", disabled=place + 1 == len(order),
        width="stretch", on_click=go, args=(order[min(len(order) - 1, place + 1)],),
    )  # fmt: skip


@st.fragment
def viewer(scan: Scan, seen: Scan, size: int) -> None:
    """A scan with its window; only this part is drawn again when the window changes."""
    name = str(scan.path)
    view = st.segmented_control(
        "View", ["As read", "As the network saw it"], default="As read", required=True, key=f"view-{name}",
        label_visibility="collapsed",
    )  # fmt: skip
    if view == "As the network saw it":
        st.image(seen.receipt.thumbnail, width=SCAN_HEIGHT)
        st.caption(f"Exactly what the network saw: {size} × {size} pixels, a volume slice by slice.")
        return
    level, width, inverted = 0.5, 1.0, False
    pixels = scan.pixels
    if pixels.ndim == 3:
        number = st.select_slider("Slice", scan.receipt.shown, key=f"slice-{name}")
        pixels = for_display(pixels[scan.receipt.shown.index(number)])
    place = st.container()
    controls = st.columns([3, 3, 1.3, 1.2], vertical_alignment="bottom")
    level = controls[0].slider("Level", 0.0, 1.0, level, 0.01, key=f"level-{name}", help="The middle grey")
    width = controls[1].slider("Width", 0.02, 2.0, width, 0.02, key=f"width-{name}", help="Less is more contrast")
    inverted = controls[2].toggle("Invert", key=f"invert-{name}")
    controls[3].button("Reset", on_click=reset, args=(name,), key=f"reset-{name}", width="stretch")
    greys = windowed(pixels, level=level, width=width, inverted=inverted)
    figure = scan_figure(greys, height=SCAN_HEIGHT, revision=name, spacing=scan.spacing)
    place.plotly_chart(figure, theme=None, config=SCAN_CONFIG, key=f"scan-{name}", alt="The scan")
    place.caption("Wheel to zoom, drag to move, double-click for the whole image.")


def reset(name: str) -> None:
    st.session_state[f"level-{name}"], st.session_state[f"width-{name}"] = 0.5, 1.0
    st.session_state[f"invert-{name}"] = False


def scans_of(case: Case, image: ImageConfig) -> list[Scan]:
    """Show the scans; returns those that could be read."""
    read: list[Scan] = []
    if not case.scans:
        st.info("This case has no scan.", icon=":material/image_not_supported:")
        return read
    path = case.scans[0].path
    if len(case.scans) > 1:
        paths = [scan.path for scan in case.scans]
        path = st.selectbox("Scan", paths, format_func=lambda one: one.name, key=f"scan-of-{case.case_id}")
    try:
        scan, seen = scan_of(path, image.model_dump_json(), stamp_of(path))
    except MedfuseError as error:
        st.error(markdown_plain(f"The scan cannot be shown. {error}"), icon=":material/broken_image:")
        return read
    viewer(scan, seen, image.size)
    with st.expander("How the scan was read"):
        st.table({"": dict(receipt_rows(scan.receipt))}, border="horizontal")
    return [scan]


def notes_of(case: Case) -> list[Note]:
    """Show the notes as plain text; returns those that could be read."""
    read: list[Note] = []
    if not case.notes:
        st.info("This case has no note.", icon=":material/description:")
    for given in case.notes:
        try:
            note = note_of(given.path, stamp_of(given.path))
        except MedfuseError as error:
            st.error(markdown_plain(f"The note cannot be shown. {error}"), icon=":material/error:")
            continue
        read.append(note)
        with st.container(border=True):
            st.caption(markdown_plain(given.path.name))
            if not note.text.strip():
                st.info("This note is empty.")
            for section in note.sections:
                if section.name:
                    st.markdown(f"**{markdown_plain(section.name)}**")
                if body := note.text[section.start : section.end].strip():
                    st.text(body)
    return read


def values_of(case: Case) -> None:
    rows = [{"Column": column, "Value": value} for column, value in value_rows(case)]
    st.dataframe(rows, hide_index=True, height="content", width="stretch")


def model_says(prediction: Prediction, desk: Desk) -> None:
    """The verdict, and what the model did not have."""
    if prediction.error:
        st.error(markdown_plain(f"This case could not be classified: {prediction.error}"), icon=":material/error:")
        return
    say = st.warning if prediction.abstain else st.success
    icon = ":material/help:" if prediction.abstain else ":material/check:"
    say(markdown_plain(verdict(prediction, task=desk.cohort.task)), icon=icon)
    if missing := rests_on(prediction):
        st.info(markdown_plain(missing), icon=":material/info:")


def bars(prediction: Prediction) -> None:
    st.markdown("**Calibrated probability**", help="Labels in colour cannot be excluded.")
    st.plotly_chart(probability_bars(prediction), theme=None, config=CHART_CONFIG, key="probabilities")


def why(prediction: Prediction) -> None:
    top = most_probable(prediction)
    if prediction.contributions and top:
        st.markdown(f"**What moved {markdown_plain(top[0])}**, in percentage points")
        st.plotly_chart(contribution_bars(prediction), theme=None, config=CHART_CONFIG, key="contributions")
        st.caption(markdown_plain(influence(prediction) or ""))


def save(desk: Desk, prediction: Prediction) -> None:
    """Store the decision; the form is emptied, and success told, only once it is stored."""
    state, case_id = st.session_state, prediction.case_id
    top = most_probable(prediction) or (None, None)
    labels = state.get(f"labels-{case_id}") or ()
    review = Review(
        case_id=case_id,
        reader=state.get("reader", ""),
        action=state.get(f"action-{case_id}") or "",
        labels=(labels,) if isinstance(labels, str) else tuple(labels),
        comment=state.get(f"comment-{case_id}", ""),
        predicted=top[0],
        probability=top[1],
        bundle=prediction.bundle,
        seconds=round(monotonic() - state["opened"][1], 1),
    )
    if not review.action:
        state["told"] = (case_id, "error", "Nothing was stored: choose accept, override or comment.")
        return
    try:
        stored = desk.store.add(review)
    except MedfuseError as error:
        state["told"] = (case_id, "error", f"Nothing was stored: {error}.")
        return
    # Set and not removed: a browser keeps what it shows unless it is told otherwise.
    empty = {"action": None, "labels": None if desk.cohort.task == "multiclass" else [], "comment": ""}
    for field, value in empty.items():
        if f"{field}-{case_id}" in state:
            state[f"{field}-{case_id}"] = value
    state["told"] = (case_id, "success", f"Stored: {told(stored)}.")


def decide(desk: Desk, prediction: Prediction, following: str | None) -> None:
    case_id, task = prediction.case_id, desk.cohort.task
    st.markdown("#### Your decision")
    offered = [one for one in ACTIONS if one != "accept" or not prediction.error]
    action = st.segmented_control(
        "Decision", offered, format_func=ACTIONS.get, key=f"action-{case_id}", label_visibility="collapsed"
    )
    if action == "override" and task == "multiclass":
        st.selectbox(
            "The right label", desk.cohort.labels, index=None, placeholder="Choose a label", key=f"labels-{case_id}"
        )
    elif action == "override":
        st.multiselect("The labels that apply", desk.cohort.labels, placeholder="None applies", key=f"labels-{case_id}")
    st.text_area("Comment", key=f"comment-{case_id}", max_chars=COMMENT_LIMIT, height=80)
    if not st.session_state.get("reader", "").strip():
        st.caption("Say who is reading, in the sidebar, before you save.")
    st.button("Save", type="primary", key="save", on_click=save, args=(desk, prediction), icon=":material/save:")
    about, kind, text = st.session_state.get("told", ("", "", ""))
    if about == case_id:
        (st.success if kind == "success" else st.error)(markdown_plain(text))
        if kind == "success" and following:
            st.button("Next open case", icon=":material/arrow_forward:", on_click=go, args=(following,))


def history(desk: Desk, case_id: str) -> None:
    decisions = desk.store.history(case_id)
    st.markdown("#### Decisions on this case")
    if not decisions:
        st.caption("None yet.")
    for review in reversed(decisions):
        st.markdown(markdown_plain(told(review)))
        if review.comment:
            st.text(review.comment)


desk: Desk = st.session_state["desk"]
try:
    table = worklist(desk.cohort, desk.predictions, desk.store.latest())
except MedfuseError as error:
    st.error(markdown_plain(str(error)), icon=":material/error:")
    st.stop()
order = table["case_id"].tolist()
if not order:
    st.info("There are no predictions to read.")
    st.stop()
current = chosen(order)
if st.session_state.get("opened", ("", 0))[0] != current:
    st.session_state["opened"] = (current, monotonic())
case, prediction = desk.cases[current], desk.predictions[current]
header(order, dict(zip(order, table["state"], strict=True)), current)

left, right = st.columns([1.45, 1], gap="large")
with left:
    scans = scans_of(case, desk.image)
    st.markdown("#### Notes")
    notes = notes_of(case)
    if case.values:
        st.markdown("#### Values")
        values_of(case)
with right:
    model_says(prediction, desk)
    for warning in reader_warnings(prediction, scans, notes):
        st.markdown(f":material/warning: {markdown_plain(warning)}")
    if not prediction.error:
        bars(prediction)
    with st.container(border=True):
        decide(desk, prediction, next(iter(table["case_id"][table["state"] == "open"]), None))
    if not prediction.error:
        why(prediction)
    history(desk, current)
