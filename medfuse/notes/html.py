"""HTML to text, by lxml: what a page shows, a block a line."""

from __future__ import annotations

import re
from collections.abc import Iterator

from medfuse.imaging.boundary import foreign
from medfuse.notes.document import Document
from medfuse.notes.plain_text import decode

_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "br", "caption", "dd", "div", "dl", "dt", "figcaption", "figure",
    "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre",
    "section", "table", "tbody", "tfoot", "thead", "tr", "ul",
})  # fmt: skip
_CELLS = frozenset({"td", "th"})
_HIDDEN = frozenset({"title", "script", "style", "template", "noscript"})
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:-]{1,40})", re.IGNORECASE)
_LOOK = 1024  # bytes in which a page has to say its encoding (HTML standard, 4.2.5.4)


def read_html(content: bytes, *, charset: str = "") -> Document:
    """The text that an HTML page shows.

    Args:
        content: The file.
        charset: What is said elsewhere of its encoding; a byte order mark and the page's own word come first.

    Raises:
        UnreadableError: If nothing can be made of it.
    """
    said = _CHARSET.search(content[:_LOOK])
    text, warnings = decode(content, charset=said[1].decode("ascii") if said else charset)
    return Document(text_of_html(text), warnings=warnings)


def text_of_html(page: str) -> str:
    """The text that a page or a fragment of one shows.

    Example:
        >>> text_of_html("<p>HISTORY: 3 &lt; 4<br>FINDINGS: <b>clear</b></p>").splitlines()
        ['HISTORY: 3 < 4', 'FINDINGS: clear']

    Raises:
        UnreadableError: If nothing can be made of it.
    """
    lines = (" ".join(line.split()) for line in "".join(_pieces(page)).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _pieces(page: str) -> Iterator[str]:
    """What is shown, in order, with a newline at each end of a block."""
    from lxml import etree

    if not page.strip():
        return
    parser = etree.HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, no_network=True)
    reason = "a damaged HTML page; save the note as text"
    with foreign(reason, etree.LxmlError):
        root = etree.fromstring(page.encode("utf-8", "replace"), parser)
    if root is None:
        return
    hidden = preformatted = 0
    for event, element in etree.iterwalk(root, events=("start", "end")):
        started = 1 if event == "start" else -1
        hidden += started * (element.tag in _HIDDEN)
        preformatted += started * (element.tag == "pre")
        if element.tag in _BLOCKS:
            yield "\n"
        elif element.tag in _CELLS:
            yield " "
        text = (element.text if event == "start" else element.tail) or ""
        if not hidden:
            yield text if preformatted else text.replace("\n", " ").replace("\r", " ")
