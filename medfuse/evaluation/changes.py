"""Changes that scans and notes plausibly undergo elsewhere, each from none (0) to the strongest tried (1)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from jaxtyping import Float32
    from numpy import ndarray

Pixels = "Float32[ndarray, 'h w']"
Rng = np.random.Generator

GAMMA = 2.5  # greys to this power, or its inverse: a grossly dark or bright display
NOISE = 0.2  # standard deviation of added noise, of the whole range of greys
DEGREES = 20.0  # of rotation about the centre
COARSEST = 12  # by which the resolution is divided
JPEG = (95, 5)  # quality at strength 0 and 1
CROPPED = 0.3  # share of each side's length that is cut off at the most
TYPOS = 0.3  # share of the words with a typing error at the most

ABBREVIATIONS = {
    "patient": "pt", "history": "hx", "shortness of breath": "SOB", "chest pain": "CP", "treatment": "tx",
    "symptoms": "sx", "diagnosis": "dx", "fracture": "fx", "with": "w/", "without": "w/o", "year old": "yo",
    "years old": "yo", "blood pressure": "BP", "heart rate": "HR", "congestive heart failure": "CHF",
    "heart failure": "HF", "hypertension": "HTN", "diabetes": "DM", "pulmonary embolism": "PE", "right": "R",
    "left": "L", "bilateral": "b/l", "increased": "inc", "decreased": "dec", "temperature": "temp",
    "status post": "s/p",
}  # fmt: skip
NEGATIONS = {
    "no": "some", "not": "", "denies": "reports", "without": "with", "negative for": "positive for",
    "absent": "present", "never": "often", "reports": "denies", "with": "without", "present": "absent",
    "positive for": "negative for",
}  # fmt: skip


def exposure(pixels: Float32[ndarray, "h w"], strength: float, rng: Rng) -> Float32[ndarray, "h w"]:
    """Darker or brighter, by a gamma curve."""
    gamma = GAMMA ** (strength * rng.choice((-1.0, 1.0)))
    return np.asarray(np.clip(pixels, 0, 1) ** gamma, dtype=np.float32)


def noise(pixels: Float32[ndarray, "h w"], strength: float, rng: Rng) -> Float32[ndarray, "h w"]:
    """Grain, as of a low dose."""
    return _greys(pixels + NOISE * strength * rng.standard_normal(pixels.shape, dtype=np.float32))


def rotation(pixels: Float32[ndarray, "h w"], strength: float, rng: Rng) -> Float32[ndarray, "h w"]:
    """Turned about its centre to either side; what comes in is black."""
    degrees = DEGREES * strength * float(rng.choice((-1.0, 1.0)))
    return _greys(np.asarray(Image.fromarray(pixels).rotate(degrees, Image.Resampling.BILINEAR)))


def resolution(pixels: Float32[ndarray, "h w"], strength: float, rng: Rng) -> Float32[ndarray, "h w"]:  # noqa: ARG001
    """Coarser pixels, at the same size."""
    rows, columns = pixels.shape
    factor = 1 + (COARSEST - 1) * strength
    small = (max(1, round(columns / factor)), max(1, round(rows / factor)))
    coarse = Image.fromarray(pixels).resize(small, Image.Resampling.BOX)
    return _greys(np.asarray(coarse.resize((columns, rows), Image.Resampling.BILINEAR)))


def jpeg(pixels: Float32[ndarray, "h w"], strength: float, rng: Rng) -> Float32[ndarray, "h w"]:  # noqa: ARG001
    """Lossy compression."""
    stream = BytesIO()
    grey = Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8))
    grey.save(stream, format="JPEG", quality=round(JPEG[0] + (JPEG[1] - JPEG[0]) * strength))
    return np.asarray(np.asarray(Image.open(stream), dtype=np.float32) / 255, dtype=np.float32)


def inversion(pixels: Float32[ndarray, "h w"], strength: float, rng: Rng) -> Float32[ndarray, "h w"]:
    """Black for white, in this share of the scans: a photometric interpretation that was not heeded."""
    return _greys(1 - pixels) if rng.random() < strength else pixels


def crop(pixels: Float32[ndarray, "h w"], strength: float, rng: Rng) -> Float32[ndarray, "h w"]:
    """Borders cut off, more on one side than on the other."""
    rows, columns = pixels.shape
    down, across = (CROPPED * strength * size for size in (rows, columns))
    top, left = int(down * rng.random()), int(across * rng.random())
    return pixels[top : max(top + 1, rows - int(down) + top), left : max(left + 1, columns - int(across) + left)]


def typos(text: str, strength: float, rng: Rng) -> str:
    """Two letters of a word exchanged, or one left out."""

    def mistyped(match: re.Match[str]) -> str:
        word = match[0]
        chance, place, lost = rng.random(), int(rng.integers(len(word) - 1)), rng.random() < 0.5
        if chance >= TYPOS * strength:
            return word
        swapped = word[place + 1] + word[place]
        return word[:place] + ("" if lost else swapped) + word[place + (1 if lost else 2) :]

    return re.sub(r"[A-Za-z]{3,}", mistyped, text)


def abbreviation(text: str, strength: float, rng: Rng) -> str:
    """Common words as they are abbreviated."""
    return _exchanged(text, ABBREVIATIONS, strength, rng)


def negation(text: str, strength: float, rng: Rng) -> str:
    """Negations turned into their opposite: the sense changes, so the model should change its mind."""
    return _exchanged(text, NEGATIONS, strength, rng)


def word_order(text: str, strength: float, rng: Rng) -> str:
    """Words of a sentence in any order, in this share of the sentences."""

    def mixed(match: re.Match[str]) -> str:
        chance, words = rng.random(), match[0].split(" ")
        order = rng.permutation(len(words))
        return " ".join(words[place] for place in order) if chance < strength else match[0]

    return re.sub(r"[^.:;\n]+", mixed, text)


SCAN_CHANGES: Mapping[str, Callable[[ndarray, float, Rng], ndarray]] = {
    "exposure": exposure,
    "noise": noise,
    "rotation": rotation,
    "resolution": resolution,
    "JPEG": jpeg,
    "inversion": inversion,
    "crop": crop,
}
TEXT_CHANGES: Mapping[str, Callable[[str, float, Rng], str]] = {
    "typos": typos,
    "abbreviation": abbreviation,
    "negation flips": negation,
    "word order": word_order,
}
SECTIONS = "dropped sections"  # the fifth change of notes, made while they are selected


def _exchanged(text: str, words: Mapping[str, str], strength: float, rng: Rng) -> str:
    longest = sorted(words, key=len, reverse=True)
    pattern = r"\b(?:" + "|".join(map(re.escape, longest)) + r")\b"

    def exchanged(found: re.Match[str]) -> str:
        # A draw for every match, taken or not, so that a stronger change holds all of a weaker one.
        return words[found[0].lower()] if rng.random() < strength else found[0]

    return re.sub(pattern, exchanged, text, flags=re.IGNORECASE)


def _greys(pixels: ndarray) -> Float32[ndarray, "h w"]:
    return np.asarray(np.clip(pixels, 0, 1), dtype=np.float32)
