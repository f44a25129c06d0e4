from __future__ import annotations

from medfuse.review import charts


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
