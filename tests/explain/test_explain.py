from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from math import factorial

import numpy as np
import pytest
import torch

from medfuse.case import Case, Note
from medfuse.cohort import Cohort
from medfuse.errors import MedfuseError
from medfuse.explain import METHODS, Explanation, WhatIf, explain
from medfuse.explain.aim import Aim
from medfuse.explain.explain import aim_of, scan_in_place, words_of
from medfuse.explain.tokens import logits_of, stacked
from medfuse.explain.values import value_attributions
from medfuse.explain.words import seen_notes, token_attributions
from medfuse.imaging import read_scan
from medfuse.inference import Predictor


@pytest.fixture(scope="module", params=["attentive", "experts"])
def predictor(request: pytest.FixtureRequest) -> Predictor:
    found: Predictor = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def found(predictor: Predictor, case: Case) -> Explanation:
    return explain(predictor, case)


def said(variants: WhatIf, aim: Aim, tokens: dict) -> float:
    with torch.inference_mode():
        return float(aim(logits_of(variants.model, *stacked(variants.model, [tokens])))[0])


def test_shares_add_up_and_modalities_are_those_of_the_prediction(
    predictor: Predictor, case: Case, found: Explanation
) -> None:
    prediction = predictor.classify(case)
    assert found.label == max(prediction.probabilities, key=prediction.probabilities.__getitem__)
    assert found.probability == pytest.approx(prediction.probabilities[found.label], abs=1e-6)
    for shares in (found.modalities, found.parts):
        assert sum(one.contribution for one in shares) == pytest.approx(found.probability - found.base, abs=1e-9)
    for one in found.modalities:  # by another implementation, over whole modalities
        assert one.contribution == pytest.approx(prediction.contributions[one.name], abs=1e-5)


def test_parts_of_a_case_of_one_modality_have_shapley_values(predictor: Predictor, case: Case) -> None:
    """Against the definition over all orders' coalitions (Shapley 1953), by hand."""
    only = replace(case, scans=(), values={})
    variants = WhatIf(predictor, only)
    found = explain(predictor, only, label="dry", variants=variants)
    players = [part.key for part in variants.parts if part.kind == "section"]
    expected = dict.fromkeys(players, 0.0)
    for player in players:
        rest = [key for key in players if key != player]
        for size in range(len(rest) + 1):
            for joined in combinations(rest, size):
                out = set(players) - set(joined)
                weight = factorial(size) * factorial(len(rest) - size) / factorial(len(players))
                change = variants.without(out - {player})["dry"] - variants.without(out)["dry"]
                expected[player] += weight * change
    assert {one.key: one.contribution for one in found.parts} == pytest.approx(expected, abs=1e-6)


def test_many_parts_are_joined_and_still_add_up(predictor: Predictor, case: Case) -> None:
    many = "\n".join(f"PART {name}: fever {number}" for number, name in enumerate("ABCDEFGHIJ"))
    found = explain(predictor, replace(case, notes=(Note(text=many), *case.notes)), sanity=False)
    joined = [one for one in found.parts if "+" in one.key]
    assert [one.name for one in joined] == [f"{joined[0].key.count('+') + 1} others"]
    assert sum(one.contribution for one in found.parts) == pytest.approx(found.probability - found.base, abs=1e-9)


def test_counterfactuals_are_predictions_without_the_part(predictor: Predictor, case: Case, found: Explanation) -> None:
    assert [one.part for one in found.counterfactuals] == list(WhatIf(predictor, case).parts)
    without = next(one for one in found.counterfactuals if one.part.key == "value:age")
    expected = predictor.classify(replace(case, values={"sex": case.values["sex"]}))
    assert dict(without.probabilities) == pytest.approx(dict(expected.probabilities), abs=1e-5)
    assert without.change == pytest.approx(expected.probabilities[found.label] - found.probability, abs=1e-5)


@pytest.mark.parametrize("target", ["logit", "probability"])
def test_words_add_up_to_what_the_notes_say(predictor: Predictor, case: Case, target: str) -> None:
    variants = WhatIf(predictor, case)
    aim = aim_of(variants, 0, target)  # type: ignore[arg-type]
    tokens = {name: one.clone() for name, one in variants.tokens().items()}
    others = {name: one for name, one in tokens.items() if name != "text"}
    seen = seen_notes(predictor.bundle, variants.notes, others, aim, at=variants.case.time)
    assert seen is not None
    shares = token_attributions(seen, steps=64)
    special = torch.from_numpy(seen.places[..., 0] == seen.places[..., 1])
    assert predictor.bundle.model.text is not None
    with torch.inference_mode():
        ends = [
            float(seen.score(predictor.bundle.model.text(ids, seen.mask).unsqueeze(0))[0])
            for ids in (seen.ids, torch.where(special, seen.ids, seen.blank))
        ]
    assert shares.sum() == pytest.approx(ends[0] - ends[1], abs=2e-3)
    assert ends[0] == pytest.approx(said(variants, aim, tokens), abs=2e-3)  # up to half precision
    assert abs(ends[0] - ends[1]) > 1e-3


def test_values_add_up(predictor: Predictor, case: Case) -> None:
    variants = WhatIf(predictor, case)
    aim = aim_of(variants, 0, "logit")
    tokens = {name: one.clone() for name, one in variants.tokens().items()}
    shares = value_attributions(variants.model, tokens, aim)
    assert set(shares) == {"age", "sex"}
    nothing = tokens | {"tabular": torch.full_like(tokens["tabular"], torch.nan)}
    encoded, values = stacked(variants.model, [nothing])
    projected = [head.project(encoded, values) for head in variants.model.heads]  # type: ignore[operator]
    for head, one in zip(variants.model.heads, projected, strict=True):
        there = torch.ones_like(one["tabular"].mask)
        blank = one["tabular"].tokens * 0
        if hasattr(head.tabular, "missing"):
            blank = head.tabular.missing.unsqueeze(0)
        one["tabular"] = type(one["tabular"])(blank, there)
    with torch.inference_mode():
        base = float(aim(variants.model.decide(projected).logits)[0])
    assert sum(shares.values()) == pytest.approx(said(variants, aim, tokens) - base, abs=2e-3)


def test_pixels_add_up(predictor: Predictor, case: Case) -> None:
    scan = scan_in_place(WhatIf(predictor, case), 1, aim_of(WhatIf(predictor, case), 0, "logit")).seen
    heat = METHODS["integrated_gradients"](scan)
    with torch.inference_mode():
        both = scan.seen(torch.stack([scan.pixels, torch.zeros_like(scan.pixels)]))
    assert float(heat.sum()) == pytest.approx(float(both[0] - both[1]), abs=0.05 * abs(float(both[0] - both[1])) + 0.01)


def test_a_linear_model_gives_its_own_terms(experts: Predictor, case: Case) -> None:
    """Every word's and value's share is its weight times what it is, worked out from the weights."""
    variants = WhatIf(experts, case)
    head = experts.bundle.model.heads[0]
    fusion = head.fusion
    aim = aim_of(variants, 1, "logit")
    rows = {
        name: (aim.direction @ (fusion.weights[place].unsqueeze(1) * fusion.experts[place].weight)).detach()
        for place, name in enumerate(fusion.modalities)
    }
    tokens = variants.tokens()
    shares = value_attributions(experts.bundle.model, {n: t.clone() for n, t in tokens.items()}, aim)
    age = experts.bundle.columns[0].encode(case.values["age"])
    assert shares["age"] == pytest.approx(age * float(rows["tabular"][0]), abs=1e-5)
    found = explain(experts, case, label="dry")
    text = experts.bundle.model.text
    tokenizer = experts.bundle.tokenizer
    assert text is not None
    assert tokenizer is not None
    assert found.notes[0].method == "linear"
    note = found.notes[0]
    fever = next(word for word in note.words if note.text[word.start : word.end] == "fever")
    vector = text.network.words.weight[tokenizer.tokenizer.token_to_id("fever")].detach()
    assert fever.attribution == pytest.approx(float(rows["text"] @ vector) / len(tokens["text"]), abs=1e-5)


def test_grad_cam_of_mean_tokens_is_the_exact_share_of_every_place(experts: Predictor, tiny_cohort: Cohort) -> None:
    case = replace(tiny_cohort.cases[0], notes=(), values={})
    variants = WhatIf(experts, case)
    scan = scan_in_place(variants, 0, aim_of(variants, 0, "logit")).seen
    heat = METHODS["grad_cam"](scan)
    with torch.inference_mode():
        tokens = scan.encoder(scan.pixels)
        both = scan.score(torch.cat([tokens, tokens * 0]))
    side = int(tokens.shape[1] ** 0.5)
    cells = torch.nn.functional.avg_pool2d(heat.unsqueeze(1), heat.shape[-1] // side)
    # Growing keeps sums but for the rim, and captum's Grad-CAM averages the gradient where it is the same.
    assert side == 2
    assert float(cells.sum()) == pytest.approx(float(both[0] - both[1]), rel=0.02, abs=1e-3)


def test_words_stand_where_they_are_and_excluded_sections_say_nothing(found: Explanation, case: Case) -> None:
    first, second = found.notes
    assert (first.note, second.note) == (0, 1)
    words = [first.text[word.start : word.end] for word in first.words]
    assert words == ["Walked", "in", "HISTORY", "fever", "and", "cough", "day", "3", "MEDICATIONS", "aspirin"]
    assert [first.text[one.start : one.end] for one in first.sentences] == [
        "Walked in.", "HISTORY: fever and cough, day 3.", "MEDICATIONS: aspirin.",
    ]  # fmt: skip
    of_words = sum(word.attribution for word in first.words)
    assert sum(one.attribution for one in first.sentences) == pytest.approx(of_words, abs=1e-9)


def test_long_notes_are_told_to_their_end(attentive: Predictor, case: Case) -> None:
    long = Note(text="HISTORY: " + " ".join(f"fever {number} cough" for number in range(60)) + " swollen.")
    found = explain(attentive, replace(case, notes=(long,)), sanity=False)
    words = [found.notes[0].text[word.start : word.end] for word in found.notes[0].words]
    assert words == [word.strip(":.") for word in long.text.split()]  # type: ignore[union-attr]
    assert found.notes[0].words[-1].attribution != 0


def test_maps_lie_in_the_scans_own_pixels(found: Explanation, case: Case) -> None:
    assert [heat.scan for heat in found.maps] == [0, 1]
    for heat in found.maps:
        pixels = read_scan(case.scans[heat.scan].path).pixels
        assert pixels is not None
        assert heat.original().shape == pixels.shape
        assert np.isfinite(heat.heat).all()
        assert heat.sanity is not None


@pytest.mark.parametrize("method", sorted(METHODS))
def test_every_method_gives_a_map_of_the_square(attentive: Predictor, case: Case, method: str) -> None:
    variants = WhatIf(attentive, case)
    heat = METHODS[method](scan_in_place(variants, 0, aim_of(variants, 0, "logit")).seen)
    assert heat.shape == (1, 64, 64)
    assert float(heat.abs().max()) > 0


def test_attention_without_a_note_or_without_attention_is_said(
    attentive: Predictor, experts: Predictor, case: Case
) -> None:
    for predictor, one, why in (
        (attentive, replace(case, notes=()), "no note"),
        (experts, case, "cross_attention"),
    ):
        found = explain(predictor, one, method="attention")
        assert found.maps == ()
        assert any(why in line for line in found.warnings)


def test_nothing_else_changes_while_explaining(attentive: Predictor, case: Case) -> None:
    before = {name: tensor.clone() for name, tensor in attentive.bundle.model.state_dict().items()}
    explain(attentive, case, method="layer_cam")
    after = attentive.bundle.model.state_dict()
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
    hooks = [module for module in attentive.bundle.model.modules() if module._forward_hooks]
    assert hooks == []


def test_wrong_use_is_said(attentive: Predictor, case: Case) -> None:
    with pytest.raises(MedfuseError, match="label 'mars'"):
        explain(attentive, case, label="mars")
    with pytest.raises(MedfuseError, match="method 'mars'"):
        explain(attentive, case, method="mars")
    with pytest.raises(MedfuseError, match="nothing to explain"):
        explain(attentive, replace(case, scans=(), notes=(), values={}))


def test_what_says_when_a_note_was_written_is_no_word_of_it(predictor: Predictor, case: Case) -> None:
    notes = (Note(text="HISTORY: fever", time="2180-05-06"), Note(text="HISTORY: cough", time="2180-05-01"))
    variants = WhatIf(predictor, replace(case, notes=notes, time="2180-05-07"))
    found = words_of(variants, aim_of(variants, 0, "logit"))
    assert {one.note for one in found} == {0, 1}
    for one in found:
        said = {one.text[word.start : word.end] for word in one.words}
        assert said <= {"HISTORY", "fever", "cough"}
