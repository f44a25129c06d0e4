"""A DICOM object by the Basic Application Level Confidentiality Profile (PS3.15 annex E), UIDs and dates consistent.

What to do with each attribute is table E.1-1 of edition 2024b, as the package `dicom-anonymizer` has it. Beyond it
every person's name, every private attribute, every UID that the standard does not register, and every text that holds
a known identifier is taken out, in sequences too.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import date
from functools import cache
from io import BytesIO
from typing import Any

from medfuse.deidentify.pseudonym import Pseudonyms
from medfuse.deidentify.text import OLDEST, plain_of, words_of
from medfuse.errors import ScanError
from medfuse.imaging.boundary import UnreadableError
from medfuse.imaging.elements import BROKEN

# Options of PS3.15 table E.1-1: what each retains, and its code of CID 7050.
KEEPABLE = ("characteristics", "device")
_KEPT: dict[str, tuple[str, ...]] = {
    "characteristics": ("PatientSex", "PatientAge", "PatientSize", "PatientWeight", "SmokingStatus", "PregnancyStatus"),
    "device": (
        "StationName", "DeviceSerialNumber", "DetectorID", "GantryID", "PlateID", "GeneratorID", "CassetteID",
    ),
}  # fmt: skip
_PROFILE = ("113100", "Basic Application Confidentiality Profile")
_MOVED = ("113107", "Retain Longitudinal Temporal Information Modified Dates Option")
_CODES = {
    "characteristics": ("113108", "Retain Patient Characteristics Option"),
    "device": ("113109", "Retain Device Identity Option"),
}
_CLEAN_PIXELS = ("113101", "Clean Pixel Data Option")
_NAMING = ("PatientID", "OtherPatientIDs", "AccessionNumber", "PatientAddress", "PatientTelephoneNumbers",
           "IssuerOfPatientID", "MilitaryRank", "MedicalRecordLocator")  # fmt: skip
_BIRTH = frozenset({0x00100030, 0x00100032})  # emptied, not moved: a moved birth date still tells the age
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_TEXT = frozenset({"AE", "AS", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"})
_REGISTERED = "1.2.840.10008."
# Where text is commonly burned into the pixels, whatever the header says (PS3.15 E.3.1 names such devices).
_RISKY = {"US": "ultrasound", "ES": "endoscopy", "XC": "a camera", "OT": "an unstated device", "GM": "microscopy"}
_SECONDARY = "1.2.840.10008.5.1.4.1.1.7"  # Secondary Capture, and its multi-frame kin
# Letters, and digits, from which an identifier is also looked for inside of longer words; shorter ones stand there by
# chance, as digits do in UIDs.
_INSIDE, _INSIDE_DIGITS = 5, 9


@dataclass(frozen=True, slots=True)
class CleanObject:
    """A de-identified object: its bytes, and why its pixels may hold text ("" if nothing speaks for it)."""

    content: bytes
    burned_in: str
    blanked: bool


def open_dicom(data: bytes) -> Any:
    """The data set of a file with its values read.

    Raises:
        ScanError: If it is no DICOM file that can be parsed.
    """
    from medfuse.imaging.dicom import parse

    try:
        dataset = parse(data).dataset
        if not len(dataset) or "SOPClassUID" not in dataset:
            message = "no DICOM object"
            raise ScanError(message)
        for _ in dataset.iterall():
            pass
    except (*BROKEN, UnreadableError) as error:
        message = "its header is broken"
        raise ScanError(message) from error
    return dataset


def identifiers(dataset: Any) -> set[str]:
    """Names and numbers that the header has of the patient and of those around."""
    found: set[str] = set()
    for element in dataset.iterall():
        if element.VR == "PN" or element.keyword in _NAMING:
            values = element.value if element.VM > 1 else [element.value]
            found.update(str(value) for value in values if value)
    return found


def clean(
    dataset: Any,
    *,
    patient: str,
    pseudonyms: Pseudonyms,
    known: Collection[str],
    keep: Collection[str] = (),
    blank: bool = False,
) -> CleanObject:
    """De-identify a data set.

    Args:
        dataset: A pydicom data set; it is changed.
        patient: The patient as the cohort names them, by whom dates move.
        pseudonyms: Other names.
        known: Names and numbers that must not be left anywhere.
        keep: Of `KEEPABLE`.
        blank: Whether to blank pixels where text may be burned in.

    Raises:
        ScanError: If it cannot be written, or an identifier is left in it.
    """
    words = {word for name in known for word in words_of(name)}
    burned = burned_in(dataset)
    blanked = False
    try:
        if blank and burned:
            blanked = _blank(dataset)
        kept = {keyword for option in keep for keyword in _KEPT[option]}
        _walk(dataset, patient=patient, pseudonyms=pseudonyms, words=words, kept=kept)
        age = str(dataset.get("PatientAge") or "")
        if age[:3].isdigit() and age.endswith("Y") and int(age[:3]) > OLDEST:
            dataset.PatientAge = f"{OLDEST + 1:03}Y"
        _sign(dataset, pseudonyms.patient(patient), keep=keep, blanked=blanked)
        _check(dataset, words)
        content = _written(dataset)
    except (*BROKEN, NotImplementedError) as error:
        message = "it cannot be written again; it is damaged, or its transfer syntax is not known"
        raise ScanError(message) from error
    return CleanObject(content, burned, blanked)


def burned_in(dataset: Any) -> str:
    """Why the pixels may hold text that names the patient; "" if the header gives no reason to think so."""
    stated = str(dataset.get("BurnedInAnnotation") or "").strip().upper()
    if stated == "YES":
        return "the header says that text is burned in"
    if stated == "NO":
        return ""
    if str(dataset.get("SOPClassUID", "")).startswith(_SECONDARY):
        return "it is a secondary capture, which often shows a screen with names"
    modality = str(dataset.get("Modality") or "").strip().upper()
    return f"it is of {_RISKY[modality]}, which often writes names into the image" if modality in _RISKY else ""


@cache
def _rules() -> dict[tuple[int, ...], Callable[[Any, tuple[int, int]], None]]:
    from dicomanonymizer.simpledicomanonymizer import initialize_actions_2024b

    return {tag: action for tag, action in initialize_actions_2024b().items() if len(tag) == 2}


def _walk(dataset: Any, *, patient: str, pseudonyms: Pseudonyms, words: set[str], kept: set[str]) -> None:
    for element in list(dataset):
        tag = element.tag
        if tag in _PIXELS or element.keyword in kept:
            continue
        # Private groups; curves and overlays, which may draw names; padding behind the data set.
        if tag.is_private or tag.group & 0xFF00 in (0x5000, 0x6000) or tag.group == 0xFFFC:
            del dataset[tag]
        elif element.VR == "PN":
            element.value = ""
        elif element.VR in ("DA", "DT") and tag not in _BIRTH:
            _move(element, patient, pseudonyms)
        elif tag in _BIRTH:
            element.value = ""
        elif element.VR == "UI":
            _rename(element, pseudonyms)
        elif element.VR != "TM":  # times of day stay with their moved dates (option Modified Dates)
            _by_profile(dataset, element)
        if tag not in dataset:
            continue
        element = dataset[tag]
        if element.VR == "SQ":
            for item in element.value:
                _walk(item, patient=patient, pseudonyms=pseudonyms, words=words, kept=kept)
        elif _holds(element, words):
            del dataset[tag]


def _by_profile(dataset: Any, element: Any) -> None:
    action = _rules().get((element.tag.group, element.tag.element))
    if action is None or element.VR == "SQ":
        # A sequence of the table goes as a whole unless an object of its kind needs it; then its items are walked.
        if action is not None and action.__name__ in ("delete", "delete_or_empty", "delete_or_empty_or_replace"):
            del dataset[element.tag]
        return
    try:
        action(dataset, (element.tag.group, element.tag.element))
    except NotImplementedError:  # a representation that it has no dummy for
        del dataset[element.tag]


def _holds(element: Any, words: set[str]) -> bool:
    """Whether a text, or bytes of an unknown kind, has a known identifier."""
    if not words or not element.value:
        return False
    if element.VR in _TEXT:
        return _said(str(element.value) if element.VM < 2 else " ".join(map(str, element.value)), words)
    return element.VR in ("UN", "OB") and isinstance(element.value, bytes) and _in_bytes(element.value, words)


def _said(text: str, words: set[str]) -> bool:
    plain = plain_of(text)
    return bool(words_of(text) & words) or any(word in plain for word in words if _looked_for_inside(word))


def _in_bytes(content: bytes, words: set[str]) -> bool:
    return any(_said(content.decode(encoding, "replace"), words) for encoding in ("utf-8", "latin-1"))


def _looked_for_inside(word: str) -> bool:
    return len(word) >= (_INSIDE_DIGITS if word.isdigit() else _INSIDE)


def _move(element: Any, patient: str, pseudonyms: Pseudonyms) -> None:
    values = element.value if element.VM > 1 else [element.value]
    moved = [_moved(str(value or ""), patient, pseudonyms) for value in values]
    element.value = moved if element.VM > 1 else moved[0]


def _moved(value: str, patient: str, pseudonyms: Pseudonyms) -> str:
    """A DICOM date or date-time with its day moved; "" if it has no whole day."""
    digits = value.strip().replace(".", "") if value.count(".") == 2 else value.strip()
    try:
        day = date(int(digits[:4]), int(digits[4:6]), int(digits[6:8]))
    except ValueError:
        return ""
    return f"{pseudonyms.moved(day, patient):%Y%m%d}".rjust(8, "0") + digits[8:]


def _rename(element: Any, pseudonyms: Pseudonyms) -> None:
    values = element.value if element.VM > 1 else [element.value]
    named = [str(uid) if str(uid).startswith(_REGISTERED) or not uid else pseudonyms.uid(str(uid)) for uid in values]
    element.value = named if element.VM > 1 else named[0]


def _sign(dataset: Any, patient: str, *, keep: Collection[str], blanked: bool) -> None:
    """Say in the object what was done to it (PS3.3 C.12.1, PS3.15 E.1.1 step 6)."""
    from pydicom.dataset import Dataset
    from pydicom.sequence import Sequence as Items

    dataset.PatientName = patient
    dataset.PatientID = patient
    dataset.PatientIdentityRemoved = "YES"
    dataset.LongitudinalTemporalInformationModified = "MODIFIED"
    dataset.DeidentificationMethod = "medfuse: PS3.15 E.1-1 2024b"
    codes = [_PROFILE, _MOVED, *(_CODES[option] for option in KEEPABLE if option in keep)]
    codes += [_CLEAN_PIXELS] if blanked else []
    items = []
    for value, meaning in codes:
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, "DCM", meaning[:64]
        items.append(item)
    dataset.DeidentificationMethodCodeSequence = Items(items)


def _blank(dataset: Any) -> bool:
    """Blank an ultrasound image outside of its regions (PS3.3 C.8.5.5), where machines write; False without regions."""
    import numpy as np

    regions = dataset.get("SequenceOfUltrasoundRegions") or []
    if not regions:
        return False
    pixels = dataset.pixel_array
    rows, columns = int(dataset.Rows), int(dataset.Columns)
    inside = np.zeros((rows, columns), dtype=bool)
    for region in regions:
        inside[
            int(region.RegionLocationMinY0) : int(region.RegionLocationMaxY1) + 1,
            int(region.RegionLocationMinX0) : int(region.RegionLocationMaxX1) + 1,
        ] = True
    samples = int(dataset.get("SamplesPerPixel", 1))
    mask = inside[..., None] if samples > 1 else inside
    photometric = str(dataset.PhotometricInterpretation)
    kept = np.where(mask, pixels, pixels.dtype.type(0))
    if photometric.startswith("YBR"):  # pixel_array gave RGB
        photometric = "RGB"
    dataset.set_pixel_data(kept.astype(pixels.dtype), photometric, int(dataset.BitsStored), generate_instance_uid=False)
    return True


def _check(dataset: Any, words: set[str]) -> None:
    """Look for every identifier in the bytes of the header once more.

    Raises:
        ScanError: If one is left.
    """
    from pydicom.dataset import Dataset
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_dataset

    bare = Dataset()
    for element in dataset:
        if element.tag not in _PIXELS:
            bare.add(element)
    stream = DicomBytesIO()
    stream.is_implicit_VR, stream.is_little_endian = True, True
    write_dataset(stream, bare)
    if _in_bytes(stream.getvalue(), words):
        message = "an identifier is left in it after every rule was followed"
        raise ScanError(message)


def _written(dataset: Any) -> bytes:
    """The bytes with a new preamble and file meta information, of which the old may say where it came from."""
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    syntax = dataset.file_meta.get("TransferSyntaxUID")
    if not syntax:
        implicit, little = dataset.original_encoding
        syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = syntax
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta = meta
    dataset.preamble = b"\0" * 128
    stream = BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
