"""One case, explained: maps, words, values, shares and what would be without each part."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from medfuse.calibration import pattern_of
from medfuse.case import Case
from medfuse.errors import MedfuseError, ScanError
from medfuse.explain.aim import Aim
from medfuse.explain.contributions import counterfactuals, shares
from medfuse.explain.explanation import Explanation, HeatMap, NoteWords, Share, Target, ValueShare
from medfuse.explain.image import METHODS, SeenScan
from medfuse.explain.sanity import check
from medfuse.explain.values import value_attributions
from medfuse.explain.whatif import WhatIf
from medfuse.explain.words import note_words, seen_notes, token_attributions
from medfuse.imaging import fit_scan, read_scan
from medfuse.imaging.fit import Placement, placed
from medfuse.inference import Predictor

METHOD = "grad_cam"


def explain(
    predictor: Predictor,
    case: Case,
    *,
    label: str | None = None,
    method: str = METHOD,
    target: Target = "logit",
    sanity: bool = True,
    variants: WhatIf | None = None,
    progress: Callable[[int], None] | None = None,
) -> Explanation:
    """Explain what a bundle says of a case.

    Example:
        >>> found = explain(Predictor.load("runs/icu"), case)  # doctest: +SKIP
        >>> found.maps[0].original().shape  # doctest: +SKIP
        (2021, 2017)

    Args:
        predictor: Classifies.
        case: The case.
        label: The label that is explained; None takes the most probable.
        method: How the heat maps are made (`METHODS`).
        target: What maps, words and attributions of values explain: the label's `logit` or calibrated `probability`.
        sanity: Whether each map is checked against shuffled weights.
        variants: The same case with parts left out, if it was encoded already.
        progress: Called with 1 after each of the steps maps, words, values, shares and counterfactuals.

    Raises:
        MedfuseError: If the label or method is not known, or nothing of the case can be read.
    """
    step = progress or (lambda _: None)
    variants = variants or WhatIf(predictor, case)
    bundle = predictor.bundle
    if label is not None and label not in bundle.labels:
        message = f"label '{label}' is not known; the bundle has {', '.join(bundle.labels)}"
        raise MedfuseError(message)
    if method not in METHODS:
        message = f"method '{method}' is not known; there are {', '.join(METHODS)}"
        raise MedfuseError(message)
    tokens = variants.tokens()
    if not tokens:
        message = f"case {case.case_id}: there is nothing to explain: {'; '.join(variants.warnings) or 'it is empty'}"
        raise MedfuseError(message)
    probability = variants.probabilities([()])[0]
    place = bundle.labels.index(label) if label is not None else int(probability.argmax())
    aim = aim_of(variants, place, target)
    maps = heat_maps(variants, aim, method=method, sanity=sanity)
    step(1)
    notes = words_of(variants, aim)
    step(1)
    attributions = value_attributions(bundle.model, tokens, aim) if "tabular" in tokens else {}
    step(1)
    shared = shares(variants, place)
    step(1)
    without = counterfactuals(variants, place)
    step(1)
    return Explanation(
        case_id=case.case_id,
        label=bundle.labels[place],
        probability=shared.probability,
        base=shared.base,
        target=target,
        maps=maps,
        notes=notes,
        values=_values(case, attributions, shared.parts),
        modalities=shared.modalities,
        parts=shared.parts,
        counterfactuals=without,
        warnings=tuple(dict.fromkeys(variants.warnings)),
        bundle=bundle.digest,
    )


def aim_of(variants: WhatIf, label: int, target: Target) -> Aim:
    """What is explained of this case."""
    tokens = variants.tokens()
    pattern = pattern_of([[name in tokens for name in variants.model.modalities]])[0]
    return Aim(variants.bundle, label, target, int(pattern))


@dataclass(frozen=True)
class ScanInPlace:
    """A scan ready for maps, and where it lies in the square."""

    seen: SeenScan
    placement: Placement
    volume: bool


def scan_in_place(variants: WhatIf, place: int, aim: Aim) -> ScanInPlace:
    """One scan of the case with the rest held as it is.

    Raises:
        ScanError: If it cannot be read, or the network looks at volumes.
    """
    config, scan = variants.bundle.config.image, variants.case.scans[place]
    assert config is not None
    if config.volume is not None:
        message = f"{scan.path.name}: no map is drawn, since the network looks at whole volumes"
        raise ScanError(message)
    if scan.pixels is None:
        scan = read_scan(scan.path, series=config.series, slices=config.slices)
    fitted = fit_scan(scan, config.size, equalise=config.equalise)
    assert fitted.pixels is not None
    tokens = {name: one.clone() for name, one in variants.tokens().items()}
    given = tokens.pop("image")
    used = variants.scans()
    before, after = (
        torch.cat([given[:0], *(one for other in some if (one := variants.scan_tokens(other)) is not None)]).clone()
        for some in ([other for other in used if other < place], [other for other in used if other > place])
    )
    pixels = torch.from_numpy(fitted.pixels).reshape(-1, *fitted.pixels.shape[-2:])
    seen = SeenScan(variants.model, pixels, before, after, tokens, aim)
    return ScanInPlace(seen, placed(scan, config.size), fitted.pixels.ndim == 3)


def heat_maps(variants: WhatIf, aim: Aim, *, method: str = METHOD, sanity: bool = True) -> tuple[HeatMap, ...]:
    """A map for each scan that the model reads; one that can no longer be read is named in the case's warnings."""
    found = []
    for place in variants.scans():
        try:
            scan = scan_in_place(variants, place, aim)
            heat = METHODS[method](scan.seen)
        except MedfuseError as error:  # such as attention without a note
            variants.warnings.append(str(error))
            continue
        checked = check(scan.seen, METHODS[method], heat) if sanity else None
        array = heat.numpy() if scan.volume else heat[0].numpy()
        name = variants.case.scans[place].path.name
        found.append(HeatMap(place, name, method, array, scan.placement, checked))
    return tuple(found)


def words_of(variants: WhatIf, aim: Aim) -> tuple[NoteWords, ...]:
    """The words of each note that the model reads."""
    tokens = {name: one.clone() for name, one in variants.tokens().items()}
    if tokens.pop("text", None) is None:
        return ()
    config = variants.bundle.config.text
    seen = seen_notes(variants.bundle, variants.notes, tokens, aim, at=variants.case.time)
    if config is None or seen is None:
        return ()
    return note_words(seen, variants.notes, token_attributions(seen), config=config, at=variants.case.time)


def _values(case: Case, attributions: Mapping[str, float], parts: tuple[Share, ...]) -> tuple[ValueShare, ...]:
    shares = {part.key.removeprefix("value:"): part.contribution for part in parts if part.modality == "tabular"}
    found = []
    for name, attribution in attributions.items():
        value = case.values.get(name)
        assert value is not None
        found.append(ValueShare(name, value, attribution, shares.get(name, 0.0)))
    return tuple(found)
