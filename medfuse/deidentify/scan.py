"""A scan without what names its patient: an image, a volume, or the files of a series one by one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from medfuse.deidentify.dicom import CleanObject, clean, identifiers, open_dicom
from medfuse.deidentify.pseudonym import Pseudonyms
from medfuse.errors import ScanError
from medfuse.imaging import read_scan
from medfuse.imaging.boundary import UnreadableError
from medfuse.imaging.content import kind_of
from medfuse.imaging.sources import Source, bytes_of, is_directory, listed_by, sources_of

_NO_HEADER = "of which no header says how it was made"


@dataclass(frozen=True, slots=True)
class CleanScan:
    """A scan of the new cohort.

    Attributes:
        path: Where it lies, relative to the cohort: a file, or the folder of a series.
        burned_in: Why its pixels may hold text; "" if nothing speaks for it, or they were blanked.
        blanked: Whether pixels were blanked.
        left_out: Files of a series that are not in the new one, counted, with the reason of the first.
    """

    path: Path
    burned_in: str = ""
    blanked: bool = False
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rules:
    """What is done alike to every scan: new names, what is kept of `KEEPABLE`, and whether pixels are blanked."""

    pseudonyms: Pseudonyms
    keep: Collection[str] = ()
    blank: bool = False


def names_in_scan(path: Path) -> set[str]:
    """Identifiers in the DICOM headers of a scan; files that are none, or broken, have none."""
    names: set[str] = set()
    try:
        data, sources = _opened(path)
    except UnreadableError:
        return names
    for source in sources if sources is not None else (None,):
        try:
            content = data if source is None else source.read()
            if kind_of(content) == "DICOM":
                names |= identifiers(open_dicom(content))
        except (UnreadableError, ScanError):
            continue
    return names


def clean_scan(path: Path, *, out: Path, name: str, patient: str, known: set[str], rules: Rules) -> CleanScan:
    """De-identify a scan into `out/scans`.

    A series becomes a folder whose files keep their order under new names; their new UIDs are made of the old ones
    alone, so it groups and sorts as before.

    Args:
        path: A file, or the folder, zip archive or DICOMDIR of a series.
        out: The new cohort.
        name: The scan's new name, without suffix.
        patient: The patient as the cohort names them.
        known: Names and numbers that must not be left anywhere.
        rules: What is done alike to every scan.

    Raises:
        ScanError: If it cannot be read or cleaned; of a series, if none of its files can.
    """
    try:
        data, sources = _opened(path)
        if sources is not None:
            return _series(sources, out, Path("scans") / name, patient=patient, known=known, rules=rules)
        kind = kind_of(data)
        if kind == "DICOM":
            cleaned = _cleaned(data, patient, known, rules)
            target = Path("scans") / f"{name}.dcm"
            (out / target).write_bytes(cleaned.content)
            return CleanScan(target, "" if cleaned.blanked else cleaned.burned_in, cleaned.blanked)
        if kind == "NIfTI":
            from medfuse.deidentify.nifti import clean_nifti

            target = Path("scans") / f"{name}.nii"
            (out / target).write_bytes(clean_nifti(data))
            return CleanScan(target, f"a NIfTI volume, {_NO_HEADER}")
    except UnreadableError as error:
        raise ScanError(str(error)) from error
    target = Path("scans") / f"{name}.png"
    (out / target).write_bytes(_picture(path))
    return CleanScan(target, f"a picture, {_NO_HEADER}")


def _opened(path: Path) -> tuple[bytes, list[Source] | None]:
    """The bytes of a single file; or the files of a series, as `read_scan` takes them.

    Raises:
        UnreadableError: If it cannot be opened, or is no scan.
    """
    if path.is_dir():
        return b"", sources_of(path)
    data = bytes_of(path)
    kind = kind_of(data)
    if kind == "zip":
        return b"", sources_of(path)
    if kind == "DICOM":
        from medfuse.imaging.dicom import parse

        dataset = parse(data).dataset
        if is_directory(dataset):
            return b"", listed_by(dataset, path)
    return data, None


def _series(
    sources: Sequence[Source], out: Path, target: Path, *, patient: str, known: set[str], rules: Rules
) -> CleanScan:
    (out / target).mkdir()
    burned_in, blanked, others, broken = "", False, 0, list[str]()
    for place, source in enumerate(sources, start=1):
        try:
            data = source.read()
            if kind_of(data) != "DICOM" or "Rows" not in open_dicom(data):
                others += 1  # a picture, a report, a presentation state: nothing that a series is read from
                continue
            cleaned = _cleaned(data, patient, known, rules)
        except (UnreadableError, ScanError) as error:
            broken.append(str(error))
            continue
        (out / target / f"{place:05}.dcm").write_bytes(cleaned.content)
        burned_in = burned_in or ("" if cleaned.blanked else cleaned.burned_in)
        blanked |= cleaned.blanked
    if not any((out / target).iterdir()):
        (out / target).rmdir()
        message = f"none of its {len(sources)} files is a DICOM image that can be cleaned"
        raise ScanError(message + (f", the first because {broken[0]}" if broken else ""))
    left_out = [f"{len(broken)} of {len(sources)} files, the first because {broken[0]}"] if broken else []
    left_out += [f"{others} of {len(sources)} files, which are no DICOM images"] if others else []
    return CleanScan(target, burned_in, blanked, tuple(left_out))


def _cleaned(data: bytes, patient: str, known: set[str], rules: Rules) -> CleanObject:
    return clean(
        open_dicom(data), patient=patient, pseudonyms=rules.pseudonyms, known=known, keep=rules.keep, blank=rules.blank
    )


def _picture(path: Path) -> bytes:
    """The pixels of a picture as a PNG without any metadata.

    Raises:
        ScanError: If it cannot be read.
    """
    import numpy as np
    from PIL import Image

    try:
        read = read_scan(path)
    except ScanError as error:
        message = str(error).removeprefix(f"{path.name}: ")
        raise ScanError(message) from error
    assert read.pixels is not None
    assert read.receipt is not None
    deep = read.receipt.bits > 8
    stored = np.rint(read.pixels * (65535 if deep else 255)).astype(np.uint16 if deep else np.uint8)
    stream = BytesIO()
    Image.fromarray(stored).save(stream, format="PNG")
    return stream.getvalue()
