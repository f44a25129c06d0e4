from __future__ import annotations

from pathlib import Path

import pytest

from medfuse.review import launch, reach
from medfuse.review.access import Accounts
from medfuse.review.database import Database
from medfuse.review.desk import Places
from medfuse.review.reach import Reach
from medfuse.review.roles import AccessError, Account

AUTH = {
    "redirect_uri": "https://reads.example/oauth2callback",
    "cookie_secret": "x" * 32,
    "client_id": "medfuse",
    "client_secret": "y",
    "server_metadata_url": "https://idp.example/.well-known/openid-configuration",
}


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(Database(tmp_path / "reviews.sqlite"))


def toml(path: Path, **changed: str) -> Path:
    lines = [f'{name} = "{value}"' for name, value in (AUTH | changed).items() if value]
    path.write_text("\n".join(["[auth]", *lines]))
    return path


@pytest.mark.parametrize(
    ("where", "needs"),
    [("127.0.0.1", False), ("127.0.0.7", False), ("::1", False), ("0.0.0.0", True), ("::", True), ("192.0.2.7", True)],
)
def test_beyond_this_machine_a_login_is_needed(where: str, needs: bool) -> None:
    assert Reach(address=where).needs_login is needs
    assert Reach(address=where, login=True).needs_login


def test_nothing_is_served_to_others_without_accounts(accounts: Accounts) -> None:
    Reach().check(accounts)
    with pytest.raises(AccessError, match="medfuse review user add") as refused:
        Reach(address="0.0.0.0").check(accounts)
    assert "\n" not in str(refused.value)
    accounts.add(Account("AB", "reader"), password="correct horse battery", actor="x")
    Reach(address="0.0.0.0").check(accounts)
    accounts.change("AB", disabled=True, actor="x")
    with pytest.raises(AccessError, match="nobody could sign in"):
        Reach(login=True).check(accounts)


def test_who_signs_in_by_openid_alone_needs_a_provider(
    accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reach, "find_spec", lambda name: name)  # as if authlib were installed
    accounts.add(Account("AB", "reader", subject="ab@example.org"), actor="x")
    with pytest.raises(AccessError, match="nobody could sign in"):
        Reach(login=True).check(accounts)
    Reach(openid=toml(tmp_path / "secrets.toml")).check(accounts)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"client_id": "", "client_secret": ""}, "lacks client_id, client_secret"),
        ({"redirect_uri": "https://reads.example/"}, "oauth2callback"),
        ({"cookie_secret": "short and secret"}, "at least 32"),
    ],
)
def test_a_provider_that_is_set_up_wrongly_is_told_without_its_secrets(
    accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], told: str
) -> None:
    monkeypatch.setattr(reach, "find_spec", lambda name: name)
    with pytest.raises(AccessError, match=told) as refused:
        Reach(openid=toml(tmp_path / "secrets.toml", **changed)).check(accounts)
    assert "short and secret" not in str(refused.value)


def test_a_missing_package_or_file_is_told(accounts: Accounts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "find_spec", lambda _: None)
    with pytest.raises(AccessError, match=r"medfuse\[openid\]"):
        Reach(openid=toml(tmp_path / "secrets.toml")).check(accounts)
    monkeypatch.setattr(reach, "find_spec", lambda name: name)
    with pytest.raises(AccessError, match="cannot be read as TOML"):
        Reach(openid=tmp_path / "none.toml").check(accounts)
    with pytest.raises(AccessError, match="belong together"):
        Reach(certificate=tmp_path / "c.pem").check(accounts)
    with pytest.raises(AccessError, match="no such file"):
        Reach(certificate=tmp_path / "c.pem", key=tmp_path / "k.pem").check(accounts)
    with pytest.raises(AccessError, match="IP address"):
        Reach(address="reads.example").check(accounts)


def test_the_server_is_told_all_of_it(tmp_path: Path) -> None:
    places = Places(cohort=Path("c"), predictions=Path("p"), store="s", login=True, openid=True)
    given = Reach(address="0.0.0.0", openid=Path("o.toml"), certificate=Path("c.pem"), key=Path("k.pem"))
    command = launch.command(places, port=8443, reach=given)
    expected = ("--server.address 0.0.0.0", "--secrets.files o.toml", "--server.sslCertFile c.pem", "-- --cohort c")
    assert all(part in " ".join(command) for part in expected)
    assert "--server.allowedHosts" not in command
    assert Places.of_arguments(places.arguments()) == places
    assert given.url == "https://127.0.0.1"
