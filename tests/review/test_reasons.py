from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as some

from medfuse.case import Note
from medfuse.explain import Explanation, HeatMap, Sanity, Stretch
from medfuse.imaging.fit import Placement
from medfuse.notes.read import note_from_text
from medfuse.review.reasons import note_pieces, overlays
from medfuse.review.texts import Texts


def note(text: str) -> Note:
    return note_from_text(text)


@given(some.text(alphabet="abc .:\nINDICATION no fever", max_size=120), some.lists(some.integers(0, 120), max_size=8))
def test_the_pieces_joined_are_the_note(text: str, cuts: list[int]) -> None:
    words = tuple(Stretch(at, at + 3, 0.1 * (at + 1)) for at in sorted(set(cuts))[::3] if at + 3 <= len(text))
    made = note(text)
    assert "".join(piece["text"] for piece in note_pieces(made, words)) == made.text


def test_weights_negation_and_headers_are_told_apart() -> None:
    made = note("INDICATION: cough, no fever.\nHISTORY: asthma.")
    assert made.text is not None
    at = made.text.index("cough")
    weak = made.text.index("asthma")
    pieces = note_pieces(made, (Stretch(at, at + 5, -2.0), Stretch(weak, weak + 6, 0.1)))
    found = {piece["text"].strip(" .,\n"): piece for piece in pieces}
    assert found["cough"]["weight"] == -1
    assert found["fever"]["status"] == ["negated"]
    assert any(piece["header"] and "INDICATION" in piece["text"] for piece in pieces)
    assert all(piece["weight"] == 0 for piece in pieces if "asthma" in piece["text"])


def test_a_map_that_fails_its_check_says_so() -> None:
    heat = np.zeros((4, 4), dtype=np.float32)
    heat[1, 2], heat[3, 0] = 2.0, -1.0
    placement = Placement(rows=8, columns=8, size=4, top=0, left=0, height=4, width=4)
    maps = tuple(
        HeatMap(place, "x.png", "grad_cam", heat, placement, Sanity(0.9, 0.5, passed=passed))
        for place, passed in enumerate((False, True))
    )
    found = Explanation("c", "a", 0.5, 0.2, maps=maps)
    texts = Texts("en")
    first = overlays(found, 0, texts=texts, numbers=(1,))
    assert [one.name for one in first] == ["Speaks for it (grad cam)", "Speaks against it (grad cam)"]
    assert "fails its sanity check" in first[0].warning
    assert overlays(found, 1, texts=texts, numbers=(1,))[0].warning == ""
    assert first[0].greys.shape == (1, 8, 8)
    assert first[0].greys.max() == 255
