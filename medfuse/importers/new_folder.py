"""A cohort folder in the making: it gets its name only when it is complete."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from medfuse.case import Note, Scan
from medfuse.errors import CohortError
from medfuse.notes import front_matter

_OURS = frozenset({"scans", "notes", "cohort.yaml", "cohort.yaml.partial", "cases.csv", "cases.csv.partial"})


class NewFolder:
    """`OUT.partial` while it is filled, `OUT` afterwards; on an error nothing is left.

    Args:
        out: The folder to make; it must not exist, or be empty.

    Raises:
        CohortError: On entering, if `out` holds anything or cannot be made.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.path = out.with_name(out.name + ".partial")
        self._names: set[str] = set()

    def __enter__(self) -> NewFolder:
        if self.out.exists() and not (self.out.is_dir() and not any(self.out.iterdir())):
            message = f"{self.out}: is there already and not an empty folder; name a new one"
            raise CohortError(message)
        if self.path.exists():
            if not self.path.is_dir() or {entry.name for entry in self.path.iterdir()} - _OURS:
                message = f"{self.path}: is in the way and not left by an import; move it"
                raise CohortError(message)
            shutil.rmtree(self.path)  # left by an import that was killed
        try:
            (self.path / "scans").mkdir(parents=True)
            (self.path / "notes").mkdir()
        except OSError as error:
            message = f"{self.out}: cannot be made ({error.strerror})"
            raise CohortError(message) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            shutil.rmtree(self.path, ignore_errors=True)
            return
        if self.out.exists():
            self.out.rmdir()
        os.replace(self.path, self.out)

    def scan(self, source: Path | Sequence[Path], name: str) -> Scan:
        """Put a file into the folder, as a hard link where that works, and give the scan.

        Args:
            source: The file; or several, in order, which become a folder of their own: a series.
            name: What to call it, without suffix; made safe and unique.
        """
        files = [source] if isinstance(source, Path) else source
        if len(files) == 1:
            relative = self._free("scans", name, _suffix(files[0]))
            _link(files[0], self.path / relative)
            return Scan(relative)
        relative = self._free("scans", name, "")
        (self.path / relative).mkdir()
        for number, file in enumerate(files, start=1):
            _link(file, self.path / relative / f"{number:04}{_suffix(file)}")
        return Scan(relative)

    def note(self, text: str, name: str, *, kind: str = "", time: str | None = None) -> Note:
        """Write a text file, with its kind and time on top where they are known, and give the note."""
        relative = self._free("notes", name, ".txt")
        content = front_matter(kind=kind, time=time) + text.strip() + "\n"
        (self.path / relative).write_text(content, encoding="utf-8", newline="\n")
        return Note(relative, kind=kind, time=time)

    def _free(self, room: str, name: str, suffix: str) -> Path:
        stem = safe_name(name)
        number = 1
        while f"{room}/{stem}{suffix}".casefold() in self._names:
            number += 1
            stem = f"{safe_name(name)}-{number}"
        self._names.add(f"{room}/{stem}{suffix}".casefold())
        return Path(room) / f"{stem}{suffix}"


def _suffix(path: Path) -> str:
    return re.sub(r"[^a-z0-9.]", "", path.suffix.lower())


def _link(source: Path, target: Path) -> None:
    source = source.resolve()  # of a symbolic link, what it points to
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, target)


def safe_name(name: str) -> str:
    """The name with nothing that a path, a shell or `cases.csv` could read otherwise."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "_", name).strip("._-")[:80] or "unnamed"


def file_inside(root: Path, name: str) -> Path | str:
    """The file `name` of a folder, or in words why there is none."""
    if "\x00" in name:
        return "is not a path"
    path = Path(os.path.realpath(root / name))  # links are followed, so that none leads out
    if not path.is_relative_to(root.resolve()):
        return f"lies outside {root.name or root}"
    try:
        if not path.is_file():
            return "is not there" if not path.exists() else "is not a file"
        if not os.access(path, os.R_OK):
            return "may not be read"
    except OSError:
        return "cannot be read"
    return path
