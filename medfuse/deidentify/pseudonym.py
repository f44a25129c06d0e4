"""Other names for patients and objects: the same for the same key, and not to be traced back without it."""

from __future__ import annotations

import hashlib
import hmac
from datetime import date, timedelta

MOST_DAYS = 364  # by which dates are moved back; within a patient all by the same, so that intervals hold


class Pseudonyms:
    """Keyed hashes (HMAC-SHA256, RFC 2104) in place of identifiers.

    Args:
        key: The secret. The same key gives the same names, so that a later delivery fits an earlier one; without it
            nobody can find out whether a name they know is in the data.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def uid(self, uid: str) -> str:
        """Another UID for a UID, made of 124 bits of its hash as PS3.5 B.2 makes one of a UUID."""
        return f"2.25.{int(self._digest('uid', uid)[:31], 16)}"

    def patient(self, patient: str) -> str:
        """Another id for a patient."""
        return f"P{self._digest('patient', patient)[:12]}"

    def days(self, patient: str) -> int:
        """By how many days the dates of a patient move: -1 … -364."""
        return -1 - int(self._digest("days", patient)[:8], 16) % MOST_DAYS

    def moved(self, day: date, patient: str) -> date:
        """The day, moved as all days of the patient; the earliest date there is if it would be before it."""
        try:
            return day + timedelta(days=self.days(patient))
        except OverflowError:
            return date.min

    def _digest(self, kind: str, what: str) -> str:
        return hmac.new(self._key, f"{kind}\0{what}".encode("utf-8", "replace"), hashlib.sha256).hexdigest()
