"""Patients that share a file: one person under two ids, whom splits must not separate."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path


def digest_of(path: Path) -> str:
    """SHA-256 of the file's bytes, hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def linked_patients(pairs: Iterable[tuple[str, str]]) -> Mapping[str, str]:
    """One name for all patients that share a file, directly or over others; the rest keep theirs.

    Example:
        >>> linked_patients([("7", "a"), ("8", "b"), ("9", "a")])
        {'7': '7+9', '8': '8', '9': '7+9'}

    Args:
        pairs: Patient and digest of a file, in the order of the source.
    """
    group: dict[str, list[str]] = {}
    owner: dict[str, str] = {}
    for patient, digest in pairs:
        group.setdefault(patient, [patient])
        first = owner.setdefault(digest, patient)
        if group[first] is not group[patient]:
            joined = group[first] + group[patient]
            for member in joined:
                group[member] = joined
    return {patient: "+".join(members) for patient, members in group.items()}
