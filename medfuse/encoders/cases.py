"""Cases to what the model takes: files are read, fitted, cut into windows and, by frozen encoders, encoded.

Files are read, cut into windows and encoded in as many threads as may work, ahead of whoever takes the cases. A damaged
file costs that file: the case goes on with the rest, and says so.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from medfuse.case import Case, Modality, Note, Scan
from medfuse.config import Config
from medfuse.encoders.cache import TokenCache, digest_of, half, key_of
from medfuse.encoders.contents import contents_of_note, contents_of_scan
from medfuse.encoders.image import ImageEncoder
from medfuse.encoders.tabular import Column
from medfuse.encoders.text import NoteTokenizer, TextEncoder, pad
from medfuse.encoders.threads import budget, torch_threads
from medfuse.encoders.windows import read_windows
from medfuse.errors import NoteError, ScanError
from medfuse.imaging import fit_scan, read_fitted, scan_digest
from medfuse.imaging.boundary import UnreadableError
from medfuse.imaging.read import refusal_line
from medfuse.notes import by_time, model_text, note_from_text, read_note

if TYPE_CHECKING:
    from torch import Tensor

_CHUNK = 16  # cases whose notes are encoded together
_AHEAD = 2  # chunks that are read while the notes of the one before are encoded
_IMAGES = 4  # slices of one scan in one forward pass of a frozen encoder; larger batches are no faster on a CPU
_TOKENS = 256  # padded tokens in one forward pass of a frozen text encoder: short windows together, long ones alone

CONTEXT, KEPT = 1, 2  # marks beside token ids: read for context only, and read for itself


@dataclass(frozen=True)
class EncodedCase:
    """A case as the model takes it.

    Attributes:
        case: The case.
        parts: By modality; one that is absent is not there. `image`: half-precision tokens [L, D] of a frozen encoder,
            or, for one that learns, grey squares [S, size, size] or windows of volumes [W, X, Y, Z]. `text`: tokens
            [L, D], or ids with marks [W, T, 2].
            `tabular`: encoded values [C].
        warnings: What a reader must know about the input.
        unreadable: Files that could not be read, one line each.
        contents: Digests of what its scans and longer notes hold, whatever they are called (see `contents.py`).
    """

    case: Case
    parts: Mapping[Modality, Tensor]
    warnings: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()


@dataclass
class _Item:
    """A scan or the notes of a case, not yet tokens.

    `pixels`: [S, size, size], one square or a volume's slices, or windows [W, X, Y, Z].
    """

    key: str
    tokens: Tensor | None = None
    pixels: Tensor | None = None
    windows: list[tuple[list[int], list[bool]]] = field(default_factory=list)
    warnings: tuple[str, ...] = ()
    contents: tuple[str, ...] = ()


@dataclass
class _Read:
    """A case whose files were read."""

    case: Case
    scans: list[_Item] = field(default_factory=list)
    text: _Item | None = None
    warnings: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)


class CaseEncoder:
    """Streams cases through reading and frozen encoders.

    Args:
        config: The configuration of the model.
        image: The imaging encoder; None if scans are not used.
        text: The text encoder; None if notes are not used.
        tokenizer: The text encoder's tokenizer.
        columns: The tabular columns; empty if values are not used.
        cache: Where tokens of frozen encoders are kept; None keeps nothing.
    """

    def __init__(
        self,
        config: Config,
        *,
        image: ImageEncoder | None,
        text: TextEncoder | None,
        tokenizer: NoteTokenizer | None,
        columns: Sequence[Column],
        cache: TokenCache | None = None,
    ) -> None:
        self.config = config
        self.image = image.eval() if image is not None and is_frozen(config, "image") else None
        self.text = text.eval() if text is not None and is_frozen(config, "text") else None
        self._image: Callable[[Tensor], Tensor] | None = self.image
        self._text: Callable[[Tensor, Tensor], Tensor] | None = self.text
        self.tokenizer = tokenizer
        self.columns = columns
        self.cache = cache
        self._threads = budget()
        self._digests = {
            name: digest_of(encoder) if cache is not None and encoder is not None else ""
            for name, encoder in (("image", self.image), ("text", self.text))
        }

    def use(
        self,
        engine: str,
        *,
        image: Callable[[Tensor], Tensor] | None = None,
        text: Callable[[Tensor, Tensor], Tensor] | None = None,
    ) -> None:
        """Let something else than torch run the frozen encoders; its tokens are kept under keys of their own.

        Args:
            engine: What it is called.
            image: Takes the place of the imaging encoder.
            text: Takes the place of the text encoder.
        """
        if budget() > 1:  # between short passes threads wait for Python's lock, and one more fills the gaps
            self._threads = budget() + 1
        if image is not None and self.image is not None:
            self._image, self._digests["image"] = image, f"{self._digests['image']} {engine}"
        if text is not None and self.text is not None:
            self._text, self._digests["text"] = text, f"{self._digests['text']} {engine}"

    def encode_pixels(self, pixels: Tensor) -> Tensor:
        """Tokens [N, L, D] of fitted scans [N, S, S], by the engine in use."""
        assert self._image is not None
        return self._image(pixels)

    def encode_ids(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Tokens [N, T, D] of padded windows [N, T], by the engine in use."""
        assert self._text is not None
        return self._text(ids, mask)

    def stream(self, cases: Iterable[Case]) -> Iterator[EncodedCase]:
        """Encode cases in order; memory holds a few chunks of them, however many there are."""
        remaining = iter(cases)
        reading: deque[list[Future[_Read]]] = deque()
        encoding: deque[tuple[list[_Read], list[Future[None]]]] = deque()
        with torch_threads(1), ThreadPoolExecutor(self._threads) as pool:
            try:
                while True:
                    while len(reading) < _AHEAD and (chunk := list(islice(remaining, _CHUNK))):
                        reading.append([pool.submit(self._read, case) for case in chunk])
                    if reading:
                        read = [future.result() for future in reading.popleft()]
                        texts = [one.text for one in read if one.text is not None]
                        encoding.append((read, [pool.submit(self._encode_texts, jobs) for jobs in self._jobs(texts)]))
                    if not encoding:
                        return
                    if len(encoding) > 1 or not reading:  # so that the threads have work while a chunk is taken
                        read, futures = encoding.popleft()
                        for future in futures:
                            future.result()
                        yield from (self._finish(one) for one in read)
            finally:
                pool.shutdown(cancel_futures=True)

    def _read(self, case: Case) -> _Read:
        # What is wrong with a label says what it was, and a reader must not see that beside the prediction.
        read = _Read(case, warnings=[line for line in case.problems if not line.startswith("label ")])
        if self.config.image is not None:
            for scan in case.scans[: self.config.image.max_scans]:
                try:
                    item = self._read_scan(scan)
                except ScanError as error:
                    read.unreadable.append(str(error))
                else:
                    read.scans.append(item)
                    read.contents.extend(item.contents)
                    read.warnings.extend(f"scan {scan.path.name}: {warning}" for warning in item.warnings)
            if (count := len(case.scans)) > (limit := self.config.image.max_scans):
                read.warnings.append(f"{count} scans; the first {limit} are used")
        if self.config.text is not None:
            self._read_notes(case, read)
        return read

    def _read_scan(self, scan: Scan) -> _Item:
        assert self.config.image is not None
        part = self.config.image
        # Without a cache nothing asks for the file's digest: what the pixels hold tells a copy as well.
        key, sha256, settings = "", "", (part.size, part.equalise, part.series, part.slices, part.volume)
        if self.cache is not None and self.image is not None:
            sha256 = self.cache.digest(scan.path, _bytes_digest)
            key = key_of("image", sha256, self._digests["image"], *settings)
            if (entry := self.cache.get(key)) is not None:
                tokens, warnings, contents = entry
                return _Item(key, tokens=tokens, warnings=warnings, contents=contents)
        if part.volume is not None:
            found = read_windows(scan, part.volume, series=part.series)
            contents = contents_of_scan(found.sha256, found.values.numpy())
            return _Item(key, pixels=found.values.half(), warnings=found.warnings, contents=contents)
        if scan.pixels is None:
            fitted = read_fitted(
                scan.path,
                part.size,
                equalise=part.equalise,
                series=part.series,
                slices=part.slices,
                sha256=sha256,
            )
        else:
            fitted = fit_scan(scan, part.size, equalise=part.equalise)
        assert fitted.pixels is not None
        assert fitted.receipt is not None
        pixels = torch.from_numpy(fitted.pixels).reshape(-1, *fitted.pixels.shape[-2:])
        contents = contents_of_scan(fitted.receipt.sha256, fitted.pixels)
        item = _Item(key, pixels=pixels, warnings=fitted.receipt.warnings, contents=contents)
        self._encode_scan(item)
        return item

    def _read_notes(self, case: Case, read: _Read) -> None:
        assert self.config.text is not None
        assert self.tokenizer is not None
        texts, wholes = [], []
        for note in case.notes:
            try:
                wholes.append(whole_note(note))
            except NoteError as error:
                read.unreadable.append(str(error))
        for whole in (wholes[place] for place in by_time(wholes)):
            name = whole.path.name if whole.path else "as given"
            read.warnings.extend(f"note {name}: {warning}" for warning in whole.warnings)
            read.contents.extend(contents_of_note(whole.text or ""))
            selected = model_text(whole, self.config.text, at=case.time).strip()
            if selected:
                texts.append(selected)
            elif whole.text:
                read.warnings.append(f"note {name}: nothing is left once the excluded sections are out")
        if not texts:
            return
        text = "\n\n".join(texts)
        settings = (self.config.text.window, self.config.text.overlap, self.config.text.max_windows)
        key = key_of("text", text, self._digests["text"], *settings)
        read.text = self._kept_text(key) or self._windows_of(key, text)
        if read.text is not None:
            read.warnings.extend(read.text.warnings)
        else:  # such as a note of nothing but unseen characters
            read.warnings.append("the notes hold no word")

    def _kept_text(self, key: str) -> _Item | None:
        """What the cache holds, without cutting the text into tokens first."""
        entry = self.cache.get(key) if self.cache is not None and self.text is not None else None
        return None if entry is None else _Item(key, tokens=entry[0], warnings=entry[1])

    def _windows_of(self, key: str, text: str) -> _Item | None:
        assert self.config.text is not None
        assert self.tokenizer is not None
        windows, most = self.tokenizer.windows(text), self.config.text.max_windows
        if not any(any(kept) for _, kept in windows):
            return None
        long = (f"notes fill {len(windows)} windows; the first {most} are used",) if len(windows) > most else ()
        return _Item(key, windows=windows[:most], warnings=long)

    @torch.inference_mode()
    def _encode_scan(self, item: _Item) -> None:
        if self._image is None or item.pixels is None:
            return
        starts = range(0, len(item.pixels), _IMAGES)
        tokens = [half(self._image(item.pixels[start : start + _IMAGES].float())) for start in starts]
        self._keep(item, torch.cat(tokens).flatten(0, 1))

    def _jobs(self, items: Sequence[_Item]) -> Iterator[list[_Item]]:
        """Notes of like length together, which waste little padding; none if the encoder is not frozen."""
        missing = [item for item in items if item.tokens is None] if self.text is not None else []
        missing.sort(key=lambda item: max(len(ids) for ids, _ in item.windows))
        job: list[_Item] = []
        for item in missing:
            windows = sum(len(one.windows) for one in (*job, item))
            if job and windows * max(len(ids) for ids, _ in item.windows) > _TOKENS:
                yield job
                job = []
            job.append(item)
        if job:
            yield job

    @torch.inference_mode()
    def _encode_texts(self, items: Sequence[_Item]) -> None:
        """Encode all windows of some notes, in passes of like length."""
        assert self._text is not None
        jobs = [(item, place) for item in items for place in range(len(item.windows))]
        jobs.sort(key=lambda job: len(job[0].windows[job[1]][0]))
        found: dict[tuple[int, int], Tensor] = {}
        while jobs:
            count = 1
            while count < len(jobs) and (count + 1) * len(jobs[count][0].windows[jobs[count][1]][0]) <= _TOKENS:
                count += 1
            batch, jobs = jobs[:count], jobs[count:]
            vectors = half(self._text(*pad([item.windows[place][0] for item, place in batch])))
            for (item, place), window in zip(batch, vectors, strict=True):
                kept = torch.tensor(item.windows[place][1])
                found[id(item), place] = window[: len(kept)][kept]
        for item in items:
            self._keep(item, torch.cat([found[id(item), place] for place in range(len(item.windows))]))

    def _keep(self, item: _Item, tokens: Tensor) -> None:
        item.tokens, item.pixels = tokens, None
        if self.cache is not None:
            self.cache.put(item.key, tokens, item.warnings, item.contents)

    def _finish(self, read: _Read) -> EncodedCase:
        parts: dict[Modality, Tensor] = {}
        if read.scans:
            tokens = [item.tokens for item in read.scans if item.tokens is not None]
            pixels = [item.pixels for item in read.scans if item.pixels is not None]
            parts["image"] = torch.cat(tokens or pixels)
        if read.text is not None:
            parts["text"] = read.text.tokens if read.text.tokens is not None else _marked(read.text.windows)
        if self.columns:
            values = torch.tensor([column.encode(read.case.values.get(column.name)) for column in self.columns])
            if not bool(values.isnan().all()):
                parts["tabular"] = values
        for column in self.columns:
            value = read.case.values.get(column.name)
            if column.categories and value is not None and value not in column.categories:
                read.warnings.append(
                    f"column '{column.name}' holds a category that training never saw; taken as missing"
                )
        warnings = tuple(read.warnings + read.unreadable)
        return EncodedCase(read.case, parts, warnings, tuple(read.unreadable), tuple(read.contents))


def is_frozen(config: Config, modality: Modality) -> bool:
    """Whether the modality's encoder stays as it is, so that its tokens can be kept."""
    if modality == "image":
        return config.image is not None and config.image.tune == "frozen"
    if modality == "text":
        return config.text is not None and config.text.tune == "frozen" and config.text.encoder != "rnn"
    return False


def whole_note(note: Note) -> Note:
    """The note with its text and sections, read if need be.

    Raises:
        NoteError: If it cannot be read.
    """
    if note.text is not None:
        return note if note.sections else note_from_text(note.text, kind=note.kind, time=note.time)
    if note.path is None:
        message = "a note has neither a path nor a text"
        raise NoteError(message)
    return read_note(note.path)


def _bytes_digest(path: Path) -> str:
    try:
        return scan_digest(path)
    except OSError as error:
        message = f"{path.name}: cannot be read ({error.strerror}); check that the file is there"
        raise ScanError(message) from error
    except UnreadableError as refusal:
        raise ScanError(refusal_line(path, refusal)) from refusal


def _marked(windows: Sequence[tuple[list[int], list[bool]]]) -> Tensor:
    """Ids and marks [W, T, 2] of windows; the mark of padding is 0."""
    ids, mask = pad([window for window, _ in windows])
    marks = torch.zeros_like(ids)
    for row, (_, kept) in enumerate(windows):
        marks[row, : len(kept)] = torch.where(torch.tensor(kept), KEPT, CONTEXT)
    return torch.stack([ids, marks.where(mask, 0)], dim=-1)
