"""Who may sign in: accounts with a role and a password or an OpenID subject, and sessions that end by themselves."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, false, func, insert, select, update

from medfuse.review.chain import Entry, append, canonical, entry_of, lock
from medfuse.review.database import Database
from medfuse.review.decision import NAME_LIMIT, ReviewError
from medfuse.review.roles import PERMISSIONS, AccessError, Account, Role
from medfuse.review.schema import ACCOUNTS, ENTRIES, SESSIONS
from medfuse.review.verify import account_digest

if TYPE_CHECKING:
    from argon2 import PasswordHasher

SHORTEST = 12  # characters of a password
FAILURES, LOCKED = 5, timedelta(minutes=15)  # so many wrong passwords within this time, and none is tried for as long
IDLE, LONGEST = timedelta(minutes=15), timedelta(hours=12)  # a session ends after this time unused, and after this one
_TOUCH = timedelta(seconds=30)  # how often the use of a session is written down
OVER = "this login is over; sign in again"
_REFUSED = (
    f"the name or the password is not right; after {FAILURES} wrong ones no more is tried for "
    f"{LOCKED.seconds // 60} minutes"
)


class Accounts:
    """The accounts and sessions of a store; every change and every sign-in is an entry of its log.

    Args:
        database: The store.
        idle: How long a session may be unused.
        longest: How long it may last.
        now: The time, UTC.
    """

    def __init__(
        self,
        database: Database,
        *,
        idle: timedelta = IDLE,
        longest: timedelta = LONGEST,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._idle = idle
        self._longest = longest
        self._now = now

    def all(self) -> tuple[Account, ...]:
        """Every account, by name."""
        with self._reading() as connection:
            rows = connection.execute(select(ACCOUNTS).order_by(ACCOUNTS.c.name)).mappings().all()
        return tuple(_account_of(row) for row in rows)

    def can_sign_in(self, *, openid: bool) -> tuple[str, ...]:
        """Names of those who can sign in: by password, and with `openid` also by their subject."""
        by = (ACCOUNTS.c.password != "") | ((ACCOUNTS.c.subject != "") if openid else false())
        with self._reading() as connection:
            names = connection.execute(select(ACCOUNTS.c.name).where(by, ACCOUNTS.c.disabled.is_(false())))
            return tuple(names.scalars())

    def add(self, account: Account, *, password: str = "", actor: str) -> None:
        """Make an account.

        Args:
            account: Who; with a subject, or a password, or both.
            password: At least `SHORTEST` characters; kept as its argon2id hash alone.
            actor: Who makes it.

        Raises:
            ReviewError: If it is not valid, or there is one of the name or subject.
        """
        name = account.name
        faults = {
            f"the name is one line of 1 to {NAME_LIMIT} characters": (
                not name.strip() or name != name.strip() or not name.isprintable() or len(name) > NAME_LIMIT
            ),
            f"the role is one of {', '.join(PERMISSIONS)}": account.role not in PERMISSIONS,
            "the subject is one line": not account.subject.isprintable() or len(account.subject) > 400,
            "an account needs a password or an OpenID subject": not password and not account.subject,
            f"a password has at least {SHORTEST} characters": bool(password) and len(password) < SHORTEST,
        }
        for fault, present in faults.items():
            if present:
                raise ReviewError(fault)
        row = asdict(account) | {"subject": _subject(account.subject), "password": self._hash(password)}
        with self._database.writing("the account was not stored") as connection:
            head = lock(connection)
            same = (ACCOUNTS.c.name == name) | ((ACCOUNTS.c.subject == row["subject"]) & (ACCOUNTS.c.subject != ""))
            if connection.execute(select(ACCOUNTS.c.name).where(same)).first():
                message = "there is an account of this name or subject already"
                raise ReviewError(message)
            connection.execute(insert(ACCOUNTS).values(**row))
            append(connection, head, _change(row, actor))

    def change(
        self,
        name: str,
        *,
        actor: str,
        role: Role | None = None,
        password: str | None = None,
        disabled: bool | None = None,
    ) -> None:
        """Change an account; who is disabled, or has a new password, is signed out everywhere.

        Raises:
            ReviewError: If there is no such account, or the change is not valid.
        """
        if password is not None and len(password) < SHORTEST:
            message = f"a password has at least {SHORTEST} characters"
            raise ReviewError(message)
        if role is not None and role not in PERMISSIONS:
            message = f"the role is one of {', '.join(PERMISSIONS)}"
            raise ReviewError(message)
        new = {"role": role, "disabled": disabled, "password": self._hash(password) if password else None}
        new = {column: value for column, value in new.items() if value is not None}
        with self._database.writing("the account was not changed") as connection:
            head = lock(connection)
            row = connection.execute(select(ACCOUNTS).where(ACCOUNTS.c.name == name)).mappings().one_or_none()
            if row is None:
                message = "there is no account of this name"
                raise ReviewError(message)
            if new:
                connection.execute(update(ACCOUNTS).where(ACCOUNTS.c.name == name).values(**new))
            if disabled or password:
                mine = select(ENTRIES.c.number).where(ENTRIES.c.actor == name, ENTRIES.c.action == "sign_in")
                connection.execute(delete(SESSIONS).where(SESSIONS.c.entry.in_(mine)))
            append(connection, head, _change(dict(row) | new, actor))

    def sign_in(self, name: str, password: str) -> str:
        """Open a session.

        Returns:
            Its token; a secret that is stored nowhere, for `of_token`.

        Raises:
            AccessError: If the name or password is wrong, or there were `FAILURES` wrong ones; it does not say which.
        """
        with self._reading() as connection:
            row = connection.execute(select(ACCOUNTS).where(ACCOUNTS.c.name == name)).mappings().one_or_none()
            locked = row is not None and self._locked(connection, name)
        # As long for a name that does not exist, so that the time does not tell.
        fits = self._fits(row["password"] if row and not locked else "", password)
        with self._database.writing("the sign-in was not stored") as connection:
            head = lock(connection)
            # Asked again, since others may have tried meanwhile.
            if row is None or not fits or row["disabled"] or self._locked(connection, name):
                if row is not None and not locked:
                    append(connection, head, Entry(actor=name, action="sign_in_failed"), at=self._now())
                token = ""
            else:
                token = self._open(connection, name, by="password")
        if not token:
            raise AccessError(_REFUSED)
        return token

    def sign_in_with(self, claims: Mapping[str, Any]) -> str:
        """The session of who was signed in by the OpenID provider; each login opens one, once.

        A browser keeps its login for longer than a session may last, so a login whose session is over opens no other.

        Args:
            claims: Of the verified ID token, as Streamlit's `st.user` holds them.

        Returns:
            The session's token.

        Raises:
            AccessError: If no account has this subject, or the login's session is over.
        """
        account = self.of_claims(claims)
        if account is None:
            message = "no account belongs to this login; an admin can make one with `medfuse review user add --subject`"
            raise AccessError(message)
        token = canonical([str(claims.get(name, "")) for name in ("iss", "sub", "iat", "nonce")])
        with self._reading() as connection:
            if connection.execute(select(SESSIONS.c.token).where(SESSIONS.c.token == _digest(token))).first():
                return token
        with self._database.writing("the sign-in was not stored") as connection:
            lock(connection)
            if connection.execute(select(ENTRIES.c.number).where(ENTRIES.c.key == _digest(token))).first():
                raise AccessError(OVER)
            return self._open(connection, account.name, by="openid", token=token)

    def of_claims(self, claims: Mapping[str, Any]) -> Account | None:
        """The account of an OpenID login: by issuer and subject, else by an e-mail address that was verified."""
        names = [_subject(f"{claims.get('iss', '')} {claims.get('sub', '')}")] if claims.get("sub") else []
        if claims.get("email") and claims.get("email_verified") is True:
            names.append(_subject(str(claims["email"])))
        with self._reading() as connection:
            for name in names:
                row = connection.execute(select(ACCOUNTS).where(ACCOUNTS.c.subject == name)).mappings().one_or_none()
                if row is not None:
                    return None if row["disabled"] else _account_of(row)
        return None

    def of_token(self, token: str, *, used: bool = True) -> Account | None:
        """Whose session this is; None if there is none, it was unused or lasted for too long, or the account is off.

        Args:
            token: Of `sign_in` or `sign_in_with`.
            used: Whether this is a use of the session; a page that only looks whether it still may be shown is none.
        """
        digest, now = _digest(token), self._now()
        query = (
            select(SESSIONS.c.seen_at, ENTRIES)
            .join(ENTRIES, ENTRIES.c.number == SESSIONS.c.entry)
            .where(SESSIONS.c.token == digest)
        )
        with self._reading() as connection:
            row = connection.execute(query).mappings().one_or_none()
            if row is None:
                return None
            entry = entry_of(row)
            mine = select(ACCOUNTS).where(ACCOUNTS.c.name == entry.actor)
            account = connection.execute(mine).mappings().one_or_none()
        seen, opened = datetime.fromisoformat(row["seen_at"]), entry.at or now
        fits = entry.action == "sign_in" and entry.body.get("token") == digest
        if now - seen > self._idle or now - opened > self._longest or not fits:
            self.sign_out(token)
            return None
        if account is None or account["disabled"]:
            return None
        if used and now - seen > _TOUCH:
            with self._database.writing("the session was not stored") as connection:
                touched = update(SESSIONS).where(SESSIONS.c.token == digest)
                connection.execute(touched.values(seen_at=now.isoformat(timespec="microseconds")))
        return _account_of(account)

    def sign_out(self, token: str) -> None:
        """End a session; nothing happens if there is none."""
        digest = _digest(token)
        with self._database.writing("the sign-out was not stored") as connection:
            head = lock(connection)
            whose = select(ENTRIES.c.actor).join(SESSIONS, SESSIONS.c.entry == ENTRIES.c.number)
            name = connection.execute(whose.where(SESSIONS.c.token == digest)).scalar_one_or_none()
            if name is not None:
                connection.execute(delete(SESSIONS).where(SESSIONS.c.token == digest))
                append(connection, head, Entry(actor=name, action="sign_out"), at=self._now())

    def _reading(self) -> Any:
        return self._database.reading(f"{self._database.where}: the accounts cannot be read")

    def _open(self, connection: Connection, name: str, *, by: str, token: str = "") -> str:
        """A session of this token, or of one that is drawn."""
        key, now = _digest(token) if token else None, self._now()
        token = token or secrets.token_urlsafe(32)
        body = {"token": _digest(token), "by": by}
        signed = Entry(actor=name, action="sign_in", key=key, body=body)
        entry, _ = append(connection, lock(connection), signed, at=now)
        row = {"token": body["token"], "entry": entry.number, "seen_at": now.isoformat(timespec="microseconds")}
        connection.execute(insert(SESSIONS).values(**row))
        return token

    def _locked(self, connection: Connection, name: str) -> bool:
        """Whether there were too many failures since the last sign-in."""
        since = select(func.max(ENTRIES.c.number)).where(ENTRIES.c.actor == name, ENTRIES.c.action == "sign_in")
        last = connection.execute(since).scalar() or 0
        failed = select(func.count()).where(ENTRIES.c.actor == name, ENTRIES.c.action == "sign_in_failed")
        recent = (self._now() - LOCKED).isoformat(timespec="microseconds")
        count = connection.execute(failed.where(ENTRIES.c.number > last, ENTRIES.c.at > recent)).scalar() or 0
        return count >= FAILURES

    @cached_property
    def _hasher(self) -> PasswordHasher:
        from argon2 import PasswordHasher

        return PasswordHasher()  # argon2id with the parameters of RFC 9106's second choice

    @cached_property
    def _nobodys(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe(32))

    def _hash(self, password: str | None) -> str:
        return self._hasher.hash(password) if password else ""

    def _fits(self, stored: str, password: str) -> bool:
        from argon2.exceptions import InvalidHashError, VerificationError

        try:
            return self._hasher.verify(stored or self._nobodys, password) and bool(stored)
        except (VerificationError, InvalidHashError, UnicodeError):
            return False


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()


def _subject(given: str) -> str:
    """An e-mail address in small letters; `ISSUER SUB` as it is."""
    given = given.strip()
    return given.lower() if "@" in given and " " not in given else given


def _account_of(row: Mapping[str, Any]) -> Account:
    return Account(**{name: row[name] for name in ("name", "role", "subject", "disabled")})


def _change(row: Mapping[str, Any], actor: str) -> Entry:
    body = {"name": row["name"], "role": row["role"], "disabled": row["disabled"], "digest": account_digest(row)}
    return Entry(actor=actor, action="account", body=body)
