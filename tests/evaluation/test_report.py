from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest

from medfuse.evaluation.mistakes import worst_cases
from medfuse.evaluation.report import write_report
from medfuse.evaluation.subgroups import subgroups
from medfuse.evaluation.summary import summarise

EVIL = "<script>alert('x')</script><b>&"


class _Page(HTMLParser):
    """Text, tags and what the page would load."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.loads, self.words, self.inside = [], [], [], ""
        self.feed(html)
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loads += [value for name, value in attrs if name in ("src", "href", "data", "action", "srcset")]
        self.inside = tag

    def handle_endtag(self, tag):
        self.inside = ""

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.words.append(data)


def _metrics(task="multiclass", labels=("infection", EVIL, "collapse"), n=40):
    rng = np.random.default_rng(0)
    probability = rng.dirichlet([1] * len(labels), size=n)
    truth = np.eye(len(labels))[np.arange(n) % len(labels)]
    truth[0] = np.nan
    patients = [str(i) for i in range(n)]
    return summarise(truth=truth, probability=probability, patients=patients, labels=labels, task=task, draws=30)


def _written(tmp_path, metrics, **more):
    path = tmp_path / "new" / "report.html"
    write_report(metrics, path, **({"title": "Test"} | more))
    assert {entry.name for entry in path.parent.iterdir()} <= {"report.html", "figures"}
    html = path.read_text(encoding="utf-8")
    return html, _Page(html)


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_one_file_that_loads_nothing(tmp_path, task):
    html, page = _written(tmp_path, _metrics(task))
    assert page.loads == []
    assert not {"link", "iframe", "img", "object"} & set(page.tags)
    assert "default-src 'none'" in html
    assert html.count('<svg xmlns="http://www.w3.org/2000/svg" class="figure"') >= 2
    assert html.count("<script>") == 1
    assert len(html) < 400_000
    assert "Not a medical device" in page.text


def test_names_stay_text(tmp_path):
    metrics = _metrics() | {"problems": [f"row 3: {EVIL}"], "patterns": {EVIL: _metrics()["summary"]}}
    html, page = _written(tmp_path, metrics, title=EVIL, notes=[EVIL])
    assert "<script>alert" not in html
    assert "<b>&" not in html
    assert page.text.count(EVIL) >= 5  # title, heading, note, table, problem: shown as it is written


def test_figures_and_cautions_for_few_cases(tmp_path):
    metrics = _metrics(n=24)
    _, page = _written(tmp_path, metrics)
    area = metrics["summary"]["auroc"]
    assert f"{area['value']:.3f}" in page.text
    assert f"{area['low']:.3f} to {area['high']:.3f}" in page.text
    assert "23 labelled cases of 23 patients" in page.text
    assert "These are few patients (23)" in page.text
    assert "Too few cases to judge a label by itself: infection (7 with, 16 without)" in page.text
    assert "1 cases have no known label" in page.text


def test_optional_sections_only_where_there_is_something(tmp_path):
    headings = ("Against simpler models", "By what was present", "What the model relies on", "Problems met")
    metrics = _metrics()
    _, plain = _written(tmp_path, metrics)
    assert not any(heading in plain.text for heading in headings)
    assert "Best reachable" not in plain.text
    metrics |= {
        "baselines": {"prevalence": {"auroc": {"value": 0.5, "low": 0.5, "high": 0.5}, "brier": 0.25, "ece": 0.125}},
        "patterns": {"image + text": metrics["summary"]},
        "reliance": {
            "without image": {
                "value": 0.5,
                "low": 0.1,
                "high": 0.9,
                "n_altered": 40,
                "change": {"value": -0.25, "low": -0.375, "high": 0.125, "p": 0.04},
            },
            "without text": {"value": None, "low": None, "high": None, "change": {"value": None, "p": None}},
        },
        "problems": ["scan 'a.dcm': not a DICOM file"],
    }
    metrics["summary"]["best_reachable_auroc"] = {"text": 0.75, "all": 0.875, "image": None}
    _, page = _written(tmp_path, metrics)
    assert all(heading in page.text for heading in headings)
    for said in (
        "0.250",
        "0.125",
        "−0.250 −0.375 to +0.125 0.040",
        "image + text",
        "scan 'a.dcm'",
        "Best reachable from notes 0.750",
    ):
        assert said in page.text, said


def test_nothing_labelled_still_makes_a_page(tmp_path):
    blank = np.full((5, 2), np.nan)
    metrics = summarise(
        truth=blank,
        probability=np.full((5, 2), 0.5),
        patients=list("abcde"),
        labels=("a", "b"),
        task="multilabel",
    )
    html, page = _written(tmp_path, metrics)
    assert "no labelled case" in page.text
    assert "nan" not in page.text.lower().split()
    assert "<svg" not in html.split("</head>")[1]


def test_a_failed_write_leaves_the_old_report(tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old")
    with pytest.raises(KeyError):
        write_report({}, path, title="broken")
    assert path.read_text() == "old"


def test_the_same_metrics_give_the_same_bytes_but_for_the_date(tmp_path):
    from datetime import date

    metrics = _metrics("multilabel", n=150)
    files = []
    for name, day in (("a", 1), ("b", 1), ("c", 2)):
        write_report(metrics, tmp_path / name / "report.html", title="T", made=date(2026, 1, day))
        files.append({p.relative_to(tmp_path / name): p.read_bytes() for p in (tmp_path / name).rglob("*.*")})
    assert files[0] == files[1]
    assert [path for path in files[0] if files[0][path] != files[2][path]] == [next(iter(files[0]))]
    pages = [files[k][next(iter(files[0]))].decode() for k in (0, 2)]
    assert pages[0].replace("2026-01-01", "") == pages[1].replace("2026-01-02", "")


def test_figures_as_svg_are_well_formed_and_names_in_them_stay_text(tmp_path):
    from xml.etree import ElementTree

    write_report(_metrics("multilabel", n=150), tmp_path / "report.html", title="T")
    for name in ("reliability", "decision"):
        text = (tmp_path / "figures" / f"{name}.svg").read_text()
        root = ElementTree.fromstring(text)
        assert EVIL in {node.text for node in root.iter()}
        assert "<script" not in text
        assert root.findall(".//{*}polyline")
        assert any("95 %" in node.text for node in root.findall(".//{*}circle/{*}title"))


def test_a_model_that_ignores_its_image_is_named_before_any_figure(tmp_path):
    sentence = "The model ignores the image: it does"
    verdicts = {"image": {"verdict": "ignored", "sentence": sentence}, "text": {"verdict": "used", "sentence": "Notes"}}
    _, page = _written(tmp_path, _metrics() | {"use": {"verdicts": verdicts}}, notes=["overlap of 3 patients"])
    assert page.text.index("overlap of 3") < page.text.index(sentence) < page.text.index("AUROC, higher")


def test_what_guidelines_ask_of_a_person_is_not_claimed(tmp_path):
    from medfuse.evaluation.checklist import answered

    found = answered(_metrics())
    assert {item.number for item in found["TRIPOD+AI"]["answered"]} >= {"12e", "21"}
    assert "23a" in {item.number for item in found["TRIPOD+AI"]["human"]}  # no subgroups were measured
    assert "23a" in {item.number for item in answered({"subgroups": {}})["TRIPOD+AI"]["answered"]}
    assert "33" in {item.number for item in answered({"cohorts": {}})["CLAIM 2024"]["answered"]}
    _, page = _written(tmp_path, _metrics())
    assert "a person: state each" in page.text


def test_every_section_is_written_for_a_whole_evaluation(tmp_path):
    rng = np.random.default_rng(1)
    truth, said = rng.integers(0, 2, (200, 2)).astype(float), rng.random((200, 2))
    patients, labels = [str(i) for i in range(200)], ("a", EVIL)
    at = np.full((200, 2), 0.5)
    given = {"truth": truth, "probability": said, "patients": patients, "labels": labels}
    metrics = summarise(**given, task="multilabel", draws=30, thresholds=at)
    columns = {EVIL: ["x"] * 120 + ["y"] * 76 + ["z"] * 4}
    metrics["subgroups"] = subgroups(**given, columns=columns, thresholds=at, draws=30)
    ids = [f"{EVIL}{i}" for i in range(200)]
    metrics["errors"] = worst_cases(
        truth=truth, probability=said, case_ids=ids, labels=labels, task="multilabel", thresholds=at
    )
    html, page = _written(tmp_path, metrics)
    assert "<script>alert" not in html
    for heading in ("At the thresholds", "Whether acting on it helps", "For whom", "Where it was most wrong"):
        assert heading in page.text
    assert "4 patients are too few to say anything" in page.text
    assert all(link.startswith("http://localhost:8501/case?case=%3Cscript") for link in page.loads)
    assert "nan" not in page.text.lower().split()
