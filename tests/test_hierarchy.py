from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from medfuse.config import Config
from medfuse.errors import ConfigError
from medfuse.hierarchy import conditional, implied, parents_of, unconditional

LABELS = ("pneumonia", "opacity", "abnormal", "fracture")
PARENTS = parents_of({"pneumonia": "opacity", "opacity": "abnormal", "fracture": "abnormal"}, LABELS)
NO = float("nan")


def test_places_of_parents() -> None:
    assert PARENTS == (1, 2, -1, 2)


@pytest.mark.parametrize(
    ("hierarchy", "said"),
    [
        ({"pneumonia": "opacities"}, "'opacities' is no label"),
        ({"pneumonia": "opacity", "opacity": "pneumonia"}, "its own ancestor"),
        ({"pneumonia": "pneumonia"}, "its own ancestor"),
    ],
)
def test_a_wrong_hierarchy_is_one_clear_line(hierarchy: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parents_of(hierarchy, LABELS)


def test_what_is_known_follows_the_hierarchy() -> None:
    truth = torch.tensor([[1, NO, NO, NO], [NO, NO, 0, NO], [NO, 0, NO, 1], [1, 0, 1, 0], [NO, NO, NO, NO]])
    found, against = implied(truth, PARENTS)
    expected = torch.tensor([[1, 1, 1, NO], [0, 0, 0, 0], [0, 0, 1, 1], [NO, NO, 1, 0], [NO, NO, NO, NO]])
    assert torch.equal(found.nan_to_num(9), expected.nan_to_num(9))
    assert against.tolist() == [False, False, False, True, False]


def test_a_child_learns_where_its_parent_is() -> None:
    truth = torch.tensor([[1.0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]])
    expected = torch.tensor([[1, 1, 1, 0], [NO, 0, 1, 0], [NO, NO, 0, NO]])
    assert torch.equal(conditional(truth, PARENTS).nan_to_num(9), expected.nan_to_num(9))


def test_the_probability_of_a_child_is_the_product_up_to_its_root() -> None:
    logits = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * 3
    p = logits.sigmoid()
    product = torch.stack([p[:, 0] * p[:, 1] * p[:, 2], p[:, 1] * p[:, 2], p[:, 2], p[:, 3] * p[:, 2]], dim=1)
    assert torch.allclose(unconditional(logits, PARENTS).sigmoid(), product, atol=1e-6)


@given(arrays("float32", (8, 4), elements=st.floats(-120, 120, width=32)), st.floats(0.05, 20))
def test_no_child_exceeds_its_parent_at_any_temperature(logits, temperature: float) -> None:
    found = unconditional(torch.from_numpy(logits), PARENTS)
    assert bool(found.isfinite().all())
    p = (found.double() / temperature).sigmoid()
    for place, above in enumerate(PARENTS):
        if above >= 0:
            assert bool((p[:, place] <= p[:, above]).all())


def test_slopes_are_finite() -> None:
    logits = torch.tensor([[100.0, 50.0, 90.0, -90.0], [0.0, 0.0, 0.0, 0.0]], requires_grad=True)
    (slope,) = torch.autograd.grad(unconditional(logits, PARENTS).sum(), logits)
    assert bool(slope.isfinite().all())


def test_what_would_break_coherence_is_refused() -> None:
    with pytest.raises(ConfigError, match="keeps a child below its parent"):
        Config.parse({"hierarchy": {"a": "b"}, "calibration": {"method": "platt"}}, source="x")
