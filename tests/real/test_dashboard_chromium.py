"""The dashboard in a real browser: find a case, look at it, accept it, and see the decision stored."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest
from PIL import Image

from medfuse.case import Case, Note, Scan
from medfuse.cohort import Cohort
from medfuse.review import ReviewStore

CHROMIUM = Path("/usr/bin/chromium")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra 'test')")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium (Debian package chromium)"),
]

LABELS = ("infection", "embolism", "nothing")
SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"
SERVE = (  # a shell that runs the tests in the background lets its children ignore interrupts
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from pathlib import Path; from medfuse.review import serve; folder = Path(sys.argv[1]); "
    "raise SystemExit(serve(cohort=folder / 'cohort', predictions=folder / 'predictions.jsonl', "
    "store=str(folder / 'reviews.sqlite'), port=int(sys.argv[2]), open_browser=False))"
)


def phantom(seed: int) -> np.ndarray:
    """Two dark ovals on a bright oval: enough of a chest to see what the viewer does with it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:480j, -1:1:440j]
    grey = 175 * ((x / 0.95) ** 2 + (y / 1.05) ** 2 < 1)
    for side in (-1, 1):
        grey = np.where(((x - 0.42 * side) / 0.3) ** 2 + ((y + 0.05) / 0.7) ** 2 < 1, 60 + 12 * np.sin(28 * y), grey)
    return np.clip(grey + rng.normal(0, 6, grey.shape), 0, 255).astype(np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "cohort"
    root.mkdir()
    cases, lines = [], []
    for number, probabilities in enumerate([(0.1, 0.1, 0.8), (0.2, 0.75, 0.05), (0.5, 0.4, 0.1)]):
        Image.fromarray(phantom(number)).save(root / f"scan-{number}.png")
        (root / f"note-{number}.txt").write_text(f"INDICATION: Sudden pain {SCRIPT}\nHISTORY: Operated last week.\n")
        scan, note = Scan(root / f"scan-{number}.png"), Note(root / f"note-{number}.txt")
        cases.append(Case(f"c-{number}", f"p-{number}", scans=(scan,), notes=(note,), values={"spo2": 91.0}))
        found = dict(zip(LABELS, probabilities, strict=True))
        entry = {
            "case_id": f"c-{number}",
            "probabilities": found,
            "prediction_set": [max(found, key=found.__getitem__)],
        }
        entry |= {"abstain": False, "modalities": ["image", "text", "tabular"], "warnings": [], "error": None}
        entry |= {"contributions": {"image": 0.25, "text": 0.2, "tabular": -0.03}, "bundle": "ab12"}
        lines.append(json.dumps(entry) + "\n")
    Cohort(
        root, "three phantoms", "multiclass", LABELS, tuple(cases), tabular={"spo2": "number"},
        urgency={"infection": 0.6, "embolism": 1.0, "nothing": 0.0},
    ).save()  # fmt: skip
    (tmp_path / "predictions.jsonl").write_text("".join(lines))
    return tmp_path


@pytest.fixture
def port(folder: Path) -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen([sys.executable, "-c", SERVE, str(folder), str(port)], stdout=log, stderr=log)
    try:
        deadline = monotonic() + 90
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).close()
                break
            except OSError:
                log_text = (folder / "server.log").read_text()
                assert server.poll() is None, log_text
                assert monotonic() < deadline, log_text
                sleep(0.2)
        yield port
    finally:
        server.send_signal(signal.SIGINT)
        code = server.wait(30)
    log_text = (folder / "server.log").read_text()
    assert code == 0, log_text
    assert "Traceback" not in log_text
    assert "deprecat" not in log_text.lower()


def test_a_case_is_found_read_and_accepted(folder: Path, port: int) -> None:
    with pytest.raises(ConnectionRefusedError):  # another address of this machine: refused unless it listens on all
        socket.create_connection(("127.0.0.2", port), timeout=5)
    address = f"http://127.0.0.1:{port}"
    dialogs: list[str] = []
    outside: list[str] = []
    with playwright.sync_playwright() as runner:
        browser = runner.chromium.launch(
            executable_path=str(CHROMIUM),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(60_000)
        page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
        page.on("request", lambda request: outside.append(request.url) if not _is_ours(request.url, address) else None)

        # The first address that the new server is asked for: a case that is none, which shows the most urgent one.
        page.goto(f"{address}/case?case=../../etc/passwd")
        page.get_by_role("heading", name="c-1", exact=True).wait_for()
        page.goto(address)
        page.get_by_role("heading", name="Worklist").wait_for()
        rows = page.get_by_test_id("stDataFrame").last
        rows.locator("canvas").first.wait_for()
        page.wait_for_timeout(1500)
        page.screenshot(path=str(folder / "worklist.png"))

        box = rows.bounding_box()
        assert box is not None
        page.mouse.click(box["x"] + 60, box["y"] + 35 + 17)  # the first row: the most urgent case
        page.get_by_role("heading", name="c-1", exact=True).wait_for()
        assert page.url == f"{address}/case?case=c-1"
        page.get_by_text(SCRIPT).wait_for()
        page.locator(".stPlotlyChart image").first.wait_for()

        reader = page.get_by_placeholder("Your name or initials")
        reader.fill("AB")
        reader.press("Enter")
        page.get_by_text("You have reviewed 0 of 3 cases.").wait_for()
        page.get_by_test_id("stButtonGroup").get_by_text("Accept", exact=True).click()
        page.get_by_label("Comment", exact=True).fill("Agreed.")
        page.get_by_role("button", name="Save").click()
        page.get_by_text("Stored: AB accepted embolism").wait_for()
        playwright.expect(page.get_by_label("Comment", exact=True)).to_have_value("")
        page.wait_for_timeout(1000)
        page.screenshot(path=str(folder / "case.png"))
        page.get_by_role("button", name="Save").click()  # again, by mistake
        page.get_by_text("Nothing was stored").wait_for()

        page.get_by_role("link", name="Evaluation").click()
        page.get_by_text("No evaluation was given.").wait_for()
        page.get_by_role("link", name="Worklist").click()
        page.get_by_text("You have reviewed 1 of 3 cases.").wait_for()
        browser.close()

    (review,) = ReviewStore(folder / "reviews.sqlite", cohort="three phantoms").history("c-1")
    assert (review.reader, review.action, review.predicted, review.comment) == ("AB", "accept", "embolism", "Agreed.")
    assert dialogs == []
    assert outside == []
    assert (folder / "worklist.png").stat().st_size > 20_000
    assert (folder / "case.png").stat().st_size > 50_000


def _is_ours(url: str, address: str) -> bool:
    return url.startswith((f"{address}/", f"{address.replace('http', 'ws')}/", "data:", "blob:"))
