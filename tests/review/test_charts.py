from __future__ import annotations

from medfuse.case import Prediction
from medfuse.review import charts

PREDICTION = Prediction(
    "c1",
    probabilities={"<b>x</b>": 0.7, "embolism": 0.3},
    prediction_set=("<b>x</b>",),
    abstain=False,
    modalities=("image",),
    contributions={"image": 0.3, "text": -0.1},
)


def test_probabilities_are_sorted_coloured_and_escaped() -> None:
    (bars,) = charts.probability_bars(PREDICTION).data
    assert list(bars.y) == ["embolism", "&lt;b&gt;x&lt;/b&gt;"]  # plotly draws upwards: the last is on top
    assert list(bars.x) == [0.3, 0.7]
    assert list(bars.marker.color) == [charts.PALE, charts.TEAL]


def test_contributions_carry_their_sign() -> None:
    (bars,) = charts.contribution_bars(PREDICTION).data
    assert list(bars.y) == ["Note", "Scan"]
    assert list(bars.text) == ["−10", "+30"]
    assert list(bars.marker.color) == [charts.RUST, charts.TEAL]


def test_evaluation_figures() -> None:
    point = {"mean_predicted": 0.2, "observed": 0.25, "n": 8, "low": 0.1, "high": 0.5}
    plot = charts.reliability_plot({"<i>a</i>": [point], "none": []})
    assert plot is not None
    assert [note.text for note in plot.layout.annotations] == ["&lt;i&gt;a&lt;/i&gt;"]
    assert charts.reliability_plot({"none": []}) is None
    maps = charts.confusion_maps({"labels": ["a", "b"], "counts": [[3, 1], [0, 2]]})
    assert list(maps) == [""]
    assert list(maps[""].data[0].z[0]) == [0.75, 0.25]
    many = charts.confusion_maps({"by_label": {"icu": [[3, 1], [0, 2]]}})
    assert list(many["icu"].data[0].x) == ["absent", "present"]
