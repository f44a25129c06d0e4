from __future__ import annotations

from pathlib import Path

import jinja2
import pytest

from medfuse.page import page


def test_what_stands_in_a_page_is_escaped_and_what_is_missing_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "x.j2").write_text("{% if name %}\n  <b>{{ name | twice }}</b>\n{% endif %}\n")
    made = page(tmp_path / "x.j2", {"name": "<script>"}, filters={"twice": lambda text: text * 2})
    assert made.strip() == "<b>&lt;script&gt;&lt;script&gt;</b>"
    with pytest.raises(jinja2.UndefinedError):
        page(tmp_path / "x.j2", {})
