from __future__ import annotations

import torch

from medfuse.case import Case
from medfuse.encoders import Column, TabularEncoder

CASES = [Case(f"c{i}", f"p{i}", values={"age": float(20 + 10 * i), "sex": "FM"[i % 2], "x": None}) for i in range(4)]


def test_columns_are_standardised_by_what_they_were_fitted_on() -> None:
    age, sex = Column.fit("age", "number", CASES), Column.fit("sex", "category", CASES)
    assert age is not None
    assert sex is not None
    assert Column.fit("x", "number", CASES) is None
    assert (age.mean, sex.categories) == (35.0, ("F", "M"))
    assert age.encode(35.0) == 0.0
    assert abs(age.encode(1e9)) <= 4.0
    assert sex.encode("M") == 1.0
    assert torch.tensor(sex.encode("other")).isnan()


def test_missing_is_a_token_of_its_own_and_all_missing_is_absent() -> None:
    encoder = TabularEncoder([Column("a", 0, 1), Column("b", categories=("x", "y"))], width=8)
    torch.nn.init.ones_(encoder.missing)
    encoded = encoder(torch.tensor([[1.0, torch.nan], [torch.nan, torch.nan], [0.0, 1.0]]))
    assert encoded.present.tolist() == [True, False, True]
    assert torch.equal(encoded.tokens[0, 1], torch.ones(8))
    assert encoded.tokens[1].abs().sum() == 0
    assert torch.equal(encoded.tokens[2, 1], encoder.level[1, 1])
