"""Grayscale softcopy presentation states: how a reader chose to see an image (PS3.3 A.33.1, PS3.4 N.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from medfuse.imaging.boundary import UnreadableError
from medfuse.imaging.elements import BROKEN, items_of, numbers_of, text_of

STATE = "1.2.840.10008.5.1.4.1.1.11.1"  # Grayscale Softcopy Presentation State Storage
_MODALITY = ("ModalityLUTSequence", "RescaleSlope", "RescaleIntercept", "RescaleType")
_VOI = ("VOILUTSequence", "WindowCenter", "WindowWidth", "VOILUTFunction")
_SHAPE = "PresentationLUTShape"
_IMAGES, _UID = "ReferencedImageSequence", "ReferencedSOPInstanceUID"


def check_state(dataset: Any, state: Any) -> None:
    """See that a data set is a presentation state of an image.

    Raises:
        UnreadableError: If it is no such state, or not one of this image.
    """
    if text_of(state, "SOPClassUID") != STATE:
        reason = "the presentation state given is none (Grayscale Softcopy Presentation State); name the right file"
        raise UnreadableError(reason)
    named = [text_of(image, _UID) for image in _listed(state)]
    if text_of(dataset, "SOPInstanceUID") not in named:
        reason = "the presentation state given belongs to other images; name the one of this image"
        raise UnreadableError(reason)


def holds_for(dataset: Any, state: Any, frames: Sequence[int]) -> bool:
    """Whether a presentation state of an image is one of all of these frames of it (from 0)."""
    uid = text_of(dataset, "SOPInstanceUID")
    return all(any(_covers(image, uid, frame) for image in _listed(state)) for frame in frames)


def apply_state(dataset: Any, state: Any, warnings: list[str], *, frame: int = 0) -> None:
    """Put the greys of a presentation state in the place of an image's own.

    Its modality, VOI and presentation transforms stand for those of the image even where it has none: then there is
    none (PS3.4 N.2.1). Shutters, annotations, rotation and the displayed area are left out, since they are a view of
    the image and no greys.

    Args:
        dataset: The image, with the functional groups of the frame at its top; it is changed.
        state: The presentation state; that it is one of this image has been seen.
        warnings: Receives what was not applied.
        frame: Which frame, from 0: the first VOI transform for it is taken (PS3.3 C.11.8).

    Raises:
        UnreadableError: If it is damaged.
    """
    uid = text_of(dataset, "SOPInstanceUID")
    fitting = [
        item
        for item in items_of(state, "SoftcopyVOILUTSequence")
        if not (images := items_of(item, _IMAGES)) or any(_covers(image, uid, frame) for image in images)
    ]
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


def _listed(state: Any) -> list[Any]:
    return [image for series in items_of(state, "ReferencedSeriesSequence") for image in items_of(series, _IMAGES)]


def _covers(image: Any, uid: str, frame: int) -> bool:
    """Whether a reference is to an image, and to this frame if it names frames (from 1; PS3.3 10.3)."""
    frames = numbers_of(image, "ReferencedFrameNumber")
    return text_of(image, _UID) == uid and (not frames or frame + 1 in frames)
