"""Which scans and which notes are nearly the same: candidates by short codes, each pair then compared in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from medfuse.audit.files import SIDE, small
from medfuse.errors import ScanError
from medfuse.imaging import read_scan

if TYPE_CHECKING:
    from jaxtyping import Float32, UInt8, UInt32, UInt64
    from numpy import ndarray

ALIKE_SCANS = (
    0.7  # correlation of the detail of two scans: copies at a quarter of the size have 0.8, other scans below 0.5
)
ALIKE_NOTES = 0.8  # Jaccard similarity of the three-word shingles of two notes
FEWEST_SHINGLES = 20  # shorter notes are alike by chance
HASHES = 64  # of a MinHash signature
BANDS = 16  # of 4 hashes: two notes of similarity 0.8 share one with probability 0.9998
MOST_PAIRS = 1000  # of scans that are read once more
_BITS, _ROUGH = 10, 0.95  # of 63 that may differ, and least correlation of two thumbnails
_DETAIL = 128  # side at which two scans are compared, pixels
_BLUR = 3.0  # standard deviation of what is taken off so that only detail is left, pixels at that side
_BLOCK = 512  # hashes compared with all others at a time; a bound on memory
_WORD = r"\w+"
_PRIME = np.uint64(2**31 - 1)


def perceptual_hash(thumbnail: UInt8[ndarray, "h w"]) -> int:
    """63 bits: which of the 8 x 8 lowest frequencies but the mean are above their median.

    Source: Zauner 2010, Implementation and Benchmarking of Perceptual Image Hash Functions, section 3.2.1.
    """
    from scipy.fft import dctn

    low = dctn(thumbnail.astype(np.float64), norm="ortho")[:8, :8].ravel()[1:]
    bits = np.packbits(low > np.median(low))
    return int.from_bytes(bits.tobytes(), "big")


def near_scans(
    thumbnails: Sequence[UInt8[ndarray, "h w"]], paths: Sequence[Path]
) -> tuple[list[tuple[int, int, float]], int]:
    """Pairs of scans that show the same picture at another size, quality or brightness, and how alike they are.

    Radiographs of one view are all alike from afar, so a pair that is near by its hash and thumbnail is read again
    and its fine detail compared, which two exposures do not share. A copy that was cropped or turned is not found.

    Returns:
        Pairs with the correlation of their detail, and how many pairs were left unread because there were too many.
    """
    if len(thumbnails) < 2:
        return [], 0
    hashes = np.array([perceptual_hash(thumbnail) for thumbnail in thumbnails], dtype=np.uint64)
    plain = np.stack(thumbnails).reshape(len(thumbnails), SIDE * SIDE)
    rough = [
        (first, second, likeness)
        for first, second in _near_hashes(hashes)
        if (likeness := _correlation(plain[first].astype(np.float32), plain[second].astype(np.float32))) >= _ROUGH
    ]
    rough.sort(key=lambda pair: -pair[2])
    found = []
    for first, second, _ in rough[:MOST_PAIRS]:
        try:
            likeness = _correlation(_detail(paths[first]), _detail(paths[second]))
        except ScanError:  # gone since it was first read
            continue
        if likeness >= ALIKE_SCANS:
            found.append((first, second, likeness))
    return found, max(0, len(rough) - MOST_PAIRS)


def _near_hashes(hashes: UInt64[ndarray, " n"]) -> Iterator[tuple[int, int]]:
    for start in range(0, len(hashes), _BLOCK):
        block = hashes[start : start + _BLOCK]
        apart = np.bitwise_count(block[:, None] ^ hashes[None, start:])
        for first, second in zip(*np.nonzero(apart <= _BITS), strict=True):
            if first < second:
                yield start + int(first), start + int(second)


def _detail(path: Path) -> Float32[ndarray, " p"]:
    from scipy.ndimage import gaussian_filter

    pixels = read_scan(path).pixels
    assert pixels is not None
    square = small(pixels, _DETAIL)
    return np.asarray(square - gaussian_filter(square, _BLUR), dtype=np.float32).ravel()


def _correlation(first: Float32[ndarray, " p"], second: Float32[ndarray, " p"]) -> float:
    first, second = first - first.mean(), second - second.mean()
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / norm if norm > 0 else 0.0


class Signatures:
    """MinHash signatures of notes, added some at a time.

    Source: Broder 1997, On the resemblance and containment of documents, section 4.
    """

    def __init__(self) -> None:
        from sklearn.feature_extraction.text import HashingVectorizer

        rng = np.random.default_rng(0)
        self._times = rng.integers(1, int(_PRIME), size=HASHES, dtype=np.uint64)
        self._plus = rng.integers(0, int(_PRIME), size=HASHES, dtype=np.uint64)
        self._shingles = HashingVectorizer(
            n_features=2**30, ngram_range=(3, 3), binary=True, norm=None, alternate_sign=False, token_pattern=_WORD
        )
        self._parts: list[UInt32[ndarray, "n h"]] = []
        self._lengths: list[ndarray] = []

    def add(self, texts: Sequence[str]) -> None:
        """Sign some more notes."""
        found: Any = self._shingles.transform(texts)
        count = np.diff(found.indptr)
        signed = np.full((len(texts), HASHES), 2**32 - 1, dtype=np.uint32)
        filled = count > 0
        if filled.any():
            starts, shingles = found.indptr[:-1][filled], found.indices.astype(np.uint64)
            for n, (times, plus) in enumerate(zip(self._times, self._plus, strict=True)):
                signed[filled, n] = np.minimum.reduceat((shingles * times + plus) % _PRIME, starts)
        self._parts.append(signed)
        self._lengths.append(count)

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Pairs of long enough notes that share a band, each once; of very many in one band, each with the first."""
        if not self._parts:
            return
        long = np.concatenate(self._lengths) >= FEWEST_SHINGLES
        rows = np.flatnonzero(long)
        seen: set[tuple[int, int]] = set()
        for begin in range(0, HASHES, HASHES // BANDS):  # a band at a time, so that no second copy of all is made
            band = np.concatenate([part[:, begin : begin + HASHES // BANDS] for part in self._parts])[long]
            keys = np.ascontiguousarray(band).view(np.dtype((np.void, band.dtype.itemsize * band.shape[1]))).ravel()
            _, place, size = np.unique(keys, return_inverse=True, return_counts=True)
            order = np.argsort(place, kind="stable")
            ends = np.cumsum(size)
            for end, count in zip(ends[size > 1].tolist(), size[size > 1].tolist(), strict=True):
                members = rows[order[end - count : end]].tolist()
                for place_in, second in enumerate(members):
                    for first in members[:place_in] if count <= 8 else members[: min(place_in, 1)]:
                        if (first, second) not in seen:
                            seen.add((first, second))
                            yield first, second


def shingles(text: str) -> frozenset[tuple[str, ...]]:
    """The runs of three words of a text."""
    words = "".join(c if c.isalnum() or c == "_" else " " for c in text.lower()).split()
    return frozenset(zip(words, words[1:], words[2:], strict=False))


def resemblance(first: frozenset, second: frozenset) -> float:
    """Jaccard similarity."""
    return len(first & second) / max(1, len(first | second))
