"""From where the dashboard can be reached, and what that needs: beyond this machine, accounts."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

from medfuse.review.access import Accounts
from medfuse.review.roles import AccessError

HERE = "127.0.0.1"
SHORTEST_SECRET = 32  # characters of the secret that signs OpenID cookies
_OPENID = ("redirect_uri", "cookie_secret", "client_id", "client_secret", "server_metadata_url")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach:
    """From where the dashboard can be reached.

    Attributes:
        address: The IP address that the server listens on.
        login: Whether a login is asked for on this machine too, as behind a proxy that others reach.
        openid: The TOML file with Streamlit's `[auth]`; None signs in by password alone.
        certificate: The server's TLS certificate, PEM; None leaves encryption to a proxy.
        key: Its private key, PEM.
    """

    address: str = HERE
    login: bool = False
    openid: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @property
    def local(self) -> bool:
        """Whether only this machine reaches the server."""
        return ip_address(self.address).is_loopback

    @property
    def needs_login(self) -> bool:
        """Whether a login is asked for."""
        return self.login or self.openid is not None or not self.local

    def check(self, accounts: Accounts) -> None:
        """Refuse what would be open to others, or closed to everybody.

        Args:
            accounts: Those of the store.

        Raises:
            AccessError: If so, in one line that says what to do.
        """
        try:
            ip_address(self.address)
        except ValueError:
            message = "--address is an IP address such as 192.0.2.7, or 0.0.0.0 for all of this machine's"
            raise AccessError(message) from None
        if (self.certificate is None) != (self.key is None):
            message = "--certificate and --key belong together"
            raise AccessError(message)
        for path in (self.certificate, self.key):
            if path is not None and not path.is_file():
                message = f"{path}: no such file"
                raise AccessError(message)
        if not self.needs_login:
            return
        if self.openid is not None:
            _check_openid(self.openid)
        if not accounts.can_sign_in(openid=self.openid is not None):
            message = (
                f"nobody could sign in, and without accounts the dashboard is served on {HERE} only: make one with "
                "`medfuse review user add STORE NAME`"
            )
            raise AccessError(message)

    def options(self) -> dict[str, str]:
        """Streamlit's options."""
        found = {"server.address": self.address}
        if self.certificate is not None and self.key is not None:
            found |= {"server.sslCertFile": str(self.certificate), "server.sslKeyFile": str(self.key)}
        return found | ({"secrets.files": str(self.openid)} if self.openid is not None else {})

    @property
    def url(self) -> str:
        """Where a browser of this machine finds it, without the port."""
        host = HERE if ip_address(self.address).is_unspecified else self.address
        return f"{'https' if self.certificate else 'http'}://{f'[{host}]' if ':' in host else host}"


def _check_openid(path: Path) -> None:
    """That the file has what Streamlit's login needs; its values are told to nobody."""
    for package in ("authlib", "httpx"):
        if find_spec(package) is None:
            message = f"OpenID Connect needs {package}: `pip install 'medfuse[openid]'`"
            raise AccessError(message)
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8")).get("auth")
    except (OSError, ValueError) as error:
        message = f"{path}: cannot be read as TOML; it holds a section [auth] with {', '.join(_OPENID)}"
        raise AccessError(message) from error
    given = given if isinstance(given, dict) else {}
    missing = [name for name in _OPENID if not isinstance(given.get(name), str)]
    if missing:
        message = f"{path}: the section [auth] lacks {', '.join(missing)}"
        raise AccessError(message)
    if not given["redirect_uri"].endswith("/oauth2callback"):
        message = f"{path}: redirect_uri is the dashboard's address followed by /oauth2callback"
        raise AccessError(message)
    if len(given["cookie_secret"]) < SHORTEST_SECRET:
        message = f"{path}: cookie_secret has at least {SHORTEST_SECRET} random characters"
        raise AccessError(message)
