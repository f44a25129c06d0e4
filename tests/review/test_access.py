from __future__ import annotations

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from medfuse.review.access import FAILURES, IDLE, LOCKED, LONGEST, Accounts
from medfuse.review.database import Database
from medfuse.review.decision import ReviewError
from medfuse.review.roles import PERMISSIONS, AccessError, Account, Visitor
from medfuse.review.verify import verify

PASSWORD = "correct horse battery"


class Clock:
    def __init__(self) -> None:
        self.time = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def accounts(tmp_path: Path, clock: Clock) -> Accounts:
    made = Accounts(Database(tmp_path / "reviews.sqlite"), now=clock)
    made._hasher = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # the same in less time
    made.add(Account("AB", "reader"), password=PASSWORD, actor="boss")
    return made


def test_signing_in_and_out(where: str) -> None:
    database = Database(where)
    accounts = Accounts(database)
    accounts.add(Account("AB", "reader"), password=PASSWORD, actor="boss")
    token = accounts.sign_in("AB", PASSWORD)
    assert accounts.of_token(token) == Account("AB", "reader")
    assert accounts.of_token(token + "x") is accounts.of_token("") is accounts.of_token("\ud800") is None
    assert Accounts(Database(where)).of_token(token) == Account("AB", "reader")
    accounts.sign_out(token)
    assert accounts.of_token(token) is None
    assert verify(database).faults == ()
    database.close()


def test_neither_password_nor_token_is_stored(accounts: Accounts, tmp_path: Path) -> None:
    token = accounts.sign_in("AB", PASSWORD)
    with pytest.raises(AccessError):
        accounts.sign_in("AB", "a wrong password")
    with sqlite3.connect(tmp_path / "reviews.sqlite") as raw:
        whole = "\n".join(raw.iterdump())
    assert "$argon2id$" in whole
    assert not [secret for secret in (PASSWORD, token, "a wrong password") if secret in whole]


@pytest.mark.parametrize(("name", "password"), [("AB", "x"), ("AB", ""), ("ZZ", PASSWORD), ("", ""), ("AB", "\ud800")])
def test_a_wrong_name_or_password_is_told_alike(accounts: Accounts, name: str, password: str) -> None:
    with pytest.raises(AccessError, match="the name or the password is not right"):
        accounts.sign_in(name, password)


def test_too_many_failures_lock_for_a_while(accounts: Accounts, clock: Clock) -> None:
    for _ in range(FAILURES - 1):
        with pytest.raises(AccessError):
            accounts.sign_in("AB", "wrong")
    accounts.sign_in("AB", PASSWORD)  # a sign-in forgives
    for _ in range(FAILURES):
        with pytest.raises(AccessError):
            accounts.sign_in("AB", "wrong")
    with pytest.raises(AccessError):
        accounts.sign_in("AB", PASSWORD)
    clock.time += LOCKED + timedelta(seconds=1)
    assert accounts.sign_in("AB", PASSWORD)


def test_a_session_ends_unused_and_after_a_shift(accounts: Accounts, clock: Clock) -> None:
    token = accounts.sign_in("AB", PASSWORD)
    for _ in range(3):
        clock.time += IDLE - timedelta(seconds=1)
        assert accounts.of_token(token)
    clock.time += IDLE + timedelta(seconds=1)
    assert accounts.of_token(token) is None
    clock.time -= IDLE
    assert accounts.of_token(token) is None  # over for good
    token = accounts.sign_in("AB", PASSWORD)
    for _ in range(LONGEST // IDLE):
        clock.time += IDLE - timedelta(seconds=1)
        assert accounts.of_token(token)
    clock.time += timedelta(minutes=2)
    assert accounts.of_token(token) is None


def test_who_is_disabled_or_has_a_new_password_is_signed_out(accounts: Accounts) -> None:
    token = accounts.sign_in("AB", PASSWORD)
    accounts.change("AB", password="another long one", actor="boss")
    assert accounts.of_token(token) is None
    token = accounts.sign_in("AB", "another long one")
    accounts.change("AB", disabled=True, actor="boss")
    assert accounts.of_token(token) is None
    with pytest.raises(AccessError):
        accounts.sign_in("AB", "another long one")
    assert accounts.all() == (Account("AB", "reader", disabled=True),)
    accounts.change("AB", disabled=False, role="auditor", actor="boss")
    assert accounts.of_token(accounts.sign_in("AB", "another long one")) == Account("AB", "auditor")


def test_a_session_that_was_planted_in_the_database_opens_nothing(accounts: Accounts, tmp_path: Path) -> None:
    token = accounts.sign_in("AB", PASSWORD)
    import hashlib

    planted = hashlib.sha256(b"mine").hexdigest()
    with sqlite3.connect(tmp_path / "reviews.sqlite") as raw:
        raw.execute("UPDATE sessions SET token = ?", (planted,))
    assert accounts.of_token("mine") is None
    assert accounts.of_token(token) is None


def test_openid_logins_find_their_account(accounts: Accounts) -> None:
    accounts.add(Account("CD", "arbiter", subject="https://idp.example/ 42"), actor="boss")
    accounts.add(Account("EF", "admin", subject="Eve@Example.org"), actor="boss")
    issuer = {"iss": "https://idp.example/"}
    assert accounts.of_claims(issuer | {"sub": "42"}).name == "CD"
    assert accounts.of_claims({"iss": "https://other.example/", "sub": "42"}) is None
    assert accounts.of_claims({"sub": "9", "email": "eve@example.org", "email_verified": True}).name == "EF"
    for verified in (False, None, "true"):  # anybody could have typed it
        assert accounts.of_claims({"sub": "9", "email": "eve@example.org", "email_verified": verified}) is None
    assert accounts.of_claims({}) is accounts.of_claims({"sub": ""}) is None  # and not the account without a subject
    assert accounts.of_token(accounts.sign_in_with(issuer | {"sub": "42"})).role == "arbiter"
    accounts.change("CD", disabled=True, actor="boss")
    with pytest.raises(AccessError, match="no account belongs"):
        accounts.sign_in_with(issuer | {"sub": "42"})


@pytest.mark.parametrize(
    ("account", "password", "told"),
    [
        (Account("AB", "reader"), PASSWORD, "already"),
        (Account("", "reader"), PASSWORD, "one line"),
        (Account("A\nB", "reader"), PASSWORD, "one line"),
        (Account("CD", "king"), PASSWORD, "one of reader"),
        (Account("CD", "reader"), "short", "at least 12"),
        (Account("CD", "reader"), "", "password or an OpenID subject"),
    ],
)
def test_accounts_that_are_not_valid_are_refused(
    accounts: Accounts, account: Account, password: str, told: str
) -> None:
    with pytest.raises(ReviewError, match=told):
        accounts.add(account, password=password, actor="boss")


def test_two_accounts_do_not_share_a_subject(accounts: Accounts) -> None:
    accounts.add(Account("CD", "reader", subject="cd@example.org"), actor="boss")
    with pytest.raises(ReviewError, match="already"):
        accounts.add(Account("EF", "admin", subject="CD@example.org"), actor="boss")
    with pytest.raises(ReviewError, match="no account"):
        accounts.change("ZZ", actor="boss", disabled=True)


def test_roles_may_what_the_table_says() -> None:
    assert Account("AB", "reader").may("read")
    assert not Account("AB", "reader", disabled=True).may("read")
    Account("AB", "auditor").require("verify")
    for role in PERMISSIONS:  # nobody both reads and sees what others decided
        assert not {"read", "see_all"} <= PERMISSIONS[role]
    with pytest.raises(AccessError, match="needs the permission 'accounts'"):
        Account("AB", "arbiter").require("accounts")


def test_a_visitor_without_an_account_may_do_all_and_one_with_it_what_the_account_may() -> None:
    assert Visitor("AB").may("accounts")
    Visitor("AB").require("backup")
    assert not Visitor("AB", Account("AB", "reader")).may("accounts")
    with pytest.raises(AccessError):
        Visitor("AB", Account("AB", "reader")).require("export")


def test_an_openid_login_opens_one_session_only(accounts: Accounts, clock: Clock) -> None:
    accounts.add(Account("CD", "reader", subject="https://idp.example/ 42"), actor="boss")
    login = {"iss": "https://idp.example/", "sub": "42", "iat": 1000, "nonce": "a"}
    token = accounts.sign_in_with(login)
    assert accounts.sign_in_with(login) == token  # a reload
    clock.time += IDLE + timedelta(seconds=1)
    assert accounts.of_token(token) is None
    with pytest.raises(AccessError, match="sign in again"):
        accounts.sign_in_with(login)
    assert accounts.of_token(accounts.sign_in_with(login | {"iat": 2000, "nonce": "b"})).name == "CD"


def test_looking_at_a_session_does_not_keep_it_open(accounts: Accounts, clock: Clock) -> None:
    token = accounts.sign_in("AB", PASSWORD)
    for _ in range(3):
        clock.time += IDLE / 3
        assert accounts.of_token(token, used=False)
    clock.time += timedelta(seconds=1)
    assert accounts.of_token(token, used=False) is None
