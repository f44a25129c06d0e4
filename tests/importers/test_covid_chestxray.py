from __future__ import annotations

import csv
import filecmp

import pytest

from medfuse.errors import CohortError
from medfuse.importers import import_cohort
from medfuse.importers.covid_terms import COVID_TERMS, ICU_TERMS
from medfuse.notes import Redaction

COLUMNS = (
    "patientid", "offset", "sex", "age", "finding", "survival", "went_icu", "in_icu", "temperature", "view",
    "modality", "date", "filename", "url", "license", "clinical_notes", "other_notes",
)  # fmt: skip


@pytest.fixture
def made(tmp_path):
    """Make a cohort of rows; each file that a row names is written, with its name as its content, unless `missing`."""

    def make(*rows: dict[str, str], task: str = "icu", missing: tuple[str, ...] = (), out: str = "out"):
        source = tmp_path / "source"
        (source / "images").mkdir(parents=True, exist_ok=True)
        with (source / "metadata.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            for row in rows:
                writer.writerow({"view": "PA", "modality": "X-ray", "finding": "COVID-19", "license": "CC BY"} | row)
                if row["filename"] not in missing:
                    (source / "images" / row["filename"]).write_text(row["filename"])
        return import_cohort("covid-chestxray", source, tmp_path / out, task=task)

    return make


def row(patient: str, offset: str, filename: str, **cells: str) -> dict[str, str]:
    return {"patientid": patient, "offset": offset, "filename": filename} | cells


def test_one_patient_and_day_is_a_case_with_frontal_images_first(made):
    cohort = made(
        row("1", "3", "l.jpg", view="L", age="64", sex="M", clinical_notes="Cough."),
        row("1", "3", "p.jpg", view="AP Supine", clinical_notes="Cough. "),
        row("1", "3", "p.jpg", view="AP Supine", clinical_notes="Worse."),
        row("1", "5", "q.jpg"),
    )
    first, second = cohort.cases
    assert [scan.path.read_text() for scan in first.scans] == ["p.jpg", "l.jpg"]
    assert [scan.path.name for scan in first.scans] == ["1_day3_1_AP_Supine.jpg", "1_day3_2_L.jpg"]
    assert first.notes[0].path.read_text() == "Cough.\n\nWorse.\n"
    assert (first.time, second.time) == ("day 3", "day 5")
    assert (first.values["age"], first.values["sex"]) == (64.0, "M")
    assert first.groups == {"view": "AP Supine", "source": "", "sex_group": "M", "age_band": "60-79"}
    assert second.notes == ()
    assert cohort.problems == ()


def test_undated_images_belong_together_only_by_date_and_note(made):
    cohort = made(
        row("1", "", "a.jpg", date="2020", clinical_notes="Cough."),
        row("1", "", "b.jpg", date="2020", clinical_notes="Cough."),
        row("1", "", "c.jpg", date="2020", clinical_notes="Fever."),
        row("1", "", "d.jpg", date="May 4, 2010"),
        row("1", "", "e.jpg", date="May 4, 2010"),
    )
    assert [(case.case_id, len(case.scans)) for case in cohort.cases] == [
        ("1_undated", 2), ("1_undated_2", 1), ("1_undated_3", 1), ("1_undated_4", 1),
    ]  # fmt: skip
    assert cohort.cases[2].time == "2010-05-04"
    assert {case.patient_id for case in cohort.cases} == {"1"}


def test_labels_stay_blank_where_nothing_is_known(made):
    rows = (
        row("1", "0", "a.jpg", went_icu="Y"),
        row("2", "0", "b.jpg", went_icu="N", finding="Pneumonia"),
        row("3", "0", "c.jpg", finding="todo"),
        row("4", "0", "d.jpg", went_icu="Y", finding="COVID-19, ARDS"),
        row("4", "0", "e.jpg", went_icu="N", finding=""),
    )
    icu = made(*rows)
    assert [case.labels["icu"] for case in icu.cases] == [1, 0, None, None]
    assert icu.problems == ("case 4_day0: rows differ in the label 'icu'; left blank",)
    covid = made(*rows, task="covid", out="covid")
    assert [case.labels["covid"] for case in covid.cases] == [1, 0, None, 1]


def test_patients_who_share_a_file_are_one(made):
    cohort = made(
        row("1", "0", "a.jpg", went_icu="Y"),
        row("2", "0", "a.jpg", went_icu="Y"),
        row("2", "4", "b.jpg"),
        row("3", "0", "c.jpg"),
    )
    assert [(case.case_id, case.patient_id, len(case.scans)) for case in cohort.cases] == [
        ("1+2_day0", "1+2", 1),
        ("1+2_day4", "1+2", 1),
        ("3_day0", "3", 1),
    ]
    assert cohort.problems == ("patients 1, 2 share a file; taken as one patient, 1+2",)


def test_missing_images_and_other_modalities_cost_only_themselves(made):
    cohort = made(
        row("1", "0", "none.jpg", clinical_notes="Cough."),
        row("2", "0", "gone.jpg"),
        row("3", "0", "c.jpg", modality="CT"),
        row("", "0", "d.jpg"),
        row("5", "0", "e.jpg", age="old"),
        missing=("none.jpg", "gone.jpg"),
    )
    assert [(case.case_id, len(case.scans)) for case in cohort.cases] == [("1_day0", 0), ("5_day0", 1)]
    assert len(cohort.problems) == 6


def test_a_path_that_leads_out_is_refused(made, tmp_path):
    (tmp_path / "secret.jpg").write_text("secret")
    cohort = made(row("1", "0", "../../secret.jpg", clinical_notes="Cough."), missing=("../../secret.jpg",))
    assert cohort.cases[0].scans == ()
    assert "lies outside images" in cohort.problems[0]


def test_outcomes_are_no_inputs(made):
    cohort = made(row("1", "0", "a.jpg", survival="Y", in_icu="Y", went_icu="Y", other_notes="Credit to X"))
    assert not {"survival", "in_icu", "intubated", "went_icu"} & (set(cohort.tabular) | set(cohort.groups))
    assert cohort.cases[0].notes == ()


def test_redaction_is_recorded(made):
    cohort = made(row("1", "0", "a.jpg", clinical_notes="Intubated, moved to ICU. ETT in place."))
    assert cohort.cases[0].notes[0].path.read_text() == "[redacted], moved to [redacted]. [redacted] in place.\n"
    assert cohort.redaction["replaced"] == {"ICU": 1, "*intubat*": 1, "ETT": 1}
    assert cohort.redaction["terms"] == list(ICU_TERMS)


@pytest.mark.parametrize(
    "text",
    [
        "Extubated", "re-intubated", "ventilator", "ECMO", "ET-tube", "NG tube", "central line", "died", "deceased",
        "intensive-care", "discharged", "CPAP", "tracheal cannula", "post-intubuation", "na-sogastric",
    ],
)  # fmt: skip
def test_words_of_the_outcome_do_not_stay(text):
    assert Redaction(ICU_TERMS).apply(text)[0].split()[0].endswith("[redacted]")


@pytest.mark.parametrize("text", ["elevated procalcitonin (2.39 ng/mL)", "new oxygen requirement", "facial paralysis"])
def test_findings_stay(text):
    assert Redaction(ICU_TERMS).apply(text)[0] == text


@pytest.mark.parametrize(
    "text",
    [
        "COVID-19", "covid19", "COVID", "SARS-CoV-2", "SARS-CoV2 RNA", "Coronavirus", "2019-nCoV", "RT-PCR", "swabs",
        "Wuhan", "2020", "Legionella-pneumophila", "Streptococcus", "Pneumocystis jiroveci", "PCP", "MERS-CoV",
        "Influenza", "tuberculosis", "Aspergillosis", "E. coli", "bronchopneumonia", "H1N1", "MRSA",
    ],
)  # fmt: skip
def test_names_of_the_diagnosis_do_not_stay(text):
    assert Redaction(COVID_TERMS).apply(text)[0] == "[redacted]"


def test_no_term_stands_twice():
    for terms in (ICU_TERMS, COVID_TERMS):
        assert len(set(terms)) == len(terms)


def test_twice_gives_the_same(made):
    rows = [row("1", str(day), f"{day}.jpg", clinical_notes=f"Day {day} in ICU", went_icu="Y") for day in range(5)]
    first, second = made(*rows), made(*rows, out="again")
    files = sorted(path.relative_to(first.folder) for path in first.folder.rglob("*") if path.is_file())
    assert files == sorted(path.relative_to(second.folder) for path in second.folder.rglob("*") if path.is_file())
    same, differ, failed = filecmp.cmpfiles(first.folder, second.folder, map(str, files), shallow=False)
    assert (len(same), differ, failed) == (len(files), [], [])


def test_a_table_that_is_another(tmp_path):
    with pytest.raises(CohortError, match=r"metadata\.csv: the table cannot be read"):
        import_cohort("covid-chestxray", tmp_path, tmp_path / "out", task="icu")
    (tmp_path / "metadata.csv").write_text("patient_id,offset\n1,2\n")
    with pytest.raises(CohortError, match="no column 'patientid'; nearest: patient_id"):
        import_cohort("covid-chestxray", tmp_path, tmp_path / "out", task="icu")
