"""Where the images of a scan lie: one file, a folder, what a DICOMDIR names, or a zip archive, always read in place.

Nothing is ever unpacked to the disk, and no link or path that leads out of the folder is followed.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from medfuse.imaging.boundary import FOREIGN, MAX_BYTES, UnreadableError, foreign
from medfuse.imaging.memory import held

MAX_FILES = 20_000  # of one folder or archive; ten times the longest CT series
_PIECE = 2**20  # bytes hashed at a time


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a scan.

    Attributes:
        name: Its path inside the folder or archive.
        path: The file, or the archive that it is a member of.
        member: The member's name; None for a plain file.
    """

    name: str
    path: Path
    member: str | None = None

    def read(self) -> bytes:
        """The whole file.

        Raises:
            UnreadableError: If it cannot be read, or is larger than `MAX_BYTES`.
        """
        if self.member is None:
            return bytes_of(self.path)
        reason = "a member of the archive cannot be read; the archive is damaged, fetch it again"
        refusing = foreign(reason, zipfile.BadZipFile, zlib.error)
        with refusing, zipfile.ZipFile(self.path) as archive, archive.open(self.member) as stream:
            return stream.read(archive.getinfo(self.member).file_size)  # inflating ends at what `_members` has bounded


def sources_of(path: Path) -> list[Source]:
    """The files of a folder or of a zip archive, nested ones too, in the order of their names.

    Raises:
        UnreadableError: If there is none, or more than `MAX_FILES` or `MAX_BYTES` allow.
    """
    found = list(_members(path) if path.is_file() else _inside(path))
    if not found:
        reason = "there is no file in it; check the path in the cohort's table"
        raise UnreadableError(reason)
    return sorted(found, key=lambda source: source.name)


def is_directory(dataset: Any) -> bool:
    """Whether a data set is a DICOMDIR."""
    return "DirectoryRecordSequence" in dataset and "Rows" not in dataset


def listed_by(directory: Any, path: Path) -> list[Source]:
    """The images that a DICOMDIR names (PS3.3 F.3.2.2, Referenced File ID), as far as they lie beside or below it.

    Args:
        directory: Its data set.
        path: The DICOMDIR.

    Raises:
        UnreadableError: If it names no image that is there.
    """
    root = path.parent.resolve()
    found = []
    with foreign("the DICOMDIR is damaged; name the folder that its images lie in instead"):
        for record in directory.get("DirectoryRecordSequence") or ():
            if str(record.get("DirectoryRecordType")) != "IMAGE":
                continue
            parts = record.get("ReferencedFileID") or ()
            parts = [parts] if isinstance(parts, str) else list(parts)
            place = _cased(root, [str(part) for part in parts])
            if place is not None and place.is_file():
                found.append(Source(place.relative_to(root).as_posix(), place))
    if not found:
        reason = "the DICOMDIR names no image that lies beside it; copy its folders along"
        raise UnreadableError(reason)
    return found


def scan_digest(path: str | Path) -> str:
    """SHA-256 that stands for a scan: of the file, or over the names and digests of all files of a folder.

    A DICOMDIR stands for the folder that it lies in.

    Raises:
        OSError: If a file cannot be read.
    """
    path = Path(path)
    if path.is_file() and path.name.upper() != "DICOMDIR":
        return _digest(path)
    whole = hashlib.sha256()
    folder = path if path.is_dir() else path.parent
    for source in sorted(_inside(folder), key=lambda source: source.name):
        whole.update(f"{source.name}\0{_digest(source.path)}\n".encode())
    return whole.hexdigest()


def bytes_of(path: Path) -> bytes:
    """A copy of what `view_of` gives, for libraries that take nothing but bytes."""
    return view_of(path).tobytes()


def view_of(path: Path) -> memoryview:
    """The bytes of one file.

    Raises:
        UnreadableError: If there is no such file, it is no file, or it is too large.
    """
    try:
        if not path.exists():
            reason = "no such file; check the path in the cohort's table"
            raise UnreadableError(reason)
        if not path.is_file():
            reason = "this is a device or a pipe, not a file; copy the image into a file"
            raise UnreadableError(reason)
        if path.stat().st_size > MAX_BYTES:
            reason = f"the file is larger than {MAX_BYTES >> 20} MiB, which no scan needs; check what it is"
            raise UnreadableError(reason)
        return held(path)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        reason = f"cannot be opened ({getattr(error, 'strerror', None) or 'not a valid path'}); check path and rights"
        raise UnreadableError(reason) from error


def _inside(folder: Path) -> Iterator[Source]:
    root, count = folder.resolve(), 0
    for place, folders, names in os.walk(root):  # does not follow links to folders
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__MACOSX")))
        for name in names:
            path = Path(place, name)
            if name.startswith(".") or not path.is_file() or not path.resolve().is_relative_to(root):
                continue
            count += 1
            if count > MAX_FILES:
                reason = f"the folder holds more than {MAX_FILES} files; name the folder of one series"
                raise UnreadableError(reason)
            yield Source(path.relative_to(root).as_posix(), path)


def _members(path: Path) -> Iterator[Source]:
    reason = "the zip archive is damaged or cut short; fetch it again"
    with foreign(reason, zipfile.BadZipFile, zlib.error), zipfile.ZipFile(path) as archive:
        files = [member for member in archive.infolist() if not member.is_dir()]
    files = [member for member in files if not _hidden(member.filename)]
    if len(files) > MAX_FILES or sum(member.file_size for member in files) > MAX_BYTES:
        reason = f"the archive unpacks to more than {MAX_FILES} files or {MAX_BYTES >> 20} MiB; check what it is"
        raise UnreadableError(reason)
    if any(member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for member in files):
        reason = "the archive is packed by a method whose size cannot be bounded; pack it anew as a plain zip"
        raise UnreadableError(reason)
    if any(member.flag_bits & 1 for member in files):
        reason = "the archive is encrypted; unpack it first"
        raise UnreadableError(reason)
    yield from (Source(member.filename, path, member.filename) for member in files)


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "__MACOSX")) for part in PurePosixPath(name).parts if part not in (".", ".."))


def _cased(root: Path, parts: Sequence[str]) -> Path | None:
    """A Referenced File ID below a folder: its parts are capitals, which a copied medium often no longer has."""
    place = root
    for part in parts:
        if part in ("", ".", "..") or "/" in part or "\\" in part:
            return None
        choices = (part, part.lower())
        place = next((place / choice for choice in choices if (place / choice).exists()), place / part)
    try:
        return place if parts and place.resolve().is_relative_to(root) else None
    except FOREIGN:
        return None


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
