from __future__ import annotations

import logging
from io import BytesIO

import pypdf
import pytest

from medfuse.errors import NoteError
from medfuse.notes.pdf import MOST_PAGES


def test_every_page_is_read_in_order(read, pdf):
    for flate in (False, True):
        note = read(pdf("HISTORY: cough\nand fever", "IMPRESSION: clear", flate=flate))
        assert [section.name for section in note.sections] == ["HISTORY", "IMPRESSION"]
        assert note.text.index("fever") < note.text.index("clear")


def test_a_pdf_behind_some_junk(read, pdf):
    assert "cough" in read(b"\n\n" + pdf("cough")).text


def test_a_pdf_without_text_says_so(read, pdf):
    with pytest.raises(NoteError, match="note: a PDF without text"):
        read(pdf(" "))


def test_a_locked_pdf_says_so(read, pdf):
    for password, fails in (("", False), ("secret", True)):
        writer = pypdf.PdfWriter(clone_from=BytesIO(pdf("cough")))
        writer.encrypt(user_password=password, owner_password="owner", algorithm="RC4-128")
        out = BytesIO()
        writer.write(out)
        if fails:
            with pytest.raises(NoteError, match="locked by a password"):
                read(out.getvalue())
        else:
            assert "cough" in read(out.getvalue()).text


def test_bombs_are_refused(read, pdf):
    with pytest.raises(NoteError, match="201 pages, more than the 200"):
        read(pdf("cough", repeat=MOST_PAGES + 1))
    with pytest.raises(NoteError, match="larger than 32 MiB"):
        read(b"%PDF-1.4" + b"\0" * (32 << 20))
    with pytest.raises(NoteError, match="too much text"):
        read(pdf("\n".join(["x" * 80] * 3000), flate=True, repeat=20))


@pytest.mark.parametrize("content", [b"%PDF-", b"%PDF-1.7 text", b"%PDF-1.4\nxref\n0 1\ntrailer\n<< /Root 1 0 R >>\n"])
def test_damaged_pdf_is_one_line_and_nothing_is_logged(read, content, caplog, capfd):
    with caplog.at_level(logging.DEBUG), pytest.raises(NoteError, match=r"damaged PDF|without text") as caught:
        read(content)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
