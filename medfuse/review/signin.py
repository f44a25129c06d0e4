"""Signing in over HTTP: a page with a password form and a cookie, and a guard before everything else of the server.

The cookie holds the session's token and is out of reach of scripts; what a session may do is asked of `Accounts` anew
by every page. OpenID Connect is Streamlit's own (`st.login`): here stands only the way to it.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from medfuse.errors import MedfuseError
from medfuse.page import page
from medfuse.resources import shipped
from medfuse.review.access import Accounts
from medfuse.review.roles import AccessError
from medfuse.review.texts import Texts

if TYPE_CHECKING:
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send

COOKIE = "medfuse_session"
NEXT_COOKIE = "medfuse_next"  # where somebody was going who is at the provider now, which gives back no address
NEXT_SECONDS = 600
OPENID_COOKIE = "_streamlit_user"  # Streamlit's, signed; only pages can tell whether it is valid
LARGEST = 10_000  # bytes of a sign-in
_TOKEN = re.compile(r"[A-Za-z0-9_-]{43}")  # as `secrets.token_urlsafe(32)` makes it; never one of an OpenID login
# Nothing of patients, and needed before somebody is signed in.
_OPEN = ("/login", "/login/openid", "/_stcore/health", "/auth/logout", "/favicon.png")
_OPENID = ("/auth/login", "/oauth2callback")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",  # without any, browsers do not say where a form came from
    "X-Content-Type-Options": "nosniff",
}


def token_in(cookies: Mapping[str, str]) -> str:
    """The session's token among a browser's cookies; "" if there is none."""
    token = cookies.get(COOKIE, "")
    return token if _TOKEN.fullmatch(token) else ""


def inside(address: str) -> str:
    """Where to go after signing in: a path of this server; "/" for anything else."""
    if not address.isprintable() or "\\" in address or not address.startswith("/") or address.startswith("//"):
        return "/"
    return "/" if urlsplit(address).path.startswith(("/login", "/auth", "/oauth2callback")) else address


def routes(accounts: Accounts, *, openid: bool) -> list[Route]:
    """The addresses `/login` and, with OpenID Connect, `/login/openid`.

    Args:
        accounts: Who may sign in.
        openid: Whether Streamlit was given a provider.
    """
    from starlette.concurrency import run_in_threadpool
    from starlette.responses import PlainTextResponse, RedirectResponse
    from starlette.routing import Route

    async def show(request: Request) -> Response:
        return _form(request, openid=openid, to=inside(request.query_params.get("next", "/")))

    async def sign_in(request: Request) -> Response:
        if not _same_site(request):
            return PlainTextResponse("This form was sent from another site.", 403)
        given = await _fields(request)
        to = inside(given.get("next", "/"))
        try:
            # A password's hash takes as long as it does on purpose, so others go on meanwhile.
            token = await run_in_threadpool(accounts.sign_in, given.get("name", "").strip(), given.get("password", ""))
        except MedfuseError as error:
            fault = "signin_refused" if isinstance(error, AccessError) else "signin_broken"
            return _form(request, openid=openid, to=to, fault=fault, name=given.get("name", ""))
        answer = RedirectResponse(to, 303, headers={"Cache-Control": "no-store"})
        answer.set_cookie(COOKIE, token, httponly=True, samesite="lax", secure=request.url.scheme == "https")
        return answer

    async def to_provider(request: Request) -> Response:
        from streamlit.user_info import generate_login_redirect_url  # what `st.login` sends the browser to

        to = inside(request.query_params.get("next", "/"))
        answer = RedirectResponse(generate_login_redirect_url("default"), 303, headers={"Cache-Control": "no-store"})
        secure = request.url.scheme == "https"
        answer.set_cookie(NEXT_COOKIE, quote(to), NEXT_SECONDS, httponly=True, samesite="lax", secure=secure)
        return answer

    found = [Route("/login", show, methods=["GET"]), Route("/login", sign_in, methods=["POST"])]
    return [*found, Route("/login/openid", to_provider, methods=["GET"])] if openid else found


class Guard:
    """Lets nothing through without a session, but for what signing in needs; pages are sent to `/login`.

    With OpenID Connect it lets through who has Streamlit's cookie: the page then finds out whether that is valid.
    """

    def __init__(self, app: ASGIApp, *, accounts: Accounts, openid: bool) -> None:
        self._app = app
        self._accounts = accounts
        self._openid = openid

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI request."""
        from starlette.concurrency import run_in_threadpool
        from starlette.requests import HTTPConnection
        from starlette.responses import PlainTextResponse, RedirectResponse
        from starlette.websockets import WebSocket

        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        cookies = HTTPConnection(scope).cookies
        if (
            scope["type"] == "http"
            and self._openid
            and path == "/"
            and OPENID_COOKIE in cookies
            and NEXT_COOKIE in cookies
        ):
            # Back from the provider. The page asked for then finds out whether the login is valid.
            back = RedirectResponse(inside(unquote(cookies[NEXT_COOKIE])), 303, headers={"Cache-Control": "no-store"})
            back.delete_cookie(NEXT_COOKIE)
            await back(scope, receive, send)
            return
        free = path in _OPEN or path.startswith("/static/") or (self._openid and path in _OPENID)
        if free or (self._openid and OPENID_COOKIE in cookies) or await run_in_threadpool(self._signed_in, cookies):
            await self._app(scope, receive, send)
            return
        if scope["type"] == "websocket":
            await WebSocket(scope, receive, send).close(1008)
            return
        asked = f"{path}?{scope['query_string'].decode('latin-1')}" if scope["query_string"] else path
        wants_page = scope["method"] == "GET" and not path.startswith(("/_stcore", "/media", "/component"))
        answer: Response = PlainTextResponse("Sign in first.", 403)
        if wants_page:
            answer = RedirectResponse(f"/login?{urlencode({'next': inside(asked)})}", 303)
            answer.headers["Cache-Control"] = "no-store"
        await answer(scope, receive, send)

    def _signed_in(self, cookies: Mapping[str, str]) -> bool:
        token = token_in(cookies)
        try:
            return bool(token) and self._accounts.of_token(token) is not None
        except MedfuseError:
            return False


def guarded(accounts: Accounts, *, openid: bool) -> dict[str, Any]:
    """Routes and middleware for `st.App`."""
    from starlette.middleware import Middleware

    guard: list[Middleware] = [Middleware(Guard, accounts=accounts, openid=openid)]
    return {"routes": routes(accounts, openid=openid), "middleware": guard}


def _form(request: Request, *, openid: bool, to: str, fault: str = "", name: str = "") -> Response:
    from starlette.responses import HTMLResponse

    german = request.headers.get("accept-language", "").lower().startswith("de")
    texts = Texts("de" if german else "en")
    folder = shipped("dashboard")
    values = {
        "language": texts.language,
        "t": texts,
        "mark": b64encode((folder / "mark.svg").read_bytes()).decode(),
        "openid": openid,
        "to": to,
        "fault": fault,
        "name": name,
    }
    return HTMLResponse(page(folder / "signin.html.j2", values), 401 if fault else 200, headers=_HEADERS)


def _same_site(request: Request) -> bool:
    """Whether a form was sent by a page of this server: browsers say where it came from."""
    origin = request.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == request.headers.get("host")


async def _fields(request: Request) -> dict[str, str]:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST:
            return {}
    found = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=10)
    return {name: values[0] for name, values in found.items()}
