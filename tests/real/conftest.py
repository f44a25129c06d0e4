"""What the tests in a browser are given."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module")
def runner() -> Iterator[object]:
    """Playwright, once for each file of tests."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (extra 'test')")
    with playwright.sync_playwright() as found:
        yield found
