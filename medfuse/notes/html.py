"""HTML to text: what a page shows, a block a line."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from medfuse.notes.document import Document
from medfuse.notes.plain_text import decode

_BLOCKS = frozenset({
    "address", "article", "aside", "blockquote", "br", "caption", "dd", "div", "dl", "dt", "figcaption", "figure",
    "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header", "hr", "li", "main", "nav", "ol", "p", "pre",
    "section", "table", "tbody", "tfoot", "thead", "tr", "ul",
})  # fmt: skip
_HIDDEN = frozenset({"head", "script", "style", "template", "noscript"})
_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:-]{1,40})", re.IGNORECASE)
_LOOK = 1024  # bytes in which a page has to say its encoding (HTML standard, 4.2.5.4)
_MARKUP = (("<!--", "-->"), ("<![CDATA[", "]]>"), ("<!", ">"), ("<?", ">"))


def read_html(content: bytes, *, charset: str = "") -> Document:
    """The text that an HTML page shows.

    Args:
        content: The file.
        charset: What is said elsewhere of its encoding; a byte order mark and the page's own word come first.
    """
    said = _CHARSET.search(content[:_LOOK])
    text, warnings = decode(content, charset=said[1].decode("ascii") if said else charset)
    return Document(text_of_html(text), warnings=warnings)


def text_of_html(page: str) -> str:
    """The text that a page or a fragment of one shows.

    Example:
        >>> text_of_html("<p>HISTORY: 3 &lt; 4<br>FINDINGS: <b>clear</b></p>").splitlines()
        ['HISTORY: 3 < 4', 'FINDINGS: clear']
    """
    parser = _Text()
    parser.feed(_without_comments(page))
    parser.close()
    lines = (" ".join(line.split()) for line in "".join(parser.pieces).split("\n"))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._hidden: list[str] = []
        self._preformatted = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - its signature
        if tag in ("body", "div", "p", "table"):
            self._hidden = [hidden for hidden in self._hidden if hidden != "head"]  # its end may be left out
        if tag in _HIDDEN:
            self._hidden.append(tag)
        elif tag in _BLOCKS:
            self.pieces.append("\n")
            self._preformatted += tag == "pre"
        elif tag in ("td", "th"):
            self.pieces.append(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._hidden:
            del self._hidden[self._hidden.index(tag) :]
        elif tag in _BLOCKS:
            self.pieces.append("\n")
            self._preformatted -= tag == "pre"

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.pieces.append(data if self._preformatted > 0 else data.replace("\n", " ").replace("\r", " "))


def _without_comments(page: str) -> str:
    """The page without comments and declarations, for which html.parser can take quadratic time if they do not end."""
    pieces, last = [], 0
    while (start := page.find("<!", last)) >= 0:
        pieces.append(page[last:start])
        opening, closing = next(pair for pair in _MARKUP if page.startswith(pair[0], start))
        end = page.find(closing, start + len(opening))
        if end < 0:
            return "".join(pieces)
        last = end + len(closing)
    return "".join([*pieces, page[last:]])
