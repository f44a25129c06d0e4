"""One modality to tokens: a name in the config to a module."""

from __future__ import annotations

from medfuse.encoders.encoded import Encoded
from medfuse.encoders.image import IMAGE_ENCODERS, ImageEncoder, build_image_encoder
from medfuse.encoders.tabular import Column, TabularEncoder, TabularFeatures
from medfuse.encoders.text import NoteTokenizer, TextEncoder, build_text_encoder
from medfuse.encoders.weights import WeightsReceipt

__all__ = [
    "IMAGE_ENCODERS",
    "Column",
    "Encoded",
    "ImageEncoder",
    "NoteTokenizer",
    "TabularEncoder",
    "TabularFeatures",
    "TextEncoder",
    "WeightsReceipt",
    "build_image_encoder",
    "build_text_encoder",
]
