"""The dashboard as others reach it: over TLS on every address, back from an OpenID provider to where one was going, and
the pages around signing in held to WCAG."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from medfuse.cohort import Cohort
from medfuse.review.access import Accounts
from medfuse.review.database import Database
from medfuse.review.roles import Account
from tests.real.visit import CHROMIUM, Visit, free_port, openid_provider, serving, three_phantoms

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium (Debian package chromium)"),
]
AXE = (os.environ.get("MEDFUSE_AXE", ""), "node_modules/axe-core/axe.min.js")  # npm install axe-core
PASSWORD = "correct horse battery"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = three_phantoms(tmp_path)
    with_accounts(folder / "reviews.sqlite")
    return folder


def with_accounts(store: Path) -> None:
    database = Database(store)
    accounts = Accounts(database)
    for name, role in (("AB", "reader"), ("AD", "admin")):
        accounts.add(Account(name, role, subject=f"{name.lower()}@hospital.example"), password=PASSWORD, actor="set up")
    database.close()


def sign_in(page: object, name: str) -> None:
    page.get_by_label("Name").fill(name)  # type: ignore[attr-defined]
    page.get_by_label("Password").fill(PASSWORD)  # type: ignore[attr-defined]
    page.get_by_role("button", name="Sign in", exact=True).click()  # type: ignore[attr-defined]


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl (Debian package openssl)")
def test_the_command_serves_every_address_over_tls(
    tiny_cohort: Cohort, tiny_bundle: Path, runner: object, tmp_path: Path
) -> None:
    certificate, key, port = tmp_path / "server.pem", tmp_path / "server.key", free_port()
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=medfuse"]
    made += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(made, check=True, capture_output=True)
    (tmp_path / "reviews").mkdir()
    with_accounts(tmp_path / "reviews" / "reviews.sqlite")
    command = [sys.executable, "-m", "medfuse", "dashboard", "-b", str(tiny_bundle), "-c", str(tiny_cohort.folder)]
    command += ["--reviews", str(tmp_path / "reviews"), "--address", "0.0.0.0", "--port", str(port), "--no-browser"]
    command += ["--certificate", str(certificate), "--key", str(key)]
    log = tmp_path / "server.log"
    heard = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    heard += "from medfuse.cli import main; main()"
    with log.open("w") as stream:
        server = subprocess.Popen([sys.executable, "-c", heard, *command[3:]], stdout=stream, stderr=stream)
    trusted = ssl.create_default_context(cafile=str(certificate))
    try:
        up(port, server, log)
        health = f"https://127.0.0.1:{port}/_stcore/health"
        assert urllib.request.urlopen(health, timeout=10, context=trusted).read() == b"ok"
        with pytest.raises(ssl.SSLCertVerificationError):  # nobody is told to trust it who was not given it
            socket_of(port, ssl.create_default_context())
        with pytest.raises((urllib.error.URLError, ConnectionError)):  # nor is anything answered in the clear
            urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=10)
        socket.create_connection(("127.0.0.2", port), timeout=10).close()  # every address of this machine
        browser = runner.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-gpu"])  # type: ignore[attr-defined]
        page = browser.new_context(ignore_https_errors=True).new_page()
        page.goto(f"https://127.0.0.1:{port}/case")
        sign_in(page, "AB")
        page.get_by_role("button", name="Save").wait_for()
        (cookie,) = [one for one in page.context.cookies() if one["name"] == "medfuse_session"]
        assert (cookie["secure"], cookie["httpOnly"]) == (True, True)
        page.frame_locator("iframe[title*=medfuse_viewer]").first.locator("#viewer[data-lower]").wait_for()
        browser.close()
    finally:
        server.send_signal(signal.SIGINT)
        server.wait(60)
    told = log.read_text()
    assert f"https://127.0.0.1:{port}" in told
    assert "passwords travel readable" not in told


def up(port: int, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the port answers; the cases are classified before."""
    for _ in range(600):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert server.poll() is None, log.read_text()
            with pytest.raises(subprocess.TimeoutExpired):
                server.wait(0.2)
            continue
        return
    raise AssertionError(log.read_text())


def socket_of(port: int, context: ssl.SSLContext) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        context.wrap_socket(raw, server_hostname="127.0.0.1").close()


@pytest.mark.parametrize("dark", [False, True])
def test_the_pages_around_signing_in_keep_to_wcag(folder: Path, runner: object, dark: bool) -> None:
    axe = next((path for path in map(Path, AXE) if path.is_file()), None)
    if axe is None:
        pytest.skip("no axe-core (npm install axe-core, MEDFUSE_AXE=…/axe.min.js)")
    script = axe.read_text(encoding="utf-8")
    with serving(folder, "login") as port:
        visit = Visit(runner, port, dark=dark)
        page = visit.page
        # The sign-in page lets no script but its own run, so that axe is brought in from outside of it.
        session = page.context.new_cdp_session(page)
        session.send("Page.setBypassCSP", {"enabled": True})

        def check(what: str) -> None:
            page.evaluate(script)
            found = page.evaluate(
                "axe.run(document, {iframes: false, runOnly: ['wcag2a', 'wcag2aa', 'wcag21aa', 'wcag22aa']})"
            )
            told = [[one["id"], [node["target"] for node in one["nodes"]][:3]] for one in found["violations"]]
            assert not told, (what, told)

        visit.open("/")
        check("sign-in")
        page.get_by_label("Password").fill("wrong")
        page.get_by_label("Name").fill("AD")
        page.get_by_role("button", name="Sign in", exact=True).click()
        page.get_by_role("alert").wait_for()
        check("sign-in, refused")
        sign_in(page, "AD")
        page.get_by_role("heading", name="Worklist").wait_for()
        visit.settled()
        page.get_by_role("button", name="Saved views").click()
        page.get_by_label("Name of the view").fill("to look at")
        page.keyboard.press("Enter")
        visit.settled()
        check("saved views")
        for path in ("/studies", "/accounts", "/log", "/evaluation"):
            visit.open(path)
            visit.settled()
            check(path)
        visit.close()


def test_back_from_the_provider_one_is_where_one_was_going(folder: Path, runner: object) -> None:
    port = free_port()
    with openid_provider(folder, port) as at, serving(folder, "openid", port=port):
        visit = Visit(runner, port, also=f"http://127.0.0.1:{at}/")
        page = visit.page
        visit.open("/case?case=c-2")
        page.get_by_role("link", name="Sign in with OpenID Connect").click()
        page.get_by_placeholder("Enter any login").fill("ab")
        page.get_by_placeholder("and password").fill("anything")
        page.get_by_role("button", name="Sign-in").click()
        page.get_by_role("button", name="Continue").click()
        page.get_by_role("heading", name="c-2", exact=True).wait_for()
        assert page.url == f"{visit.address}/case?case=c-2"
        assert "medfuse_next" not in {one["name"] for one in page.context.cookies()}
        visit.open("/")  # from now on an address is what it says
        page.get_by_role("heading", name="Worklist").wait_for()
        visit.close()
