"""What each role may do, and who it is that does it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from medfuse.errors import MedfuseError

Role = Literal["reader", "arbiter", "admin", "auditor"]
Permission = Literal["read", "arbitrate", "see_all", "export", "studies", "accounts", "backup", "verify"]
PERMISSIONS: Mapping[Role, frozenset[Permission]] = {
    "reader": frozenset({"read"}),
    "arbiter": frozenset({"read", "arbitrate"}),
    "admin": frozenset({"see_all", "export", "studies", "accounts", "backup", "verify"}),
    "auditor": frozenset({"see_all", "export", "verify"}),
}


class AccessError(MedfuseError):
    """Somebody may not do this."""


@dataclass(frozen=True, slots=True)
class Account:
    """A person who may sign in.

    Attributes:
        name: The reader's name, as it stands in decisions.
        role: What the person may do, by `PERMISSIONS`.
        subject: The person at the OpenID provider: `ISSUER SUB`, or a verified e-mail address; may be empty.
        disabled: Whether signing in is over; what the person decided stays.
    """

    name: str
    role: Role
    subject: str = ""
    disabled: bool = False

    def may(self, permission: Permission) -> bool:
        """Whether the role has a permission."""
        return not self.disabled and permission in PERMISSIONS[self.role]

    def require(self, permission: Permission) -> None:
        """Refuse what the role does not have.

        Raises:
            AccessError: If it has not.
        """
        if not self.may(permission):
            message = f"a {self.role} may not do this; it needs the permission '{permission}'"
            raise AccessError(message)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who sits at the dashboard: an account that signed in, or somebody at this machine where no login is asked for.

    Attributes:
        name: As it is to stand in decisions; empty where nobody said it.
        account: Who signed in; None where no login is asked for, and everything is allowed.
    """

    name: str
    account: Account | None = None

    def may(self, permission: Permission) -> bool:
        """Whether the visitor has a permission."""
        return self.account is None or self.account.may(permission)

    def require(self, permission: Permission) -> None:
        """Refuse what the visitor may not do.

        Raises:
            AccessError: If so.
        """
        if self.account is not None:
            self.account.require(permission)
