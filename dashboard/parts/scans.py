"""The scans of a case in the viewer, how they were read, and the regions marked on them."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from medfuse.case import Case, Scan
from medfuse.config import ImageConfig
from medfuse.errors import MedfuseError
from medfuse.imaging import fit_scan
from medfuse.review.decision import Region
from medfuse.review.desk import Desk
from medfuse.review.levels import Levels, scan_levels
from medfuse.review.reasons import overlays
from medfuse.review.texts import Texts
from medfuse.review.viewer import arguments, show
from medfuse.review.wording import markdown_plain, markdown_table, receipt_rows

SCAN_HEIGHT = 520  # pixels


def stamp_of(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@st.cache_data(max_entries=12, show_spinner=False)
def scan_of(path: Path, fitted: str, stamp: int) -> tuple[Scan, Scan, Levels]:  # noqa: ARG001 - part of the cache key
    """The scan as read, as the network saw it, and its values; read again when the file changes (`stamp`)."""
    image = ImageConfig.model_validate_json(fitted)
    scan, levels = scan_levels(path, series=image.series, slices=image.slices)
    return scan, fit_scan(scan, image.size, equalise=image.equalise), levels


def scans_of(case: Case, desk: Desk, explanation, t: Texts, *, key: str = "") -> list[Scan]:
    """Show the scans; returns those that could be read."""
    if not case.scans:
        st.info(t("no_scan"), icon=":material/image_not_supported:")
        return []
    place = 0
    if len(case.scans) > 1:
        place = st.selectbox(
            t("scan"),
            list(range(len(case.scans))),
            key=f"scan-of-{key}{case.case_id}",
            format_func=lambda one: f"{one + 1} · {case.scans[one].path.name}",
        )
    path = case.scans[place].path
    try:
        with st.spinner(t("reading_scan")):
            scan, seen, levels = scan_of(path, desk.image.model_dump_json(), stamp_of(path))
    except MedfuseError as error:
        st.error(markdown_plain(f"{t('scan_unreadable')} {t.said(error)}"), icon=":material/broken_image:")
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
        st.markdown(markdown_table((t("what"), t("value")), receipt_rows(scan.receipt, texts=t)))
    return [scan]


def regions_of(desk: Desk, case: Case) -> tuple[Region, ...]:
    found = []
    for place, scan in enumerate(case.scans):
        box = st.session_state.get("regions", {}).get(f"{case.case_id}/{place}")
        if not box:
            continue
        receipt = scan_of(scan.path, desk.image.model_dump_json(), stamp_of(scan.path))[0].receipt
        inside = (
            scan.path.relative_to(desk.cohort.folder) if scan.path.is_relative_to(desk.cohort.folder) else scan.path
        )
        points = ((float(box["x0"]), float(box["y0"])), (float(box["x1"]), float(box["y1"])))
        found.append(
            Region(
                scan=inside.as_posix(), shape="rectangle", points=points, size=(receipt.columns, receipt.rows),
                slice=int(box["slice"]),
            )
        )  # fmt: skip
    return tuple(found)
