"""Files: a phantom as a valid DICOM object, written as six different devices would."""

from __future__ import annotations

import hashlib
import uuid
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import (
    UID,
    ComputedRadiographyImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "medfuse.synthetic")
IMPLEMENTATION = UID(f"2.25.{NAMESPACE.int}")


@dataclass(frozen=True)
class Device:
    """How one make of machine writes what it saw.

    Attributes:
        name: Manufacturer's Model Name.
        site: Where it stands.
        modality: `CR` or `DX`, which also decides the SOP class.
        syntax: Transfer syntax.
        bits: Bits Stored.
        photometric: Photometric Interpretation; with `MONOCHROME1` the least stored value is white.
        low: Stored value of one end of the grey scale.
        high: Stored value of the other end.
        rescale: Rescale Slope and Intercept; None leaves them out where the standard lets it.
        windows: VOI windows offered, each as the part of the grey scale it spans, the first meant for display; none
            leaves the grey scale to the reader.
    """

    name: str
    site: str
    modality: str
    syntax: UID
    bits: int
    photometric: str
    low: int
    high: int
    rescale: tuple[float, float] | None
    windows: tuple[tuple[float, float], ...]

    @property
    def inverted(self) -> bool:
        """Whether the least stored value is white."""
        return self.photometric == "MONOCHROME1"


DEVICES: Sequence[Device] = (
    Device("Phantom CR 10", "north", "CR", ExplicitVRLittleEndian, 12, "MONOCHROME2", 60, 4030, None, ((0.0, 1.0),)),
    Device(
        "Phantom CR 12", "north", "CR", RLELossless, 12, "MONOCHROME1", 0, 4000, (1.0, 0.0), ((0.0, 1.0), (0.1, 0.8))
    ),
    Device("Phantom DX 14", "east", "DX", JPEG2000Lossless, 14, "MONOCHROME1", 500, 9000, (1.0, 0.0), ((0.0, 0.95),)),
    Device("Phantom DX 15", "east", "DX", JPEGLSLossless, 15, "MONOCHROME2", 200, 8200, (1.0, 0.0), ((0.02, 0.97),)),
    Device(
        "Phantom CR 16",
        "south",
        "CR",
        ImplicitVRLittleEndian,
        16,
        "MONOCHROME2",
        1000,
        15000,
        (0.25, -100.0),
        ((0.0, 0.98),),
    ),
    Device("Phantom CR 13", "south", "CR", JPEGLSLossless, 12, "MONOCHROME2", 0, 4095, None, ()),
)


def write_scan(
    path: Path,
    grey: Float32[np.ndarray, "h w"],
    *,
    device: Device,
    identity: str,
    patient_id: str,
    day: str,
    view: str,
) -> None:
    """Write one radiograph.

    Args:
        path: The file.
        grey: Grey values [rows, columns] in 0…1, 1 is white.
        device: Which machine writes it.
        identity: Names the image; its UIDs follow from it alone.
        patient_id: Patient ID.
        day: Study Date, YYYYMMDD.
        view: View Position, `PA` or `AP`.

    The attributes are those of the CR Image IOD (PS3.3 A.2) or the Digital X-Ray Image IOD (A.26).
    """
    dataset = Dataset()
    dataset.SOPClassUID = (
        DigitalXRayImageStorageForPresentation if device.modality == "DX" else ComputedRadiographyImageStorage
    )
    dataset.SOPInstanceUID = _uid(identity, "instance")
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.FileMetaInformationVersion = b"\x00\x01"
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = device.syntax
    dataset.file_meta.ImplementationClassUID = IMPLEMENTATION
    dataset.file_meta.ImplementationVersionName = "MEDFUSE_SYN_1"
    _describe(dataset, device=device, identity=identity, patient_id=patient_id, day=day, view=view)
    _store(dataset, grey, device=device)
    path.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # encoders remark on unused high bits
        if device.syntax.is_compressed:
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
            dataset.compress(device.syntax, generate_instance_uid=False)
        dataset.save_as(
            path,
            enforce_file_format=True,
            implicit_vr=device.syntax.is_implicit_VR,
            little_endian=True,
        )


def _uid(*names: str) -> UID:
    """A UID derived from a UUID (PS3.5 B.2) that these names alone decide."""
    return UID(f"2.25.{uuid.uuid5(NAMESPACE, '/'.join(names)).int}")


def _describe(dataset: Dataset, *, device: Device, identity: str, patient_id: str, day: str, view: str) -> None:
    """Patient, study, series, equipment and acquisition."""
    dataset.PatientName = f"Phantom^{patient_id}"
    dataset.PatientID = patient_id
    dataset.PatientBirthDate = ""
    dataset.PatientSex = ""  # sex and age are in the table, and each piece of evidence stands in one place only
    dataset.StudyInstanceUID = _uid(identity, "study")
    dataset.SeriesInstanceUID = _uid(identity, "series")
    dataset.StudyDate = dataset.SeriesDate = dataset.AcquisitionDate = dataset.ContentDate = day
    minute = int(hashlib.sha256(identity.encode()).hexdigest()[:8], 16) % 1440
    clock = f"{minute // 60:02d}{minute % 60:02d}00"
    dataset.StudyTime = dataset.SeriesTime = dataset.AcquisitionTime = dataset.ContentTime = clock
    dataset.ReferringPhysicianName = ""
    dataset.StudyID = "1"
    dataset.AccessionNumber = ""
    dataset.SeriesNumber = 1
    dataset.InstanceNumber = 1
    dataset.Modality = device.modality
    dataset.Manufacturer = "medfuse synthetic"
    dataset.ManufacturerModelName = device.name
    dataset.InstitutionName = device.site
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = view
    dataset.PatientOrientation = ["L", "F"]
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.BurnedInAnnotation = "NO"
    dataset.LossyImageCompression = "00"
    if device.modality == "DX":
        dataset.ImageLaterality = "U"
        dataset.PresentationIntentType = "FOR PRESENTATION"
        dataset.PixelIntensityRelationship = "LOG"
        dataset.PixelIntensityRelationshipSign = 1 if device.inverted else -1
        dataset.DetectorType = "DIRECT"
        dataset.AcquisitionContextSequence = Items([])
        chest = Dataset()
        chest.CodeValue, chest.CodingSchemeDesignator, chest.CodeMeaning = "816094009", "SCT", "Chest"
        dataset.AnatomicRegionSequence = Items([chest])


def _store(dataset: Dataset, grey: Float32[np.ndarray, "h w"], *, device: Device) -> None:
    """Stored values, what they mean, and how to show them."""
    rows, columns = grey.shape
    scale = 1 - grey if device.inverted else grey
    span = device.high - device.low
    stored = np.rint(device.low + scale.astype(np.float64) * span).astype("<u2")
    spacing = f"{340 / columns:.4f}"  # the chest is about 34 cm wide
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = device.photometric
    dataset.Rows, dataset.Columns = rows, columns
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, device.bits, device.bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelSpacing = [spacing, spacing]
    dataset.ImagerPixelSpacing = [spacing, spacing]
    slope, intercept = device.rescale or (1.0, 0.0)
    if device.rescale is not None:
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = f"{intercept:g}", f"{slope:g}", "US"
    if device.modality == "DX":
        dataset.PresentationLUTShape = "INVERSE" if device.inverted else "IDENTITY"
    if device.windows:  # window values stand behind the rescale (PS3.3 C.11.2.1.2), before MONOCHROME1 is inverted
        ends = [tuple((device.low + span * part) * slope + intercept for part in w) for w in device.windows]
        dataset.WindowCenter = [f"{(low + high) / 2:g}" for low, high in ends]
        dataset.WindowWidth = [f"{high - low:g}" for low, high in ends]
        dataset.WindowCenterWidthExplanation = ["STANDARD", "LUNG"][: len(ends)]
    dataset.PixelData = stored.tobytes()
    dataset["PixelData"].VR = "OW"
