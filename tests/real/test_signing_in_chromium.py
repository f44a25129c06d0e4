"""Signing in, in a real browser: by password, and at a real OpenID provider; and what stays shut without it."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from medfuse.review import ReviewStore
from medfuse.review.access import Accounts
from medfuse.review.database import Database
from medfuse.review.log import newest
from medfuse.review.roles import Account
from medfuse.review.verify import verify
from tests.real.visit import CHROMIUM, Visit, free_port, openid_provider, serving, three_phantoms

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not CHROMIUM.exists(), reason="no /usr/bin/chromium (Debian package chromium)"),
]
PASSWORD = "correct horse battery"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three cases, and an account of each role."""
    folder = three_phantoms(tmp_path)
    database = Database(folder / "reviews.sqlite")
    accounts = Accounts(database)
    for name, role in (("AB", "reader"), ("EF", "arbiter"), ("AD", "admin"), ("AU", "auditor")):
        accounts.add(Account(name, role, subject=f"{name.lower()}@hospital.example"), password=PASSWORD, actor="set up")
    database.close()
    return folder


def sign_in(visit: Visit, name: str, password: str = PASSWORD) -> None:
    page = visit.page
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in", exact=True).click()


def links(visit: Visit) -> list[str]:
    visit.settled()
    return [one.strip() for one in visit.page.get_by_test_id("stSidebarNavLink").all_inner_texts()]


def test_passwords_roles_and_what_stays_shut(folder: Path, runner: object) -> None:
    with serving(folder, "login") as port:
        for path in ("/media/x.csv", "/_stcore/host-config", "/component/x"):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=10)
        with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:  # the pages' own connection
            raw.sendall(
                b"GET /_stcore/stream HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
            )
            assert b" 403 " in raw.recv(100)

        visit = Visit(runner, port)
        page = visit.page
        visit.open("/case?case=c-2")
        assert "/login?next=" in page.url
        visit.shot(folder / "signin.png")
        sign_in(visit, "AB", "wrong")
        page.get_by_role("alert").wait_for()
        sign_in(visit, "AB")
        page.get_by_role("heading", name="c-2", exact=True).wait_for()  # where the reader was going
        (cookie,) = [one for one in page.context.cookies() if one["name"] == "medfuse_session"]
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Lax")
        assert "Accounts" not in " ".join(links(visit))
        assert "Audit log" not in " ".join(links(visit))
        visit.open("/?reader=ZZ")  # a name in the address changes nothing
        page.get_by_text("reader", exact=False).first.wait_for()
        visit.open("/case?case=c-1&reader=ZZ")
        visit.decide("Accept")
        page.reload()
        page.get_by_text("AB accepted embolism").wait_for()
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Password").wait_for()
        visit.open("/case?case=c-1")
        assert "/login" in page.url

        sign_in(visit, "AU")
        page.get_by_role("heading", name="c-1", exact=True).wait_for()
        assert page.get_by_role("button", name="Save").count() == 0
        page.get_by_role("link", name="Audit log").click()
        page.get_by_role("button", name="Verify the log").click()
        page.get_by_text("The log is whole").wait_for()
        visit.shot(folder / "log.png")
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Password").wait_for()

        sign_in(visit, "AD")
        page.get_by_role("link", name="Accounts").click()
        page.get_by_role("heading", name="Make an account").wait_for()
        visit.settled()
        page.get_by_label("Name").first.fill("GH")
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_role("button", name="Make an account").click()
        page.get_by_text("The account is stored.").wait_for()
        assert page.get_by_label("Password", exact=True).input_value() == ""  # nobody else reads it off the page
        visit.shot(folder / "accounts.png")
        visit.close()
    database = Database(folder / "reviews.sqlite")
    assert "GH" in Accounts(database).can_sign_in(openid=False)
    told = [(one.actor, one.action) for one in reversed(newest(database))]
    assert [one for one in told if one[0] == "AB"][:2] == [("AB", "sign_in_failed"), ("AB", "sign_in")]
    assert ("AB", "accept") in told
    assert ("AU", "view") in told  # who only looks is written down too
    assert ("AU", "verify") in told
    assert verify(database).faults == ()


def test_a_page_that_is_left_alone_ends(folder: Path, runner: object) -> None:
    with serving(folder, "login") as port:
        visit = Visit(runner, port)
        visit.open("/case?case=c-1")
        sign_in(visit, "AB")
        visit.page.get_by_role("heading", name="c-1", exact=True).wait_for()
        database = Database(folder / "reviews.sqlite")
        Accounts(database).change("AB", disabled=True, actor="AD")
        visit.page.get_by_text("Your session is over").wait_for()  # without a click
        visit.settled()
        assert "Sudden pain" not in visit.page.content()
        assert visit.page.locator("iframe").count() == 0
        visit.close()


def test_openid_at_a_real_provider(folder: Path, runner: object) -> None:
    port = free_port()
    with openid_provider(folder, port) as at, serving(folder, "openid", port=port):
        visit = Visit(runner, port, also=f"http://127.0.0.1:{at}/")
        page = visit.page

        def log_in(name: str) -> None:
            page.get_by_role("link", name="Sign in with OpenID Connect").click()
            page.get_by_placeholder("Enter any login").fill(name)
            page.get_by_placeholder("and password").fill("anything")
            page.get_by_role("button", name="Sign-in").click()
            page.get_by_role("button", name="Continue").click()

        visit.open("/case?case=c-1")
        log_in("mallory")  # whom the provider knows and the dashboard does not
        page.get_by_text("no account belongs to this login").wait_for()
        page.context.clear_cookies()
        visit.open("/")
        log_in("ab")
        page.get_by_text("You have reviewed 0 of 3 cases.").wait_for()
        visit.open("/case?case=c-1")
        page.get_by_role("heading", name="c-1", exact=True).wait_for()
        visit.decide("Accept")
        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("button", name="Yes, sign me out").click()  # the provider's own question
        page.get_by_label("Password").wait_for()
        visit.open("/case?case=c-1")
        assert "/login" in page.url
        visit.close()
    store = ReviewStore(folder / "reviews.sqlite", cohort="three phantoms")
    (review,) = store.history("c-1")
    assert (review.reader, review.action) == ("AB", "accept")
    opened = [one for one in newest(store.database) if one.action == "sign_in"]
    assert [(one.actor, one.body["by"]) for one in opened] == [("AB", "openid")]
