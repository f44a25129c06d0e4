"""One case: scans, notes and values, what the model says and why, and the reader's decision."""

from __future__ import annotations

from pathlib import Path
from time import monotonic
from uuid import uuid4

import streamlit as st

from medfuse.case import Case, Note, Prediction, Scan
from medfuse.config import ImageConfig
from medfuse.errors import MedfuseError
from medfuse.imaging import fit_scan
from medfuse.notes import read_note
from medfuse.review.charts import CHART_CONFIG, contribution_bars, probability_bars
from medfuse.review.decision import ACTIONS, COMMENT_LIMIT, ConflictError, Region, Review
from medfuse.review.desk import Desk
from medfuse.review.levels import Levels, scan_levels
from medfuse.review.reading import Reading
from medfuse.review.reasons import note_pieces, overlays
from medfuse.review.texts import Texts
from medfuse.review.viewer import arguments, show, show_note
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
from medfuse.review.worklist import with_decisions

SCAN_HEIGHT = 520  # pixels
ICONS = {
    "accept": ":material/check:", "override": ":material/edit:", "uncertain": ":material/help:",
    "bad_image": ":material/broken_image:", "comment": ":material/chat:",
}  # fmt: skip


@st.cache_data(max_entries=12, show_spinner=False)
def scan_of(path: Path, fitted: str, stamp: int) -> tuple[Scan, Scan, Levels]:  # noqa: ARG001 - part of the cache key
    """The scan as read, as the network saw it, and its values; read again when the file changes (`stamp`)."""
    image = ImageConfig.model_validate_json(fitted)
    scan, levels = scan_levels(path, series=image.series, slices=image.slices)
    return scan, fit_scan(scan, image.size, equalise=image.equalise), levels


@st.cache_data(max_entries=64, show_spinner=False)
def note_of(path: Path, stamp: int) -> Note:  # noqa: ARG001 - part of the cache key
    return read_note(path)


@st.cache_resource(max_entries=1, show_spinner=False)
def predictor_of(bundle: Path, stamp: int):  # noqa: ANN201, ARG001 - torch is imported only when reasons are asked for
    from medfuse.inference import Predictor

    return Predictor.load(bundle)


@st.cache_resource(max_entries=4, show_spinner=False)
def reasons_of(bundle: Path, case_id: str, stamp: int, _case: Case):  # noqa: ANN201
    """The case with parts left out, and its explanation."""
    from medfuse.explain import WhatIf, explain

    variants = WhatIf(predictor_of(bundle, stamp), _case)
    return variants, explain(variants.predictor, _case, variants=variants)


def stamp_of(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def go(case_id: str) -> None:
    st.session_state["case"] = case_id
    st.session_state.pop("told", None)
    st.query_params["case"] = case_id


def picked() -> None:
    go(st.session_state["picker"])


def chosen(order: list[str]) -> str:
    """The case of the address, if it is one of the reader's; else the one last open; else the first."""
    asked = st.query_params.get("case")
    if asked is not None and asked not in order:
        del st.query_params["case"]
    found = next((one for one in (asked, st.session_state.get("case")) if one in order), order[0])
    st.session_state["case"] = st.session_state["picker"] = found
    return found


def header(order: list[str], states: dict[str, str], current: str, t: Texts) -> None:
    place = order.index(current)
    title, before, picker, after = st.columns([3, 1.1, 2.6, 1.1], vertical_alignment="bottom")
    title.title(markdown_plain(current))
    before.button(
        t("previous"), icon=":material/chevron_left:", disabled=place == 0, width="stretch", shortcut="B",
        on_click=go, args=(order[max(0, place - 1)],),
    )  # fmt: skip
    near = order[max(0, place - 100) : place + 101]  # a list of all would be sent to the browser each time
    picker.selectbox(
        t("case_of", place=place + 1, count=len(order)),
        near,
        key="picker",
        on_change=picked,
        format_func=lambda one: f"{one} ({t('state_' + states[one].replace(' ', '_'))})" if states.get(one) else one,
    )
    after.button(
        t("next"), icon=":material/chevron_right:", icon_position="right", disabled=place + 1 == len(order),
        width="stretch", on_click=go, args=(order[min(len(order) - 1, place + 1)],), shortcut="N",
    )  # fmt: skip


def scans_of(case: Case, desk: Desk, explanation, t: Texts, *, key: str = "") -> list[Scan]:  # noqa: ANN001
    """Show the scans; returns those that could be read."""
    if not case.scans:
        st.info(t("no_scan"), icon=":material/image_not_supported:")
        return []
    place = 0
    if len(case.scans) > 1:
        places = list(range(len(case.scans)))
        place = st.segmented_control(
            t("scan"), places, default=0, required=True, key=f"scan-of-{key}{case.case_id}",
            format_func=lambda one: f"{one + 1}  {markdown_plain(case.scans[one].path.name)}",
        )  # fmt: skip
    path = case.scans[place].path
    try:
        with st.spinner(t("reading_scan")):
            scan, seen, levels = scan_of(path, desk.image.model_dump_json(), stamp_of(path))
    except MedfuseError as error:
        st.error(markdown_plain(f"{t('scan_unreadable')} {error}"), icon=":material/broken_image:")
        return []
    maps = overlays(explanation, place, texts=t, numbers=scan.receipt.shown) if explanation else []
    held = st.session_state.setdefault("regions", {})
    where = f"{case.case_id}/{place}"
    given = arguments(
        levels, seen, key=f"{where}/{scan.receipt.sha256[:12]}", texts=t, overlays=maps, region=held.get(where),
        height=SCAN_HEIGHT,
    )  # fmt: skip
    answer = show(given, key=f"viewer-{key}{where}")
    if answer is not None and not key:
        held[where] = answer["region"]
        if answer["region"]:
            st.caption(f":material/crop: {t('region_marked')}")
    with st.expander(t("how_read")):
        st.table({"": dict(receipt_rows(scan.receipt))}, border="horizontal")
    return [scan]


def notes_of(case: Case, explanation, t: Texts) -> list[Note]:  # noqa: ANN001
    """Show the notes letter by letter; returns those that could be read."""
    read: list[Note] = []
    if not case.notes:
        st.info(t("no_note"), icon=":material/description:")
    for place, given in enumerate(case.notes):
        try:
            note = note_of(given.path, stamp_of(given.path))
        except MedfuseError as error:
            st.error(markdown_plain(f"{t('note_unreadable')} {error}"), icon=":material/error:")
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


def model_says(prediction: Prediction, desk: Desk, t: Texts) -> None:
    """The verdict, what the model did not have, and the probabilities."""
    if prediction.error:
        st.error(markdown_plain(f"{t('not_classified')} {prediction.error}"), icon=":material/error:")
        return
    say = st.warning if prediction.abstain else st.success
    icon = ":material/help:" if prediction.abstain else ":material/check:"
    say(markdown_plain(verdict(prediction, task=desk.cohort.task, texts=t)), icon=icon)
    if missing := rests_on(prediction, texts=t):
        st.info(markdown_plain(missing), icon=":material/info:")
    st.markdown(f"**{t('probability')}**", help=t("probability_help"))
    st.plotly_chart(probability_bars(prediction), config=CHART_CONFIG, key="probabilities")
    with st.expander(t("legend")):
        st.markdown(t("legend_text"))
        rows = [{t("label"): one, t("urgency"): desk.cohort.urgency.get(one)} for one in desk.cohort.labels]
        st.dataframe(rows, hide_index=True, width="stretch", height="content")


def why(prediction: Prediction, variants, explanation, t: Texts) -> None:  # noqa: ANN001
    top = most_probable(prediction)
    if prediction.contributions and top:
        st.markdown(f"**{t('moved', label=markdown_plain(top[0]))}**")
        st.plotly_chart(contribution_bars(prediction), config=CHART_CONFIG, key="contributions")
        st.caption(markdown_plain(influence(prediction, texts=t) or ""))
    if explanation is None:
        return
    rows = [
        {t("part"): one.name, t("share"): round(100 * one.contribution, 1)}
        for one in sorted(explanation.parts, key=lambda one: -abs(one.contribution))
    ]
    st.dataframe(rows, hide_index=True, width="stretch", height="content" if len(rows) < 9 else 300)
    for warning in explanation.warnings:
        st.caption(f":material/warning: {markdown_plain(warning)}")
    what_if(variants, explanation, t)


@st.fragment
def what_if(variants, explanation, t: Texts) -> None:  # noqa: ANN001
    """Switches that leave parts out; only this part is drawn again."""
    st.markdown(f"#### {t('what_if')}")
    parts = {part.key: part for part in variants.parts}
    st.caption(t("what_if_help"))
    out = [
        key for key, part in parts.items()
        if not st.toggle(markdown_plain(f"{t('kind_' + part.kind)}: {part.name}"), value=True, key=f"whatif-{explanation.case_id}-{key}")
    ]  # fmt: skip
    found = variants.without(set(out))
    before, after = explanation.probability, found[explanation.label]
    st.metric(
        markdown_plain(explanation.label), t.percent(after), border=True, delta_color="off",
        delta=f"{100 * (after - before):+.1f} {t('points')}" if out else t("as_is"),
    )  # fmt: skip


def save(reading: Reading, case: Case, version: int, labels: tuple[str, ...], t: Texts) -> None:
    """Store the decision; the form is emptied, and success told, only once it is stored."""
    state, case_id = st.session_state, case.case_id
    named = state.get(f"labels-{case_id}") or ()
    action = state.get(f"action-{case_id}") or ""
    override = action == "override"
    if not action:
        state["told"] = (case_id, "error", t("choose_action"))
        return
    review = Review(
        case_id=case_id,
        reader=reading.reader,
        action=action,
        labels=((named,) if isinstance(named, str) else tuple(named)) if override else (),
        comment=state.get(f"comment-{case_id}", ""),
        regions=regions_of(reading.desk, case),
        seconds=round(monotonic() - state["opened"][1], 1),
        key=state.setdefault(f"key-{case_id}", uuid4().hex),
    )
    try:
        stored = reading.add(review, version=version)
    except ConflictError as error:
        state[f"version-{case_id}"] = error.version  # what is new is shown below; saving again is then meant
        state["told"] = (case_id, "error", f"{t('not_stored')} {error}.")
        return
    except MedfuseError as error:
        state["told"] = (case_id, "error", f"{t('not_stored')} {error}.")
        return
    state.pop(f"key-{case_id}")
    state[f"version-{case_id}"] = reading.version(case_id)
    # Set and not removed: a browser keeps what it shows unless it is told otherwise.
    empty = {"action": None, "labels": None if reading.desk.cohort.task == "multiclass" else [], "comment": ""}
    for field, value in empty.items():
        if f"{field}-{case_id}" in state:
            state[f"{field}-{case_id}"] = value
    state["told"] = (case_id, "success", f"{t('stored')} {told(stored)}.")


def undo(reading: Reading, case_id: str, version: int, t: Texts) -> None:
    try:
        reading.undo(case_id, version=version)
        st.session_state[f"version-{case_id}"] = reading.version(case_id)
        st.session_state["told"] = (case_id, "success", t("undone"))
    except MedfuseError as error:
        st.session_state[f"version-{case_id}"] = reading.version(case_id)
        st.session_state["told"] = (case_id, "error", f"{t('not_undone')} {error}.")


def regions_of(desk: Desk, case: Case) -> tuple[Region, ...]:
    found = []
    for place, scan in enumerate(case.scans):
        box = st.session_state.get("regions", {}).get(f"{case.case_id}/{place}")
        if not box:
            continue
        receipt = scan_of(scan.path, desk.image.model_dump_json(), stamp_of(scan.path))[0].receipt
        inside = scan.path.relative_to(desk.cohort.folder) if scan.path.is_relative_to(desk.cohort.folder) else scan.path
        points = ((float(box["x0"]), float(box["y0"])), (float(box["x1"]), float(box["y1"])))
        found.append(
            Region(
                scan=inside.as_posix(), shape="rectangle", points=points, size=(receipt.columns, receipt.rows),
                slice=int(box["slice"]),
            )
        )  # fmt: skip
    return tuple(found)


def decide(reading: Reading, case: Case, prediction: Prediction | None, following: str | None, t: Texts) -> None:
    case_id, desk = case.case_id, reading.desk
    st.markdown(f"#### {t('decision')}")
    version = st.session_state.setdefault(f"version-{case_id}", reading.version(case_id))
    can_accept = prediction is not None and not prediction.error
    offered = [one for one in ACTIONS if one != "accept" or can_accept]
    action = st.pills(
        t("decision"), offered, format_func=lambda one: f"{ICONS[one]} {t('action_' + one)}", key=f"action-{case_id}",
        label_visibility="collapsed",
    )  # fmt: skip
    if action == "override" and desk.cohort.task == "multiclass":
        st.selectbox(t("right_label"), desk.cohort.labels, index=None, placeholder=t("choose"), key=f"labels-{case_id}")
    elif action == "override":
        st.multiselect(t("right_labels"), desk.cohort.labels, placeholder=t("none_applies"), key=f"labels-{case_id}")
    st.text_area(t("comment"), key=f"comment-{case_id}", max_chars=COMMENT_LIMIT, height=80)
    if not reading.reader:
        st.caption(t("say_who"))
    saved, back = st.columns(2)
    saved.button(
        t("save"), type="primary", key="save", on_click=save, icon=":material/save:", shortcut="Ctrl+Enter",
        args=(reading, case, version, desk.cohort.labels, t), width="stretch",
    )  # fmt: skip
    back.button(
        t("undo"), key="undo", on_click=undo, icon=":material/undo:", disabled=not reading.can_undo(case_id),
        args=(reading, case_id, version, t), width="stretch", help=t("undo_help"), shortcut="U",
    )  # fmt: skip
    about, kind, text = st.session_state.get("told", ("", "", ""))
    if about == case_id:
        (st.success if kind == "success" else st.error)(markdown_plain(text))
        if kind == "success" and following:
            st.button(t("next_open"), icon=":material/arrow_forward:", on_click=go, args=(following,), shortcut="Ctrl+Right")


def history(reading: Reading, case_id: str, t: Texts) -> None:
    for review in reading.reads(case_id):
        with st.container(border=True):
            st.markdown(markdown_plain(told(review)))
            if review.comment:
                st.text(review.comment)
    st.markdown(f"#### {t('history')}")
    decisions = reading.history(case_id)
    if not decisions:
        st.caption(t("no_history"))
    for review in reversed(decisions):
        st.markdown(markdown_plain(told(review)))
        if review.comment:
            st.text(review.comment)
        if review.regions:
            st.caption(t("with_region"))


def before_of(reading: Reading, case: Case, t: Texts) -> None:
    """Earlier and later studies of the patient, to look at beside this one."""
    others = reading.desk.previous(case)
    if not others:
        return
    with st.expander(t("previous_studies", count=len(others))):
        names = {one.case_id: one for one in others}
        which = st.selectbox(
            t("study_of_patient"), list(names), key=f"previous-{case.case_id}",
            format_func=lambda one: f"{names[one].time or t('time_unknown')} · {one}",
        )  # fmt: skip
        if st.toggle(t("show_study"), key=f"show-previous-{case.case_id}"):
            scans_of(names[which], reading.desk, None, t, key="previous-")
            for given in names[which].notes:
                st.text(note_of(given.path, stamp_of(given.path)).text)


desk: Desk = st.session_state["desk"]
t: Texts = st.session_state["texts"]
try:
    reading = Reading(desk, st.session_state.get("reader", "").strip(), st.query_params.get("study", ""))
    table = with_decisions(desk.table, desk.store.latest())
    order = list(reading.cases(table["case_id"].tolist()))
except MedfuseError as error:
    st.error(markdown_plain(str(error)), icon=":material/error:")
    st.stop()
if not order:
    st.info(t("nothing_to_read"), icon=":material/done_all:")
    st.stop()
if reading.role == "open":
    states = {one: state for one, state in zip(table["case_id"], table["state"], strict=True) if state != "open"}
else:
    states = {one: reading.state(one) for one in order if reading.state(one) not in ("", "open")}
current = chosen(order)
if st.session_state.get("opened", ("", 0))[0] != current:
    st.session_state["opened"] = (current, monotonic())
    st.session_state.pop(f"version-{current}", None)
    st.session_state["regions"] = {}
    try:
        if reading.reader:
            reading.viewed(current)
    except MedfuseError as error:
        st.error(markdown_plain(str(error)))
case, prediction = desk.cases[current], reading.prediction(current)
header(order, states, current, t)

variants = explanation = None
right_first = desk.bundle is not None and prediction is not None and not prediction.error
if right_first and st.toggle(t("show_why"), key="why", bind="query-params", help=t("show_why_help")):
    try:
        with st.spinner(t("explaining")):
            variants, explanation = reasons_of(desk.bundle, current, stamp_of(desk.bundle / "receipt.json"), case)
    except MedfuseError as error:
        st.error(markdown_plain(f"{t('no_reasons')} {error}"))
left, right = st.columns([1.75, 1], gap="medium")
with left:
    scans = scans_of(case, desk, explanation, t)
    st.markdown(f"#### {t('notes')}")
    notes = notes_of(case, explanation, t)
    if case.values:
        st.markdown(f"#### {t('values')}")
        rows = [{t("column"): column, t("value"): value} for column, value in value_rows(case)]
        st.dataframe(rows, hide_index=True, height="content", width="stretch")
    before_of(reading, case, t)
with right:
    if prediction is None:
        st.info(t("blinded" if current in desk.predictions else "no_prediction"), icon=":material/visibility_off:")
    else:
        model_says(prediction, desk, t)
    for warning in reader_warnings(prediction or Prediction(current), scans, notes):
        st.markdown(f":material/warning: {markdown_plain(warning)}")
    with st.container(border=True):
        waiting = [one for one in order if one not in states or states[one] == "read"]
        decide(reading, case, prediction, next((one for one in waiting if one != current), None), t)
    if prediction is not None and not prediction.error:
        why(prediction, variants, explanation, t)
    history(reading, current, t)
