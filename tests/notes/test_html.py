from __future__ import annotations

import time

import pytest

PAGE = """<!DOCTYPE html>
<html><head><title>Dr. Secret</title><style>p {color: red}</style><script>alert("<p>secret</p>")</script></head>
<body><!-- secret --><h2>HISTORY</h2><p>Cough since
3&nbsp;days &amp; fever &lt; 39 °C</p><table><tr><td>WBC</td><td>12.0</td></tr></table>
<ul><li>FINDINGS: clear</li></ul><pre>a
b</pre></body></html>"""


def test_what_a_page_shows_is_read(read):
    note = read(PAGE.encode())
    assert note.text.split("\n") == [
        "HISTORY", "", "Cough since 3 days & fever < 39 °C", "", "WBC 12.0", "", "FINDINGS: clear", "", "a", "b",
    ]  # fmt: skip
    assert [section.name for section in note.sections] == ["HISTORY", "FINDINGS"]


@pytest.mark.parametrize(
    ("content", "warned"),
    [
        ('<html><meta charset="latin-1"><p>café'.encode("latin-1"), False),
        ('<html><meta http-equiv="Content-Type" content="text/html; charset=koi8-r"><p>café'.encode(), False),
        ("<html><p>café".encode("cp1252"), True),
        ("\ufeff<html><p>café".encode("utf-16-le"), False),
        ('<html><meta charset="no-such"><p>café'.encode(), False),
    ],
)
def test_encodings(read, content, warned):
    note = read(content)
    assert note.text.startswith("caf")
    assert bool(note.warnings) == warned
    if b"koi8" not in content:
        assert note.text == "café"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"<html><head><style>x</style><body>cough", "cough"),
        (b"<div>cough<!-- never closed", "cough"),
        (b"<p>cough<![endif]--> fever", "cough fever"),
        (b"<p>5 < 6 <b>cough", "5 < 6 cough"),
        (b"<?xml version='1.0'?>\n<html xmlns='x'><p>cough", "cough"),
        (b"<html>", ""),
    ],
)
def test_pages_that_are_not_well_formed(read, content, text):
    assert read(content).text == text


@pytest.mark.parametrize(
    "unit",
    ["<!--", "<", "<a ", "</", "&", "&#", "<!", "<?", "<![CDATA[", "<p>", "<script>", "<a b='", "<pre>", "<i>", "</p>"],
)
def test_time_is_linear_in_the_page(read, unit):
    content = b"<html>" + (unit * (2**18 // len(unit))).encode()
    start = time.process_time()
    read(content)
    assert time.process_time() - start < 3  # 0.5 s on an idle core; quadratic time would be minutes
