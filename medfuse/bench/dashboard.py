"""`bench dashboard`: what a reader waits for in a real browser, with many predicted cases; aims are absolute.

A side ends when what was asked for is on the screen. The server was started and has opened the cohort before.
"""

from __future__ import annotations

import importlib
import json
import os
import socket
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np

from medfuse.bench.harness import Report, Settings, Side, Spread, Timing, alternate
from medfuse.case import Case, Scan
from medfuse.cohort import Cohort
from medfuse.errors import MedfuseError
from medfuse.review.desk import Places
from medfuse.review.launch import command

CASES, ROUNDS = 100_000, 7
PAINT, ACTION = 1.0, 0.5  # seconds that a reader may wait for the first page, and for anything done on it
LABELS = ("infection", "embolism", "effusion", "nothing")
CHROMIUM = Path("/usr/bin/chromium")
_FIRST = "tbody a"  # the first case of the list
_IDLE = "!document.querySelector('[data-testid=stSkeleton]')"


def run(settings: Settings, progress: Callable[[int], None]) -> Report:
    """Time the worklist and a case in Chromium, through Playwright."""
    try:
        start = importlib.import_module("playwright.sync_api").sync_playwright
    except ImportError as error:
        message = "bench dashboard needs playwright: `pip install playwright`, and Chromium (Debian package chromium)"
        raise MedfuseError(message) from error
    count = settings.cases or CASES
    with settings.folder() as work:
        places = subjects(work, count=count, seed=settings.seed)
        with _serving(places) as address, start() as playwright:
            path = str(CHROMIUM) if CHROMIUM.exists() else None
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
            spent: dict[str, list[float]] = {}
            sides = [replace(side, run=partial(_counted, side, spent)) for side in _sides(browser, address)]
            timings = alternate(sides, rounds=settings.rounds or ROUNDS, progress=progress)
            browser.close()
    timings = [replace(timing, cpu=tuple(spent[timing.name])) for timing in timings]
    # The times are absolute, so what else the machine did belongs to them: 1 for each core is all that it can.
    load = {"load of the machine, average of 5 minutes": round(os.getloadavg()[1], 1), "cores": os.cpu_count()}
    return Report("dashboard", tuple(timings), facts={"cases": count, **load, **within(timings)})


def _counted(side: Side, spent: dict[str, list[float]]) -> None:
    """Run a side, and note the processor time of server and browser, which what else runs does not change much."""
    before = _processor()
    side.run()
    spent.setdefault(side.name, []).append(max(0.0, _processor() - before))


def _processor() -> float:
    """Processor seconds of this process and all that it started, server and browser among them (Linux; else 0)."""
    parents, seconds = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it ended meanwhile
            fields = path.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
            parents[int(path.parent.name)] = int(fields[1])
            seconds[int(path.parent.name)] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    ours, found = {os.getpid()}, 0
    while len(ours) > found:
        found = len(ours)
        ours |= {one for one, parent in parents.items() if parent in ours}
    return sum(seconds.get(one, 0.0) for one in ours)


def within(timings: list[Timing]) -> dict[str, bool]:
    """Whether the median of each side is within what a reader may wait."""
    told = {}
    for one in timings:
        aim = PAINT if one.name.startswith("open") else ACTION
        told[f"{one.name}, within {aim:g} s"] = Spread.of(one.seconds).median <= aim
    return told


def subjects(work: Path, *, count: int, seed: int) -> Places:
    """A cohort of cases that share one picture, and a prediction of each."""
    from PIL import Image

    root, predictions = work / "cohort", work / "predictions.jsonl"
    if not predictions.exists():
        rng = np.random.default_rng(seed)
        root.mkdir(parents=True)
        Image.fromarray(rng.integers(0, 255, (480, 440), dtype=np.uint8)).save(root / "scan.png")
        scan = (Scan(root / "scan.png"),)
        cases = tuple(Case(f"case-{one:06}", f"patient-{one // 2:06}", scans=scan) for one in range(count))
        urgency = dict(zip(LABELS, (0.6, 1.0, 0.4, 0.0), strict=True))
        Cohort(root, "many cases", "multiclass", LABELS, cases, urgency=urgency).save()
        probabilities = rng.dirichlet(np.ones(len(LABELS)) / 2, count).round(4)
        with predictions.open("w", encoding="utf-8") as stream:
            for case, row in zip(cases, probabilities.tolist(), strict=True):
                found = dict(zip(LABELS, row, strict=True))
                best = max(found, key=found.__getitem__)
                entry: dict[str, Any] = {"case_id": case.case_id, "probabilities": found, "prediction_set": [best]}
                entry |= {"abstain": found[best] < 0.5, "modalities": ["image"], "contributions": {"image": 0.2}}
                stream.write(json.dumps(entry | {"warnings": [], "error": None, "bundle": "bench"}) + "\n")
    return Places(cohort=root, predictions=predictions, store=str(work / "reviews.sqlite"))


@contextmanager
def _serving(places: Places) -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = subprocess.Popen(  # noqa: S603 - our own server
        command(places, port=port), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = monotonic() + 60
        while True:
            with suppress(OSError):
                urllib.request.urlopen(f"{address}/_stcore/health", timeout=5).close()  # noqa: S310 - fixed address
                break
            if server.poll() is not None or monotonic() > deadline:
                message = "the dashboard did not start: its server ended"
                raise MedfuseError(message)
            sleep(0.1)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def _sides(browser: Any, address: str) -> list[Side]:
    """Each begins where the one before does not matter: `before` brings the page there, untimed."""
    context = browser.new_context(viewport={"width": 1280, "height": 800})
    page = context.new_page()
    page.set_default_timeout(30_000)
    number = iter(range(1, 10**6))
    counted = page.get_by_text("Click a row to open its case.")  # stands below the list and says how many there are

    def list_there(where: Any = page) -> None:
        where.locator(_FIRST).first.wait_for()

    def to_list() -> None:
        page.goto(f"{address}/?reader=AB")
        list_there()
        quiet()

    def quiet() -> None:
        page.wait_for_function(_IDLE)
        page.wait_for_timeout(800)

    def to_case() -> None:
        page.goto(f"{address}/case?reader=AB&case=case-{next(number):06}")
        page.get_by_role("button", name="Save").wait_for()
        quiet()

    def to_decision() -> None:
        to_case()
        page.get_by_text("Uncertain", exact=True).first.click()
        quiet()

    visitors: list[Any] = []  # contexts, each with a cache of its own

    def new_visitor() -> None:
        while visitors:
            visitors.pop().close()
        visitors.append(browser.new_context(viewport={"width": 1280, "height": 800}))
        visitors[0].new_page().set_default_timeout(120_000)  # the first of all opens the cohort

    def first_visit() -> None:
        visitors[0].pages[0].goto(f"{address}/?reader=AB")
        list_there(visitors[0].pages[0])

    def first_paint() -> None:
        """Until the browser says that it has drawn something (First Contentful Paint, W3C Paint Timing)."""
        visitors[0].pages[0].goto(f"{address}/?reader=AB", wait_until="commit")
        visitors[0].pages[0].wait_for_function("performance.getEntriesByName('first-contentful-paint').length")

    def warm() -> None:
        new_visitor()
        first_visit()

    def again() -> None:
        page.goto(f"{address}/?reader=AB")
        list_there()

    def changed(place: Any, act: Callable[[], object]) -> None:
        """Do something, and wait until a place says something else."""
        before = place.inner_text()
        act()
        while place.inner_text() == before:
            sleep(0.005)

    def filter_text() -> None:
        field = page.get_by_placeholder("Search by case id")
        field.fill("case-0042")
        changed(counted, lambda: field.press("Enter"))

    def only_unsure() -> None:
        changed(counted, page.get_by_text("Only unsure").click)

    def next_page() -> None:
        changed(page.locator(_FIRST).first, page.get_by_test_id("stNumberInputStepUp").click)

    def open_case() -> None:
        page.get_by_role("button", name="Read the next case").click()
        page.get_by_role("button", name="Save").wait_for()
        page.frame_locator("iframe[title*=medfuse_viewer]").first.locator("#viewer[data-lower]").wait_for()

    def next_case() -> None:
        before = page.get_by_role("heading", level=1).inner_text()
        page.keyboard.press("n")
        page.wait_for_function("text => document.querySelector('h1')?.innerText !== text", arg=before)

    def decide() -> None:
        page.get_by_role("button", name="Save").click()
        page.get_by_text("Stored:").wait_for()

    return [
        Side("open the worklist, empty browser cache, first paint", first_paint, before=new_visitor, warm=warm),
        Side("open the worklist, empty browser cache", first_visit, before=new_visitor),
        Side("open the worklist again", again),
        Side("filter by text", filter_text, before=to_list),
        Side("filter by a switch", only_unsure, before=to_list),
        Side("next page of the list", next_page, before=to_list),
        Side("to the next case, scan drawn", open_case, before=to_list),
        Side("next case by its key", next_case, before=to_case),
        Side("save a decision", decide, before=to_decision),
    ]
