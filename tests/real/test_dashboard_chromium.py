"""The dashboard in a real browser: the way of a reader, a blinded study to its end, and what every page must keep."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from medfuse.review import ReviewStore
from medfuse.review.levels import scan_levels
from tests.real.visit import CHROMIUM, SCRIPT, Visit, serving, three_phantoms
from tests.review.test_levels import CASES, made

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium (Debian package chromium)"),
]

AXE = (os.environ.get("MEDFUSE_AXE", ""), "node_modules/axe-core/axe.min.js")  # npm install axe-core
OF_STREAMLIT: frozenset[str] = frozenset()  # rules that Streamlit's own frame breaks


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return three_phantoms(tmp_path)


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    with serving(folder) as port:
        yield port


def test_the_way_of_a_reader(folder: Path, port: int, runner: object) -> None:
    with pytest.raises(ConnectionRefusedError):  # another address of this machine: refused unless it listens on all
        socket.create_connection(("127.0.0.2", port), timeout=5)
    visit = Visit(runner, port)
    page = visit.page
    # The first address that the new server is asked for: a case that is none, which shows the most urgent one.
    visit.open("/case?case=../../etc/passwd")
    page.get_by_role("heading", name="c-1", exact=True).wait_for()
    assert "root:" not in page.content()

    visit.open("/?reader=AB")
    page.get_by_text("You have reviewed 0 of 3 cases.").wait_for()
    page.get_by_placeholder("Search by case id").fill("c-")
    page.get_by_placeholder("Search by case id").press("Enter")
    visit.settled()
    assert "text=c-" in page.url
    visit.shot(folder / "worklist.png")
    first = page.get_by_role("table", name="Worklist").get_by_role("link").first  # the most urgent case
    assert first.get_attribute("href") == f"{visit.address}/case?reader=AB&case=c-1"
    first.click()
    page.get_by_role("heading", name="c-1", exact=True).wait_for()
    assert "case=c-1" in page.url
    notes = page.frame_locator("iframe[title*=medfuse_viewer]").last
    notes.get_by_text(SCRIPT).wait_for()

    # Window, preset, invert, zoom, measure and region in the viewer.
    before = visit.seen()
    assert (float(before["lower"]), float(before["upper"])) == (0, 1)
    image = visit.viewer.locator("#scan-pane canvas")  # type: ignore[attr-defined]
    image.scroll_into_view_if_needed()
    place = image.bounding_box()
    assert place is not None
    middle = (place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)

    def drag(right: int, down: int) -> None:
        page.mouse.move(*middle)
        page.mouse.down()
        page.mouse.move(middle[0] + right / 2, middle[1] + down / 2)
        page.mouse.move(middle[0] + right, middle[1] + down)
        page.mouse.up()

    drag(-80, 30)
    narrowed = visit.seen()
    assert float(narrowed["upper"]) - float(narrowed["lower"]) < 0.9
    page.keyboard.press("i")
    assert visit.seen()["inverted"] == "true"
    page.keyboard.press("+")
    assert float(visit.seen()["zoom"]) == pytest.approx(1.2)
    page.keyboard.press("f")
    assert (visit.seen()["inverted"], visit.seen()["zoom"]) == ("false", "1.000")
    page.keyboard.press("m")
    drag(60, 0)
    assert visit.seen()["length"].endswith("pixels")
    page.keyboard.press("g")
    drag(50, 40)
    page.get_by_text("A region is marked").wait_for()
    visit.shot(folder / "case.png")

    visit.decide("Override", "infection")
    page.get_by_text("Stored: AB overrode with infection when the model said embolism").wait_for()
    page.reload()  # place and reader stay
    page.get_by_role("heading", name="c-1", exact=True).wait_for()
    page.get_by_text("AB overrode with infection").wait_for()
    page.get_by_role("button", name="Undo").click()
    page.get_by_text("Your last decision was taken back").wait_for()
    visit.decide("Accept")
    visit.settled()
    page.get_by_role("button", name="Next open case").click()
    page.get_by_role("heading", name="c-2", exact=True).wait_for()
    visit.open("/?reader=AB")
    page.get_by_role("button", name="Read the next case").click()
    page.get_by_role("heading", name="c-2", exact=True).wait_for()  # the most urgent one that is open
    assert "reader=AB" in page.url
    page.get_by_role("link", name="Performance").click()
    page.get_by_text("No evaluation was given.").wait_for()
    visit.close()
    history = ReviewStore(folder / "reviews.sqlite", cohort="three phantoms").history("c-1")
    assert [review.action for review in history] == ["override", "undo", "accept"]
    (region,) = history[0].regions
    assert (region.size, region.scan) == ((440, 480), "scan-1.png")
    (left, top), (right, bottom) = region.points
    assert 200 < left < right < 300
    assert 220 < top < bottom < 320


def test_two_blinded_readers_and_an_arbiter(folder: Path, port: int, runner: object) -> None:
    visit = Visit(runner, port)
    page = visit.page
    visit.open("/studies?reader=AB")
    page.get_by_label("Name of the study").fill("S <b>")
    page.get_by_label("Readers, one a line").fill("AB\nCD")
    page.get_by_label("Arbiter").fill("EF")
    page.get_by_role("button", name="Set up the study").click()
    page.get_by_role("heading", name="S <b>").wait_for()
    for reader, answers in (("AB", "infection"), ("CD", "nothing")):
        for number in range(3):
            visit.open(f"/case?reader={reader}&study=S%20%3Cb%3E&case=c-{number}")
            page.get_by_text("The model’s answer is hidden in this study").wait_for()
            visit.settled()
            assert "embolism has" not in page.content()
            assert page.get_by_role("list", name="Calibrated probability").count() == 0
            assert "overrode" not in page.inner_text("section.stMain, [data-testid=stMain]")
            if reader == "CD" and number == 0:
                visit.shot(folder / "blinded.png")
            visit.decide("Override", answers if number == 0 else "embolism")
    visit.open("/case?reader=EF&study=S%20%3Cb%3E")
    page.get_by_text("Reader 2 overrode").wait_for()
    visit.decide("Override", "nothing")
    visit.open("/studies?reader=EF")
    page.get_by_text("Arbitrated").first.wait_for()
    visit.shot(folder / "studies.png")
    visit.close()


@pytest.mark.parametrize("dark", [False, True])
def test_pages_keep_to_wcag_and_fit_small_and_large_screens(
    folder: Path, port: int, runner: object, dark: bool
) -> None:
    axe = next((path for path in map(Path, AXE) if path.is_file()), None)
    for width, height in ((1280, 800), (3840, 2160)):
        visit = Visit(runner, port, width=width, height=height, dark=dark)
        for path in ("/", "/case", "/studies"):
            visit.open(path)
            visit.settled()
            wider = visit.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert wider <= 0, path
            if axe is None:
                continue
            for frame in visit.page.frames:
                frame.evaluate(axe.read_text(encoding="utf-8"))
                found = frame.evaluate(
                    "axe.run(document, {iframes: false, runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']})"
                )
                ours = [one["id"] for one in found["violations"] if one["id"] not in OF_STREAMLIT]
                told = [[one["id"], [node["target"] for node in one["nodes"]][:3]] for one in found["violations"]]
                assert not ours, (path, told)
        visit.shot(folder / f"screen-{width}-{'dark' if dark else 'light'}.png")
        visit.close()


PAINT = """async ({values, rows, columns, slope, intercept, window, inverted}) => {
  const {Pane} = await import("./pane.js");
  const pane = new Pane(document.createElement("canvas"));
  pane.open({values: Uint16Array.from(values), rows, columns, slices: 1, slope, intercept, pixel: [1, 1]});
  Object.assign(pane, {window, inverted});
  pane.paint();
  const drawn = pane.painted.getContext("2d").getImageData(0, 0, columns, rows).data;
  return Array.from(drawn).filter((_, place) => place % 4 === 0);
}"""


def test_the_browser_paints_what_reading_gives(folder: Path, port: int, runner: object, tmp_path: Path) -> None:
    visit = Visit(runner, port)
    visit.open("/case")
    visit.viewer.locator("#viewer[data-lower]").wait_for()  # type: ignore[attr-defined]
    frame = next(one for one in visit.page.frames if "medfuse_viewer" in one.url)
    for name, (stored, elements) in CASES.items():
        scan, levels = scan_levels(made(tmp_path / "scan.dcm", stored, **dict(elements)))
        first = levels.windows[0]
        painted = frame.evaluate(
            PAINT,
            {
                "values": levels.codes.ravel().tolist(), "rows": 40, "columns": 30, "slope": levels.slope,
                "intercept": levels.intercept, "inverted": levels.inverted,
                "window": {"lower": first.lower, "upper": first.upper, "sigmoid": first.sigmoid},
            },
        )  # fmt: skip
        assert scan.pixels is not None
        assert np.abs(np.array(painted).reshape(40, 30) - 255 * scan.pixels).max() <= 1, name
    visit.close()
