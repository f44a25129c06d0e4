from __future__ import annotations

import asyncio
import gzip
from pathlib import Path
from typing import Any

import pytest
from streamlit.file_util import get_static_dir

from medfuse.review.assets import WORKLIST, Assets, chunks

PAGE = b"<html><head><title>x</title></head><body></body></html>"


async def inner(scope: dict[str, Any], _receive: Any, send: Any) -> None:
    """What stands behind: a page in two parts for `/`, else 404."""
    found = scope["path"] in ("/", "/case")
    kind = b"text/html; charset=utf-8" if found else b"text/plain"
    headers = [(b"content-type", kind), (b"content-length", str(len(PAGE)).encode())]
    await send({"type": "http.response.start", "status": 200 if found else 404, "headers": headers})
    await send({"type": "http.response.body", "body": PAGE[:20], "more_body": True})
    await send({"type": "http.response.body", "body": PAGE[20:]})


def ask(assets: Assets, path: str, **headers: str) -> tuple[int, dict[str, str], bytes]:
    sent: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    given = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    asyncio.run(assets({"type": "http", "method": "GET", "path": path, "headers": given}, None, send))  # type: ignore[arg-type]
    told = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], told, b"".join(one.get("body", b"") for one in sent[1:])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "static" / "js").mkdir(parents=True)
    (tmp_path / "index.html").write_text('<head><script src="./static/js/index.a.js"></script></head>')
    (tmp_path / "outside.js").write_text("outside")
    for name, text in {
        "index.a.js": "", "Metric.b.js": 'import"./index.a.js";import{x}from"./part.c.js";', "part.c.js": "1;" * 999,
        "Huge.d.js": "",
    }.items():  # fmt: skip
        (tmp_path / "static" / "js" / name).write_text(text)
    return tmp_path


def test_a_file_is_sent_compressed_to_be_kept(folder: Path) -> None:
    assets = Assets(inner, folder=folder)
    for _ in range(2):
        status, told, body = ask(assets, "/static/js/part.c.js", accept_encoding="gzip, br")
        assert (status, told["content-encoding"], told["content-type"]) == (
            200,
            "gzip",
            "text/javascript; charset=utf-8",
        )
        assert gzip.decompress(body) == b"1;" * 999
        assert int(told["content-length"]) == len(body) < 100
        assert "immutable" in told["cache-control"]
        assert told["vary"] == "Accept-Encoding"
    assert ask(assets, "/static/js/part.c.js")[2] == b"1;" * 999


@pytest.mark.parametrize(
    "path", ["/static/../outside.js", "/static/js/../../outside.js", "/static//outside.js", "/static/"]
)
def test_no_address_leaves_the_folder(folder: Path, path: str) -> None:
    assert ask(Assets(inner, folder=folder), path)[0] == 404


def test_a_page_names_what_the_worklist_needs_and_nothing_twice(folder: Path) -> None:
    assets = Assets(inner, folder=folder)
    _, told, body = ask(assets, "/", sec_fetch_dest="document")
    assert int(told["content-length"]) == len(body)
    assert body.count(b"modulepreload") == 2
    assert b'href="./static/js/Metric.b.js">\n<link' in body
    assert b"part.c.js" in body
    assert b"index.a.js" not in body  # the page has it already
    assert ask(assets, "/", sec_fetch_dest="iframe")[2] == PAGE
    assert ask(assets, "/none", sec_fetch_dest="document")[2] == PAGE


def test_this_streamlit_has_every_file_that_is_named() -> None:
    folder = Path(get_static_dir()) / "static" / "js"
    for name in WORKLIST:
        assert chunks(folder, [name]), name
    found = chunks(folder, WORKLIST)
    assert sum((folder / name).stat().st_size for name in found if not name.startswith("index.")) < 4_000_000
