"""PDF to text, by pypdf."""

from __future__ import annotations

import logging
import time
from io import BytesIO

from medfuse.imaging.boundary import UnreadableError, foreign
from medfuse.notes.document import Document

MOST_PAGES = 200
MOST_LETTERS = 1 << 22
MOST_SECONDS = 20.0

_DAMAGED = "a damaged PDF; save the note again, as PDF or as text"


def read_pdf(content: bytes) -> Document:
    """The text of every page, in order.

    Raises:
        UnreadableError: If it is damaged, locked, too large, or holds pictures of pages and no text.
    """
    import pypdf
    from pypdf.errors import PyPdfError

    logging.getLogger("pypdf").setLevel(logging.CRITICAL)  # its warnings quote the file
    with foreign(_DAMAGED, PyPdfError):
        reader = pypdf.PdfReader(BytesIO(content))
        locked = reader.is_encrypted and not reader.decrypt("")
        pages = 0 if locked else len(reader.pages)
    if locked:
        reason = "a PDF locked by a password; save the note without one"
        raise UnreadableError(reason)
    if pages > MOST_PAGES:
        reason = f"a PDF of {pages} pages, more than the {MOST_PAGES} that are read; give the note alone"
        raise UnreadableError(reason)
    texts: list[str] = []
    started = time.monotonic()
    for number in range(pages):
        with foreign(_DAMAGED, PyPdfError):
            texts.append(reader.pages[number].extract_text())
        if sum(map(len, texts)) > MOST_LETTERS or time.monotonic() - started > MOST_SECONDS:
            reason = "a PDF that takes too long or holds too much text for a note; give the note alone"
            raise UnreadableError(reason)
    if not any(text.strip() for text in texts):
        reason = "a PDF without text (pictures of pages); recognise its text first, or type it"
        raise UnreadableError(reason)
    return Document("\n\n".join(texts))
