"""Probabilities that hold on unseen cases: calibrators and conformal sets, fitted on the calibration split only."""

from __future__ import annotations

from medfuse.calibration.abstention import RiskCoverage, risk_coverage
from medfuse.calibration.calibration import Calibration, calibrate, pattern_of
from medfuse.calibration.calibrator import Calibrator
from medfuse.calibration.conformal import ConformalSets
from medfuse.calibration.mondrian import ClassConditionalSets, PatternSets
from medfuse.calibration.outliers import Outliers
from medfuse.calibration.registry import CALIBRATORS, SETS
from medfuse.calibration.sensitivity import SensitivityThresholds
from medfuse.calibration.temperature import TemperatureScaling

__all__ = [
    "CALIBRATORS",
    "SETS",
    "Calibration",
    "Calibrator",
    "ClassConditionalSets",
    "ConformalSets",
    "Outliers",
    "PatternSets",
    "RiskCoverage",
    "SensitivityThresholds",
    "TemperatureScaling",
    "calibrate",
    "pattern_of",
    "risk_coverage",
]
