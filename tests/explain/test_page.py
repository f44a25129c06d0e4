from __future__ import annotations

import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from medfuse.case import Case, Note
from medfuse.explain import Explanation, HeatMap, Sanity, explain
from medfuse.explain.page import LONGEST, overlay, write_explanation
from medfuse.inference import Predictor

EVIL = 'HISTORY: fever <script>alert(1)</script> <img src=x onerror=alert(2)> & cough "quoted" {{ 7 * 7 }}.'


@pytest.fixture(scope="module")
def evil(case: Case) -> Case:
    return replace(case, case_id="<b>c0</b>", notes=(Note(text=EVIL),))


@pytest.fixture(scope="module")
def found(experts: Predictor, evil: Case) -> Explanation:
    return explain(experts, evil)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]
        self.handlers += [name for name, _ in attrs if name.startswith("on")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_shows_the_note_and_runs_nothing_of_it(found: Explanation, evil: Case, tmp_path: Path) -> None:
    files = write_explanation(found, evil, tmp_path)
    assert [path.name for path in files] == ["scan-1.png", "scan-2.png", "explanation.json", "explanation.html"]
    page = _Page()
    page.feed((tmp_path / "explanation.html").read_text(encoding="utf-8"))
    assert EVIL in page.text
    assert not page.tags & {"script", "b", "iframe"}
    assert page.handlers == []
    assert len(page.addresses) == 2
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert "49" not in re.sub(r"[^{}0-9]", "", page.text.split("HISTORY")[1].split("quoted")[1][:30])
    assert not list(tmp_path.glob("*.partial"))


def test_the_json_holds_figures_and_no_text_of_a_note(found: Explanation, evil: Case, tmp_path: Path) -> None:
    write_explanation(found, evil, tmp_path)
    written = json.loads((tmp_path / "explanation.json").read_text())
    assert written["label"] == found.label
    assert sum(one["contribution"] for one in written["parts"]) == pytest.approx(
        written["probability"] - written["base"], abs=1e-9
    )
    assert written["notes"][0]["words"][0].keys() == {"start", "end", "attribution"}
    assert "fever" not in json.dumps(written)


def test_a_map_that_failed_says_so(found: Explanation, evil: Case, tmp_path: Path) -> None:
    failed = tuple(replace(heat, sanity=Sanity(0.9, 0.5, passed=False)) for heat in found.maps)
    write_explanation(replace(found, maps=failed), evil, tmp_path)
    page = (tmp_path / "explanation.html").read_text()
    assert page.count("Failed its sanity check") == 2
    assert "Passed its" not in page


def test_an_overlay_is_orange_for_and_blue_against_and_no_larger_than_it_may_be() -> None:
    grey = np.full((40, 2 * LONGEST), 0.5, dtype=np.float32)
    heat = np.zeros_like(grey)
    heat[:, :LONGEST], heat[:, LONGEST:] = 1.0, -1.0
    picture = overlay(grey, heat, strongest=1.0)
    assert picture.size == (LONGEST, 20)
    red, _, blue = np.asarray(picture, dtype=int)[10, 5]
    assert red > blue
    red, _, blue = np.asarray(picture, dtype=int)[10, -5]
    assert blue > red
    plain = np.asarray(overlay(grey[:, :40], heat[:, :40] * 0, strongest=0.0))
    assert (plain == 128).all()


def test_a_volume_is_written_slice_by_slice(found: Explanation, evil: Case, tmp_path: Path) -> None:
    pixels = np.zeros((3, 10, 12), dtype=np.float32)
    heat = HeatMap(0, "v", "grad_cam", np.zeros((3, 64, 64), dtype=np.float32), found.maps[0].placement)
    place = replace(heat.placement, rows=10, columns=12)
    case = replace(evil, scans=(replace(evil.scans[0], pixels=pixels),))
    write_explanation(replace(found, maps=(replace(heat, placement=place),)), case, tmp_path)
    assert sorted(path.name for path in tmp_path.glob("*.png")) == [f"scan-1-slice-{n}.png" for n in (1, 2, 3)]
    assert Image.open(tmp_path / "scan-1-slice-1.png").size == (12, 10)
