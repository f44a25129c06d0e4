"""Cases that are dropped in: files of a browser to one case in a folder that is gone again afterwards."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

from medfuse.case import Case, Note, Scan
from medfuse.errors import MedfuseError
from medfuse.imaging.content import kind_of

MAX_UPLOAD = 500 * 2**20  # bytes of one case
MAX_FILES = 5000


@contextmanager
def dropped_case(files: Sequence[tuple[str, bytes]], note: str, *, keep: Path | None = None) -> Iterator[Case]:
    """A case of files as a browser sends them, for as long as the block lasts.

    DICOM files that come together are one series, as are those of a zip archive; every other picture is a scan of its
    own. Names from outside are not used as paths.

    Args:
        files: Names and contents.
        note: A note's text; "" for none.
        keep: A folder that receives the files too; None keeps nothing.

    Raises:
        MedfuseError: If there is nothing in it, or too much.
    """
    if not files and not note.strip():
        message = "there is nothing to classify: drop a scan, or paste a note"
        raise MedfuseError(message)
    if sum(len(content) for _, content in files) > MAX_UPLOAD or len(files) > MAX_FILES:
        message = f"that is more than {MAX_UPLOAD >> 20} MiB or {MAX_FILES} files; make a cohort of it and classify that"
        raise MedfuseError(message)
    with TemporaryDirectory(prefix="medfuse-case-") as place:
        folder = Path(place)
        case = _case_in(folder, files, note)
        if keep is not None:
            _keep(folder, keep)
        yield case


def _case_in(folder: Path, files: Sequence[tuple[str, bytes]], note: str) -> Case:
    scans: list[Path] = []
    series = folder / "series"
    for number, (name, content) in enumerate(files, start=1):
        kind = kind_of(content)
        if kind == "DICOM":
            series.mkdir(exist_ok=True)
            (series / f"{number:05}.dcm").write_bytes(content)
            continue
        if kind == "zip" and not zipfile.is_zipfile(BytesIO(content)):
            message = f"file {number} is a damaged zip archive; pack it again"
            raise MedfuseError(message)
        ending = ".nii.gz" if name.lower().endswith(".nii.gz") else Path(name).suffix.lower()
        path = folder / f"scan-{number:05}{ending if ending.strip('.').replace('.', '').isalnum() else ''}"
        path.write_bytes(content)
        scans.append(path)
    if series.exists():
        held = sorted(series.iterdir())
        scans.insert(0, held[0] if len(held) == 1 else series)
    notes: tuple[Note, ...] = ()
    if note.strip():
        (folder / "note.txt").write_text(note, encoding="utf-8")
        notes = (Note(folder / "note.txt"),)
    return Case("dropped", "dropped", scans=tuple(Scan(path) for path in scans), notes=notes)


def _keep(folder: Path, keep: Path) -> None:
    try:
        keep.mkdir(parents=True)
        shutil.copytree(folder, keep, dirs_exist_ok=True)
    except OSError as error:
        message = f"{keep}: the files cannot be kept there: {error.strerror}; choose a folder that is not there yet"
        raise MedfuseError(message) from error
