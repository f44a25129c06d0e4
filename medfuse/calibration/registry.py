"""The names in a config, and what they stand for."""

from __future__ import annotations

from collections.abc import Mapping

from medfuse.calibration.beta import BetaCalibration
from medfuse.calibration.bias_corrected import BiasCorrectedTemperature
from medfuse.calibration.calibrator import Calibrator
from medfuse.calibration.classwise import ClasswiseTemperature
from medfuse.calibration.conformal import ConformalSets
from medfuse.calibration.dirichlet import DirichletCalibration
from medfuse.calibration.isotonic import IsotonicCalibration
from medfuse.calibration.mondrian import ClassConditionalSets, PatternSets
from medfuse.calibration.platt import PlattScaling
from medfuse.calibration.temperature import TemperatureScaling
from medfuse.calibration.vector import VectorScaling
from medfuse.calibration.venn_abers import VennAbers

# From the simplest to the one with most to learn: the choice among them prefers the earlier.
CALIBRATORS: Mapping[str, type[Calibrator]] = {
    kind.name: kind
    for kind in (
        TemperatureScaling,
        BiasCorrectedTemperature,
        ClasswiseTemperature,
        PlattScaling,
        VectorScaling,
        BetaCalibration,
        DirichletCalibration,
        VennAbers,
        IsotonicCalibration,
    )
}

SETS: Mapping[str, type[ConformalSets]] = {
    kind.name: kind for kind in (ConformalSets, ClassConditionalSets, PatternSets)
}
