"""Grayscale softcopy presentation states: how a reader chose to see an image (PS3.3 A.33.1, PS3.4 N.2)."""

from __future__ import annotations

from typing import Any

from medfuse.imaging.boundary import UnreadableError
from medfuse.imaging.elements import BROKEN, items_of, text_of

STATE = "1.2.840.10008.5.1.4.1.1.11.1"  # Grayscale Softcopy Presentation State Storage
_MODALITY = ("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept", "RescaleType")
_VOI = ("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction")
_SHAPE = "PresentationLUTShape"


def apply_state(dataset: Any, state: Any, warnings: list[str]) -> None:
    """Put the greys of a presentation state in the place of an image's own.

    Its modality, VOI and presentation transforms stand for those of the image even where it has none: then there is
    none (PS3.4 N.2.1). Shutters, annotations, rotation and the displayed area are left out, since they are a view of
    the image and no greys.

    Args:
        dataset: The image; it is changed.
        state: The presentation state.
        warnings: Receives what was not applied.

    Raises:
        UnreadableError: If it is no such state, or not one of this image.
    """
    if text_of(state, "SOPClassUID") != STATE:
        reason = "the presentation state given is none (Grayscale Softcopy Presentation State); name the right file"
        raise UnreadableError(reason)
    uid = text_of(dataset, "SOPInstanceUID")
    named = [image for series in items_of(state, "ReferencedSeriesSequence") for image in _images(series)]
    if uid not in named:
        reason = "the presentation state given belongs to other images; name the one of this image"
        raise UnreadableError(reason)
    fitting = [item for item in items_of(state, "SoftcopyVOILUTSequence") if uid in (_images(item) or [uid])]
    for keyword in (*_MODALITY, *_VOI, _SHAPE):
        if keyword in dataset:
            del dataset[keyword]
    try:
        for source, keywords in ((state, (*_MODALITY, _SHAPE)), *((item, _VOI) for item in fitting[:1])):
            for keyword in keywords:
                if keyword in source:
                    dataset[keyword] = source[keyword]
    except BROKEN as error:
        reason = "the presentation state given is damaged; read the image without it"
        raise UnreadableError(reason) from error
    if "PresentationLUTSequence" in state:
        warnings.append("the presentation state's own presentation LUT is not applied; taken as linear")
    for keyword in ("ShutterShape", "GraphicAnnotationSequence"):
        if keyword in state:
            warnings.append("shutters and annotations of the presentation state are not shown")
            break


def _images(item: Any) -> list[str]:
    return [text_of(image, "ReferencedSOPInstanceUID") for image in items_of(item, "ReferencedImageSequence")]
