"""The nouns: Case, Scan, Note, Prediction, as plain frozen data without torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from jaxtyping import Float32
    from numpy import ndarray

Modality = Literal["image", "text", "tabular"]
MODALITIES: tuple[Modality, ...] = ("image", "text", "tabular")

Split = Literal["train", "validation", "calibration", "test"]
SPLITS: tuple[Split, ...] = ("train", "validation", "calibration", "test")


@dataclass(frozen=True, slots=True)
class ScanReceipt:
    """What reading a scan did, so that a reader can see what was applied and what was assumed.

    Attributes:
        sha256: Digest of the file's bytes, hexadecimal; of a folder, over the names and digests of its files. Empty
            where it was left out.
        format: `DICOM`, `NIfTI`, `PNG`, `JPEG` or `TIFF`.
        rows: Height of the stored image, pixels.
        columns: Width of the stored image, pixels.
        bits: Bits that carry a stored value (DICOM Bits Stored, PS3.3 C.7.6.3).
        photometric: Photometric Interpretation as the file states it, or the picture's mode.
        inverted: Whether values were inverted so that white means more (MONOCHROME1, or presentation LUT INVERSE).
        transfer_syntax: Name of the transfer syntax; None for pictures.
        modality: DICOM Modality (CR, DX, …); None if not stated.
        view: View Position (PA, AP, LL, …); None if not stated.
        rescale: Slope and intercept that were applied; None if there were none.
        voi: What mapped stored values to grey, in words.
        aspect: Height of a pixel over its width, where that is stated and no spacing is.
        frames: Slices of the volume, or frames of the file; 1 for a single image.
        shown: Which of them became pixels, from 1, in their order along the volume.
        series: Number of the DICOM series, and by which rule it was chosen of several; None for a single file.
        warnings: What was odd or assumed, one line each.
    """

    sha256: str
    format: str
    rows: int
    columns: int
    bits: int
    photometric: str
    inverted: bool = False
    transfer_syntax: str | None = None
    modality: str | None = None
    view: str | None = None
    rescale: tuple[float, float] | None = None
    voi: str = "none"
    aspect: float = 1.0
    frames: int = 1
    shown: tuple[int, ...] = (1,)
    series: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Scan:
    """One image of a case, or one volume as evenly spaced slices of it.

    Attributes:
        path: The file, or the folder of a series.
        pixels: Grey values [H, W], of a volume [S, H, W], float32 in 0…1, 1 is white on a reading screen; None before
            reading.
        spacing: Millimetres between rows and between columns; None if not stated.
        receipt: What reading did; None before reading.
    """

    path: Path
    pixels: Float32[ndarray, "*s h w"] | None = field(default=None, repr=False, compare=False)
    spacing: tuple[float, float] | None = None
    receipt: ScanReceipt | None = None

    @property
    def thumbnail(self) -> bytes:
        """PNG of exactly these pixels in 8 bits, slices side by side: of a fitted scan, what the network sees.

        Empty before reading. It is made when it is asked for, since making it takes as long as parsing a file.
        """
        if self.pixels is None:
            return b""
        from io import BytesIO

        import numpy as np
        from PIL import Image

        pixels = np.concatenate(list(self.pixels), axis=1) if self.pixels.ndim == 3 else self.pixels
        stream = BytesIO()
        Image.fromarray(np.rint(pixels * 255).astype(np.uint8)).save(stream, format="PNG")
        return stream.getvalue()


@dataclass(frozen=True, slots=True)
class Section:
    """A named stretch of a note: `note.text[start:end]`, without its header.

    `name` is the header in capitals (`INDICATION`, `FINDINGS`, …), or `""` for text before any header.
    """

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Note:
    """One document of a case.

    Attributes:
        path: The file; None if the text was given directly.
        text: The whole text; None before reading.
        sections: Stretches of the text in order; together they cover it but for headers.
        kind: What document it is, in small letters (`radiology report`, `discharge summary`, …); "" if not stated.
        time: When it was written, ISO 8601; None if not stated.
        sha256: Digest of the file's bytes, hexadecimal; empty before reading.
        warnings: What was odd or assumed, one line each.
    """

    path: Path | None = None
    text: str | None = field(default=None, repr=False)
    sections: tuple[Section, ...] = ()
    kind: str = ""
    time: str | None = None
    sha256: str = ""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Case:
    """What a clinician has in hand at one moment; any part but the ids may be missing.

    Attributes:
        case_id: Unique in its cohort.
        patient_id: Cases of one patient share it; splits never separate them.
        time: ISO 8601 date or date-time, or what the source says of the order (`day 3`); None if not known.
        split: Which split the case belongs to; None if the cohort has none yet.
        scans: The images.
        notes: The documents.
        values: Tabular values by column: a number, a category, or None where missing.
        labels: 1, 0 or None (not known) by label. In a multiclass task at most one label is 1, and all are None
            where the diagnosis is not known.
        uncertain: Labels that the source calls uncertain (-1 in the table); they are None in `labels`, so no metric
            counts them, and the config says what they are in training.
        groups: What subgroups are reported by (site, view, …); never an input of a model.
        problems: What was wrong with the case's row, one line each; a scan or note named there is left out.
    """

    case_id: str
    patient_id: str
    time: str | None = None
    split: Split | None = None
    scans: tuple[Scan, ...] = ()
    notes: tuple[Note, ...] = ()
    values: Mapping[str, float | str | None] = field(default_factory=dict)
    labels: Mapping[str, int | None] = field(default_factory=dict)
    uncertain: frozenset[str] = frozenset()
    groups: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    @property
    def labelled(self) -> bool:
        """Whether any label is known."""
        return any(value is not None for value in self.labels.values())


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the model says of one case.

    Attributes:
        case_id: The case.
        probabilities: Calibrated probability by label; empty if `error`.
        prediction_set: Labels that cannot be excluded at the bundle's coverage (conformal prediction).
        abstain: Whether the set names no single answer, which a reader should take as "not sure".
        flagged: Labels whose probability reaches the threshold that keeps the bundle's stated sensitivity; none if it
            states none.
        modalities: The modalities that were present and used.
        contributions: Shapley value by modality on the probability of the most probable label; they add up to that
            probability minus the one with nothing present.
        warnings: What a reader must know about the input, one line each.
        unreadable: Which of its files could not be read, one line each; they stand among the warnings too.
        error: Why the case could not be classified; None if it was.
        bundle: Digest of the bundle that said so.
    """

    case_id: str
    probabilities: Mapping[str, float] = field(default_factory=dict)
    prediction_set: tuple[str, ...] = ()
    abstain: bool = True
    flagged: tuple[str, ...] = ()
    modalities: tuple[Modality, ...] = ()
    contributions: Mapping[str, float] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    error: str | None = None
    bundle: str = ""
