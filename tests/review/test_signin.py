from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from time import sleep
from urllib.parse import urlencode

import pytest
import uvicorn
from argon2 import PasswordHasher
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from medfuse.review.access import Accounts
from medfuse.review.database import Database
from medfuse.review.roles import Account
from medfuse.review.signin import COOKIE, NEXT_COOKIE, OPENID_COOKIE, guarded, inside, token_in

PASSWORD = "correct horse battery"


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("of patients")


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    made = Accounts(Database(tmp_path / "reviews.sqlite"))
    made._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # the same in less time
    made.add(Account("AB", "reader"), password=PASSWORD, actor="boss")
    return made


@pytest.fixture(params=[False, True], ids=["password", "openid"])
def port(accounts: Accounts, request: pytest.FixtureRequest) -> Iterator[int]:
    """A server with a page of patients behind the guard."""
    given = guarded(accounts, openid=request.param)
    app = Starlette(routes=[*given["routes"], Route("/{path:path}", page)], middleware=given["middleware"])
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        sleep(0.01)
    yield port
    server.should_exit = True
    thread.join(10)


def ask(port: int, path: str, *, form: dict[str, str] | None = None, **headers: str) -> tuple[int, dict[str, str], str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET" if form is None else "POST", path, None if form is None else urlencode(form), headers)
    answer = connection.getresponse()
    told = {name.lower(): value for name, value in answer.getheaders()}
    return answer.status, told, answer.read().decode()


def test_without_a_session_nothing_of_patients_is_told(port: int) -> None:
    for path in ("/", "/case?case=c-1", "/media/x.csv", "/_stcore/upload_file/x", "/_stcore/healthy/../stream"):
        assert "of patients" not in ask(port, path)[2]
    status, headers, _ = ask(port, "/case?case=c-1")
    assert (status, headers["location"]) == (303, "/login?next=%2Fcase%3Fcase%3Dc-1")
    for cookie in ("", "x" * 43, '["iss","sub","1","n"]'):
        assert "of patients" not in ask(port, "/", Cookie=f"{COOKIE}={cookie}")[2]


def test_a_password_opens_a_session_that_scripts_cannot_read(port: int, accounts: Accounts) -> None:
    form = {"name": "AB", "password": PASSWORD, "next": "/case?case=c-1"}
    status, headers, _ = ask(port, "/login", form=form)
    assert (status, headers["location"]) == (303, "/case?case=c-1")
    assert "HttpOnly" in headers["set-cookie"]
    assert "samesite=lax" in headers["set-cookie"].lower()
    cookie = headers["set-cookie"].split(";")[0]
    assert ask(port, "/case", Cookie=cookie)[2] == "of patients"
    accounts.sign_out(cookie.removeprefix(f"{COOKIE}="))
    assert "of patients" not in ask(port, "/case", Cookie=cookie)[2]


def test_a_wrong_password_is_told_and_nothing_given_is_html(port: int) -> None:
    status, headers, text = ask(port, "/login", form={"name": '"><script>', "password": "x", "next": '"><b>'})
    assert (status, "set-cookie" in headers) == (401, False)
    assert "not right" in text
    assert "<script>" not in text
    assert "<b>" not in text
    assert headers["content-security-policy"].startswith("default-src 'none'")


def test_forms_of_other_sites_and_endless_ones_are_refused(port: int) -> None:
    form = {"name": "AB", "password": PASSWORD}
    assert ask(port, "/login", form=form, Origin="https://evil.example")[0] == 403
    assert ask(port, "/login", form=form, Origin=f"http://127.0.0.1:{port}")[0] == 303
    assert ask(port, "/login", form=form | {"more": "x" * 20_000})[0] == 401


def test_the_page_speaks_the_browsers_language(port: int) -> None:
    assert 'lang="de"' in ask(port, "/login", **{"Accept-Language": "de-AT,en"})[2]
    assert 'lang="en"' in ask(port, "/login")[2]


@pytest.mark.parametrize(
    "address",
    [
        "//evil.example",
        "https://evil.example",
        "\\\\evil.example",
        "/\\evil.example",
        "javascript:x",
        "",
        "/login?next=/",
        "/login/openid?next=/",
        "/auth/logout",
        "/\tevil.example",
    ],
)
def test_signing_in_leads_to_no_other_site(address: str) -> None:
    assert inside(address) == "/"
    assert inside("/case?case=a") == "/case?case=a"


@pytest.mark.parametrize("port", [True], ids=["openid"], indirect=True)
def test_who_comes_back_from_the_provider_is_led_on_once(port: int) -> None:
    """Streamlit itself leads to `/`; its cookie stands for a login that pages have yet to find valid."""
    came = f"{OPENID_COOKIE}=signed; {NEXT_COOKIE}=%2Fcase%3Fcase%3Dc-2%26study%3DS"
    status, headers, text = ask(port, "/", Cookie=came)
    assert (status, headers["location"], text) == (303, "/case?case=c-2&study=S", "")
    assert headers["set-cookie"].startswith(f'{NEXT_COOKIE}=""; ')
    assert "Max-Age=0" in headers["set-cookie"]
    assert ask(port, "/case", Cookie=came)[0] == 200  # only the way back leads on
    for elsewhere in ("https%3A%2F%2Fevil.example", "%2F%2Fevil.example", "%2F%5Cevil.example", "%2Flogin", "%0d%0a"):
        _, headers, _ = ask(port, "/", Cookie=f"{OPENID_COOKIE}=signed; {NEXT_COOKIE}={elsewhere}")
        assert headers["location"] == "/"
    assert "/login?" in ask(port, "/", Cookie=f"{NEXT_COOKIE}=%2Fcase")[1]["location"]  # who did not come back
    assert 'href="/login/openid?next=/case%3Fcase%3Dc-1"' in ask(port, "/login?next=%2Fcase%3Fcase%3Dc-1")[2]


def test_only_a_token_of_ours_is_read_from_a_cookie() -> None:
    assert token_in({COOKIE: "a" * 43}) == "a" * 43
    assert token_in({COOKIE: '["iss","sub"]'}) == token_in({}) == ""
