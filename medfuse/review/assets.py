"""The browser's part of Streamlit: sent from memory, compressed once, and named before the page needs it.

Streamlit reads each of some hundred files from disk for every browser, uncompressed, and a page learns of a widget's
file only when the widget is to be drawn, so an empty cache fills in waves, one after the other.
"""

from __future__ import annotations

import gzip
import mimetypes
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What stands on the worklist, by the names of Streamlit's files before their digest.
WORKLIST = (
    "BidiComponent", "Button", "Checkbox", "Metric", "Multiselect", "NumberInput", "Selectbox", "TextInput",
)  # fmt: skip
_ADDRESS = "/static/"
_IMPORT = re.compile(r'(?:from|import)\s*"\./([\w.-]+\.js)"')
_PACKED = (".woff2", ".png", ".jpg", ".gif")  # what gzip makes no smaller
_KEPT = "public, max-age=31536000, immutable"  # a file's name has a digest of what is in it


class Assets:
    """ASGI middleware before Streamlit.

    Args:
        app: What everything else is asked of.
        folder: Streamlit's files: `index.html`, and beside it `static`.
    """

    def __init__(self, app: ASGIApp, *, folder: Path) -> None:
        self._app = app
        root = folder / "static"
        # Only a name of this list is ever opened, so that no address is a path.
        self._files = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.is_file()}
        self._held: dict[tuple[str, str], bytes] = {}  # by name and encoding
        index = (folder / "index.html").read_text(encoding="utf-8")
        wanted = [name for name in chunks(root / "js", WORKLIST) if name not in index]
        self._early = "".join(
            f'<link rel="modulepreload" crossorigin href="./static/js/{name}">\n' for name in wanted
        ).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI request."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
            return
        name = scope["path"].removeprefix(_ADDRESS) if scope["path"].startswith(_ADDRESS) else ""
        asked = {key.decode("latin-1"): value.decode("latin-1") for key, value in scope["headers"]}
        if name in self._files:
            packs = "gzip" in asked.get("accept-encoding", "") and not name.endswith(_PACKED)
            await self._answer(name, "gzip" if packs else "", send)
        elif asked.get("sec-fetch-dest") == "document":
            await self._app(scope, receive, _Early(send, self._early))
        else:
            await self._app(scope, receive, send)

    async def _answer(self, name: str, encoding: str, send: Send) -> None:
        from starlette.concurrency import run_in_threadpool

        body = self._held.get((name, encoding))
        if body is None:
            body = await run_in_threadpool(self._read, name, encoding)
        kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
        headers = {
            "content-type": "text/javascript; charset=utf-8" if name.endswith(".js") else kind,
            "content-length": str(len(body)),
            "cache-control": _KEPT,
            "vary": "Accept-Encoding",
            "x-content-type-options": "nosniff",
        } | ({"content-encoding": encoding} if encoding else {})
        told = [(key.encode(), value.encode()) for key, value in headers.items()]
        await send({"type": "http.response.start", "status": 200, "headers": told})
        await send({"type": "http.response.body", "body": body})

    def _read(self, name: str, encoding: str) -> bytes:
        body = self._files[name].read_bytes()
        body = self._held[name, encoding] = gzip.compress(body, 6, mtime=0) if encoding else body
        return body


class _Early:
    """Sends a page on, with what the worklist needs named in its head."""

    def __init__(self, send: Send, early: bytes) -> None:
        self._send, self._early = send, early
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kinds = [value for key, value in message["headers"] if key.lower() == b"content-type"]
            if message["status"] != 200 or not kinds or not kinds[0].startswith(b"text/html"):
                await self._send(message)
            else:
                self._start = message
            return
        if self._start is None:
            await self._send(message)
            return
        self._body += message.get("body", b"")
        if message.get("more_body"):
            return
        body = self._body.replace(b"</head>", self._early + b"</head>", 1)
        kept = [(key, value) for key, value in self._start["headers"] if key.lower() != b"content-length"]
        await self._send({**self._start, "headers": [*kept, (b"content-length", str(len(body)).encode())]})
        await self._send({"type": "http.response.body", "body": body})


def chunks(folder: Path, names: Iterable[str]) -> list[str]:
    """The files of widgets and what these import, each once; another Streamlit may have none of a name.

    Args:
        folder: Where they lie.
        names: Of widgets, such as `Metric`.
    """
    found: list[str] = []
    todo = [path.name for name in names for path in folder.glob(f"{name}.*.js")]
    while todo:
        file = todo.pop()
        if file not in found:
            found.append(file)
            todo += _IMPORT.findall((folder / file).read_text(encoding="utf-8"))
    return found
