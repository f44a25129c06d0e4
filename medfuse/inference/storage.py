"""Where a bundle, a cohort or predictions lie: a folder of this machine, or a place in an object store."""

from __future__ import annotations

import io
import os
import posixpath
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from medfuse.errors import MedfuseError

_PIECE = 1 << 20  # bytes that are copied at a time


@dataclass(frozen=True)
class Place:
    """A folder, by the names of files inside it.

    Attributes:
        where: As it was given: a path, or a URI such as `s3://bucket/cohort`; pyarrow's file systems are behind it,
            with their options behind a `?`, such as `endpoint_override`, and their usual environment variables.
    """

    where: str

    @property
    def local(self) -> Path | None:
        """The folder, if it is one of this machine."""
        return None if "://" in self.where else Path(self.where)

    def _at(self, name: str) -> tuple[Any, str]:
        from pyarrow import ArrowException
        from pyarrow.fs import FileSystem, LocalFileSystem

        if (local := self.local) is not None:
            return LocalFileSystem(), str(local.absolute() / name)
        try:
            system, path = FileSystem.from_uri(self.where)
        except (ArrowException, OSError) as error:
            message = f"{self.where.partition('?')[0]}: no such kind of storage, or options that it does not know"
            raise MedfuseError(message) from error
        return system, posixpath.join(path, name)

    def open(self, name: str) -> IO[bytes]:
        """A file's bytes, readable at any place.

        Raises:
            FileNotFoundError: If there is none.
            OSError: If the storage does not answer.
        """
        system, path = self._at(name)
        return io.BufferedReader(system.open_input_file(path))

    def read(self, name: str) -> bytes | None:
        """A file's bytes, or None if there is none."""
        try:
            with self.open(name) as stream:
                return stream.read()
        except FileNotFoundError:
            return None

    def names(self) -> list[str]:
        """What lies directly in the folder."""
        from pyarrow.fs import FileSelector

        system, path = self._at("")
        return sorted(one.base_name for one in system.get_file_info(FileSelector(path, allow_not_found=True)))

    def write(self, name: str, content: bytes) -> None:
        """Write a file in one step: whoever reads it meanwhile sees the old one or none."""
        system, path = self._at(name)
        if self.local is None:  # an object is there once it is whole
            with system.open_output_stream(path) as stream:
                stream.write(content)
            return
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{name}.{secrets.token_hex(4)}.partial")
        partial.write_bytes(content)
        os.replace(partial, target)

    def fetch(self, name: str, target: Path) -> None:
        """Copy a file, or all that lies under a folder, to a path of this machine; nothing if it is not there.

        Raises:
            OSError: If the storage does not answer.
        """
        from pyarrow.fs import FileSelector, FileType

        system, path = self._at(name)
        found = system.get_file_info(path)
        if found.type == FileType.NotFound:
            return
        inside = [found]
        if found.type == FileType.Directory:
            target.mkdir(parents=True, exist_ok=True)
            inside = system.get_file_info(FileSelector(path, recursive=True))
        for one in inside:
            if one.type != FileType.File:
                continue
            to = target if one.path == found.path else target / posixpath.relpath(one.path, found.path)
            if not to.resolve().is_relative_to(target.resolve()):  # an object may be called anything
                continue
            to.parent.mkdir(parents=True, exist_ok=True)
            with system.open_input_stream(one.path) as source, to.open("wb") as copy:
                while piece := source.read(_PIECE):
                    copy.write(piece)
