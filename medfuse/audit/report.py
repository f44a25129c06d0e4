"""The audit as one HTML file that opens without a network."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from medfuse.audit.finding import SEVERITIES
from medfuse.page import page

if TYPE_CHECKING:
    from medfuse.audit.audit import Audit

TEMPLATE = Path(__file__).with_name("report.html.j2")


def write_report(audit: Audit, path: Path) -> None:
    """Write the report; the file appears in one step or not at all."""
    html = page(TEMPLATE, {"audit": audit, "severities": SEVERITIES, "counts": audit.record()["summary"]})
    partial = path.with_name(path.name + ".partial")
    partial.write_text(html, encoding="utf-8")
    os.replace(partial, path)
