"""The report in a browser: offline, without an error, and its figures answer the pointer."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from medfuse.evaluation.report import write_report
from medfuse.evaluation.summary import summarise

pytestmark = pytest.mark.real
CHROMIUM = shutil.which("chromium")


@pytest.mark.skipif(CHROMIUM is None, reason="Debian's chromium is not here")
def test_figures_tell_their_values_under_the_pointer(tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    rng = np.random.default_rng(0)
    said = rng.random((200, 2))
    truth = (rng.random((200, 2)) < said).astype(float)
    patients = [str(i) for i in range(200)]
    metrics = summarise(
        truth=truth, probability=said, patients=patients, labels=("a", "<b>"), task="multilabel", draws=20
    )
    write_report(metrics, tmp_path / "report.html", title="T")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        told: list[str] = []
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        page.goto((tmp_path / "report.html").as_uri())
        spot = page.locator("svg.figure .spot").first
        spot.scroll_into_view_if_needed()
        box = spot.bounding_box()
        assert box is not None
        assert not page.locator("#tip").is_visible()
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        assert "95 %" in page.locator("#tip").inner_text()
        assert page.locator(".spot.near").count() == 1
        page.mouse.move(1, 1)
        assert not page.locator("#tip").is_visible()
        browser.close()
    assert told == []
