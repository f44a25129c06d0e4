"""Where things stand on the screen: the boxes of named parts beside those kept in `layout.json`, in both themes.

Boxes and not pixels are compared: they do not hang on how a machine draws letters. After a change that is meant,
`MEDFUSE_LAYOUT=write` writes the file anew; look at the pages before that.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import pytest

from tests.real.visit import CHROMIUM, Visit, serving, three_phantoms

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium (Debian package chromium)"),
]

KEPT = Path(__file__).with_name("layout.json")
WRITE = os.environ.get("MEDFUSE_LAYOUT") == "write"
SIZES = ((1280, 800), (1920, 1080), (3840, 2160))
NEAR = 10  # pixels that a side of a box may be off
MAIN = "[data-testid=stMain] [data-testid="
SIDEBAR = {"logo": "[data-testid=stSidebarHeader] img", "pages": "[data-testid=stSidebarNav]"}
PARTS = {
    "/?reader=AB": {
        "title": "h1", "saved views": "role=button[name=/Saved views/]",
        "read next": "role=button[name=/Read the next/]",
        "open": f"{MAIN}stMetric] >> nth=0", "failed": f"{MAIN}stMetric] >> nth=3",
        "case filter": f"{MAIN}stTextInput]", "state filter": f"{MAIN}stMultiSelect] >> nth=0",
        "sort": f"{MAIN}stSelectbox]",
        "only unsure": f"{MAIN}stCheckbox] >> nth=0", "disagree": f"{MAIN}stCheckbox] >> nth=1",
        "list": "role=table[name=/Worklist/]", "below": f"{MAIN}stCaptionContainer]",
    },
    "/case?reader=AB&case=c-1": {
        "title": "h1", "before": "role=button[name=/Previous/]", "picker": f"{MAIN}stSelectbox]",
        "after": "role=button[name=/Next/]", "viewer": "iframe[title*=medfuse_viewer] >> nth=0",
        "how read": f"{MAIN}stExpander] >> nth=0", "note": "iframe[title*=medfuse_viewer] >> nth=1",
        "verdict": f"{MAIN}stAlert]", "probabilities": "role=list[name=/Calibrated probability/]",
        "actions": f"{MAIN}stButtonGroup]", "comment": f"{MAIN}stTextArea]",
        "save": "role=button[name=/Save/]", "undo": "role=button[name=/Undo/]",
        "moved": "role=list[name=/What moved/]",
    },
    "/studies?reader=AB": {
        "title": "h1", "nothing yet": f"{MAIN}stAlert]", "name": f"{MAIN}stTextInput] >> nth=0",
        "readers": f"{MAIN}stTextArea]", "set up": "role=button[name=/Set up the study/]",
    },
}  # fmt: skip

# Words that do not fit where they stand, and what reaches beyond the window to the right.
CUT = """() => {
  const cut = [];
  const look = (root) => root.querySelectorAll("*").forEach((one) => {
    if (one.shadowRoot) look(one.shadowRoot);
    const box = one.getBoundingClientRect(), style = getComputedStyle(one);
    const speaks = [...one.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
    if (!speaks || box.width < 5 || style.visibility === "hidden") return;
    const hides = style.overflowX !== "visible" && one.scrollWidth > one.clientWidth + 1;
    if (hides || box.right > innerWidth + 1) cut.push(one.textContent.trim().slice(0, 60));
  });
  look(document);
  return cut;
}"""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with serving(three_phantoms(tmp_path_factory.mktemp("layout"))) as port:
        yield port


def boxes(visit: Visit, parts: dict[str, str]) -> dict[str, list[int]]:
    """Left, top, width and height of each part, in pixels."""
    found = {}
    for name, where in parts.items():
        box = visit.page.locator(where).first.bounding_box()
        assert box is not None, f"{name} is not shown"
        found[name] = [round(box[side]) for side in ("x", "y", "width", "height")]
    return found


def apart(one: list[int], other: list[int]) -> bool:
    """Whether two boxes do not overlap by more than a pixel."""
    return any(
        first[side] + first[side + 2] <= second[side] + 1
        for first, second in ((one, other), (other, one))
        for side in (0, 1)
    )


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_everything_stands_where_it_stood(port: int, runner: object, width: int, height: int) -> None:
    kept = json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}
    faults, now = [], {}
    for dark in (False, True):
        visit = Visit(runner, port, width=width, height=height, dark=dark)
        for path, parts in PARTS.items():
            visit.open(path)
            visit.settled()
            if "/case" in path:
                visit.seen()
            found = now[path] = boxes(visit, SIDEBAR | parts)
            where = f"{path} {width}×{height} {'dark' if dark else 'light'}"
            faults += [f"{where}: cut off: {text}" for text in visit.page.evaluate(CUT)]
            faults += [
                f"{where}: {one} and {other} overlap"
                for one, other in combinations(found, 2)
                if not apart(found[one], found[other])
            ]
            for name, box in found.items():
                before = kept.get(f"{width}×{height}", {}).get(path, {}).get(name)
                if not WRITE and (before is None or any(abs(a - b) > NEAR for a, b in zip(box, before, strict=True))):
                    faults.append(f"{where}: {name} is at {box}, and was at {before}")
        visit.close()
    if WRITE:
        kept[f"{width}×{height}"] = now
        lines = json.dumps(kept, indent=1, ensure_ascii=False).replace("\n    ", " ").replace("\n   ]", "]")
        KEPT.write_text(lines + "\n", encoding="utf-8")
    assert not faults, "\n".join(faults)
