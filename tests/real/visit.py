"""A dashboard that runs and a browser that visits it: what the browser tests share."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep

import numpy as np
import pytest
from PIL import Image

from medfuse.case import Case, Note, Scan
from medfuse.cohort import Cohort

CHROMIUM = Path("/usr/bin/chromium")
SHOTS = os.environ.get("MEDFUSE_SHOTS", "")  # a folder that receives the screenshots
LABELS = ("infection", "embolism", "nothing")
SCRIPT = "<script>window.planted = 1; alert(1)</script><img src=x onerror='window.planted = 1; alert(1)'>"
SERVE = (  # a shell that runs the tests in the background lets its children ignore interrupts
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "from pathlib import Path; from medfuse.review import serve; from medfuse.review.reach import Reach; "
    "folder, port = Path(sys.argv[1]), int(sys.argv[2]); reach = Reach(login='login' in sys.argv[3:], "
    "openid=folder / 'secrets.toml' if 'openid' in sys.argv[3:] else None); "
    "from medfuse.config import Config; bundle = folder / 'bundle' if (folder / 'bundle').exists() else None; "
    "evaluation = folder / 'evaluation' if (folder / 'evaluation').exists() else None; "
    "image = Config.load(bundle / 'config.yaml').image if bundle else None; "
    "raise SystemExit(serve(cohort=folder / 'cohort', predictions=folder / 'predictions.jsonl', "
    "bundle=bundle, image=image, evaluation=evaluation, "
    "store=str(folder / 'reviews.sqlite'), reach=reach, port=port, open_browser=False))"
)


def phantom(seed: int) -> np.ndarray:
    """Two dark ovals on a bright oval: enough of a chest to see what the viewer does with it."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[-1:1:480j, -1:1:440j]
    grey = 175 * ((x / 0.95) ** 2 + (y / 1.05) ** 2 < 1)
    for side in (-1, 1):
        grey = np.where(((x - 0.42 * side) / 0.3) ** 2 + ((y + 0.05) / 0.7) ** 2 < 1, 60 + 12 * np.sin(28 * y), grey)
    return np.clip(grey + rng.normal(0, 6, grey.shape), 0, 255).astype(np.uint8)


def three_phantoms(tmp_path: Path) -> Path:
    """A folder with a cohort of three cases and their predictions; scripts are planted where data may hold text."""
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


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = monotonic() + 90
    while True:
        with suppress(OSError):
            urllib.request.urlopen(url, timeout=5).close()
            return
        assert server.poll() is None, log.read_text()
        assert monotonic() < deadline, log.read_text()
        sleep(0.2)


@contextmanager
def serving(folder: Path, *reach: str, port: int | None = None) -> Iterator[int]:
    """The dashboard on a free port, ended by an interrupt; its log holds no fault."""
    port = port or free_port()
    log_file = folder / "server.log"
    with log_file.open("w") as log:
        command = [sys.executable, "-c", SERVE, str(folder), str(port), *reach]
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
    try:
        wait_for(f"http://127.0.0.1:{port}/_stcore/health", server, log_file)
        yield port
    finally:
        server.send_signal(signal.SIGINT)
        code = server.wait(30)
    log_text = log_file.read_text()
    assert code == 0, log_text
    assert "Traceback" not in log_text, log_text
    assert "deprecat" not in log_text.lower(), log_text


@contextmanager
def openid_provider(folder: Path, port: int) -> Iterator[int]:
    """A real OpenID provider on the port that comes out, and `secrets.toml` for a dashboard on `port` that asks it."""
    told = (os.environ.get("MEDFUSE_OIDC_PROVIDER", ""), "node_modules/oidc-provider")  # npm install oidc-provider
    library = next((path.resolve() for path in map(Path, told) if (path / "lib" / "index.js").is_file()), None)
    node = shutil.which("node")
    if library is None or node is None:
        pytest.skip("no oidc-provider (npm install oidc-provider, MEDFUSE_OIDC_PROVIDER=…/node_modules/oidc-provider)")
    if not all(map(find_spec, ("authlib", "httpx"))):
        pytest.skip("authlib is not installed (extra 'openid')")
    at, back = free_port(), f"http://127.0.0.1:{port}/oauth2callback"
    (folder / "secrets.toml").write_text(
        f'[auth]\nredirect_uri = "{back}"\ncookie_secret = "{"0123456789abcdef" * 4}"\nclient_id = "medfuse"\n'
        f'client_secret = "a secret of this test"\n'
        f'server_metadata_url = "http://127.0.0.1:{at}/.well-known/openid-configuration"\n'
        f'client_kwargs = {{ prompt = "login" }}\n'
    )
    log_file = folder / "provider.log"
    with log_file.open("w") as log:
        command = [node, str(Path(__file__).with_name("provider.mjs")), str(library), str(at), back]
        provider = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        wait_for(f"http://127.0.0.1:{at}/.well-known/openid-configuration", provider, log_file)
        yield at
    finally:
        provider.terminate()
        provider.wait(30)


class Visit:
    """A page in Chromium that counts what must not happen: scripts of data, and requests to elsewhere."""

    def __init__(
        self,
        runner: object,
        port: int,
        *,
        width: int = 1280,
        height: int = 800,
        dark: bool = False,
        also: str = "data:",
    ) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.also = also  # another server that pages may lead to
        self.dialogs: list[str] = []
        self.outside: list[str] = []
        self.browser = runner.chromium.launch(  # type: ignore[attr-defined]
            executable_path=str(CHROMIUM),
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
        )
        scheme = "dark" if dark else "light"
        self.page = self.browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        self.page.set_default_timeout(60_000)
        self.page.on("dialog", lambda dialog: (self.dialogs.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: None if self._ours(request) else self.outside.append(request.url))

    def _ours(self, request: object) -> bool:
        own = (f"{self.address}/", f"{self.address.replace('http', 'ws')}/", "data:", "blob:", self.also)
        # What the other server's pages ask for is theirs.
        return request.url.startswith(own) or request.headers.get("referer", "").startswith(self.also)  # type: ignore[attr-defined]

    def open(self, path: str = "/") -> None:
        self.page.goto(self.address + path)
        self.page.get_by_role("heading", level=1).wait_for()
        self.settled()  # what is typed into a page that is still being drawn is lost

    def settled(self) -> None:
        self.page.wait_for_timeout(400)
        self.page.wait_for_function(
            "!document.querySelector('[data-stale=true],[data-testid=stStatusWidget],[data-testid=stSkeleton]')"
        )
        self.page.wait_for_timeout(600)

    @property
    def viewer(self) -> object:
        return self.page.frame_locator("iframe[title*=medfuse_viewer]").first

    def seen(self) -> dict[str, str]:
        """What the viewer says of itself."""
        return dict(self.viewer.locator("#viewer[data-lower]").evaluate("one => ({...one.dataset})"))  # type: ignore[attr-defined]

    def decide(self, action: str, label: str | None = None) -> None:
        page = self.page
        page.get_by_test_id("stPills").get_by_text(action, exact=True).or_(
            page.get_by_test_id("stButtonGroup").get_by_text(action, exact=True)
        ).first.click()
        if label:
            page.get_by_label("The right label").click()
            page.get_by_role("option", name=label, exact=True).click()
            self.settled()
        page.get_by_role("button", name="Save").click()
        page.get_by_text("Stored:").wait_for()

    def shot(self, path: Path) -> None:
        self.settled()
        self.page.screenshot(path=str(path))
        if SHOTS:
            self.page.screenshot(path=str(Path(SHOTS) / path.name))

    def close(self) -> None:
        assert not any(frame.evaluate("window.planted") for frame in self.page.frames)
        self.browser.close()
        assert self.dialogs == []
        assert self.outside == [], self.outside
