from __future__ import annotations

import pytest

from medfuse.errors import CohortError
from medfuse.importers import import_cohort
from medfuse.notes import OUTCOME_SECTIONS, read_note, select

REPORT = """<?xml version="1.0" encoding="utf-8"?>
<eCitation>
   <meta type="rr"/>
   <uId id="CXR{number}"/>
   <pmcId id="{number}"/>
   <docSource>CXR</docSource>
   <licenseType>open-access</licenseType>
   <licenseURL>http://creativecommons.org/licenses/by-nc-nd/4.0/</licenseURL>
   <articleDate>2013-08-01</articleDate>
   <MedlineCitation Owner="Indiana University" Status="supplied by publisher">
      <Article PubModel="Electronic">
         <Abstract>
            <AbstractText Label="COMPARISON"/>
            <AbstractText Label="INDICATION">Cough &amp; fever, XXXX</AbstractText>
            <AbstractText Label="FINDINGS">The heart is
               large.</AbstractText>
            <AbstractText Label="IMPRESSION">Cardiomegaly.</AbstractText>
         </Abstract>
      </Article>
   </MedlineCitation>
   <MeSH>{majors}<automatic>heart</automatic></MeSH>
   {images}
</eCitation>
"""


@pytest.fixture
def source(tmp_path):
    """Unpacks reports and images as the collection's three archives do."""
    root = tmp_path / "openi"
    (root / "ecgen-radiology").mkdir(parents=True)

    def add(number: int, *majors: str, images: tuple[str, ...] = (), png: bool = True, dicom: bool = False):
        (root / "ecgen-radiology" / f"{number}.xml").write_text(
            REPORT.format(
                number=number,
                majors="".join(f"<major>{major}</major>" for major in majors),
                images="".join(f'<parentImage id="{name}"><caption>x</caption></parentImage>' for name in images),
            ),
            encoding="utf-8",
        )
        for name in images:
            if png:
                (root / f"{name}.png").write_bytes(name.encode())
            if dicom:
                tail = name[name.index("IM-") :]
                (root / str(number)).mkdir(exist_ok=True)
                (root / str(number) / f"{number}_{tail}.dcm").write_bytes(b"\0" * 128 + b"DICM" + tail.encode())
        return root

    return add


def test_a_report_is_a_case_with_its_images_and_headings(source, tmp_path):
    source(1, "normal", images=("CXR1_1_IM-0001-3001", "CXR1_1_IM-0001-4001"))
    source(10, "Cardiomegaly/mild", "Pleural Effusion/left/small", images=("CXR10_IM-0002-1001",))
    root = source(2, "Cardiomegaly", "Lung/hypoinflation", images=("CXR2_IM-0652-1001",))
    cohort = import_cohort("openi", root, tmp_path / "out")
    assert (cohort.name, cohort.task) == ("openi-findings", "multilabel")
    assert cohort.labels == ("Cardiomegaly", "Pleural Effusion")
    assert [case.case_id for case in cohort.cases] == ["CXR1", "CXR2", "CXR10"]
    assert [tuple(case.labels.values()) for case in cohort.cases] == [(0, 0), (1, 0), (1, 1)]
    assert [scan.path.name for scan in cohort.cases[0].scans] == [
        "CXR1_1_IM-0001-3001.png",
        "CXR1_1_IM-0001-4001.png",
    ]
    assert {case.patient_id for case in cohort.cases} == {"CXR1", "CXR2", "CXR10"}
    assert "by-nc-nd" in cohort.licence
    assert cohort.problems == ()


def test_what_holds_the_label_stays_in_the_note_and_is_not_read_by_default(source, tmp_path):
    root = source(1, "Cardiomegaly", images=("CXR1_1_IM-0001-3001",))
    note = read_note(import_cohort("openi", root, tmp_path / "out").cases[0].notes[0].path)
    assert note.kind == "radiology report"
    assert [section.name for section in note.sections] == ["INDICATION", "FINDINGS", "IMPRESSION"]
    assert (
        note.text == "INDICATION: Cough & fever, XXXX\n\nFINDINGS: The heart is large.\n\nIMPRESSION: Cardiomegaly.\n"
    )
    assert select(note, exclude=OUTCOME_SECTIONS) == "INDICATION: Cough & fever, XXXX"


def test_dicom_is_taken_before_png(source, tmp_path):
    source(1, "normal", images=("CXR1_1_IM-0001-3001",), dicom=True)
    root = source(2, "Cardiomegaly", images=("CXR2_IM-0652-1001",), png=False, dicom=True)
    cohort = import_cohort("openi", root, tmp_path / "out")
    assert [case.scans[0].path.name for case in cohort.cases] == ["1_IM-0001-3001.dcm", "2_IM-0652-1001.dcm"]


def test_abnormal_and_what_was_not_coded(source, tmp_path):
    source(1, "normal")
    source(2, "Cardiomegaly")
    source(3, "no Indexing")
    source(4)
    root = source(5, "normal", "Technical Quality of Image Unsatisfactory")
    cohort = import_cohort("openi", root, tmp_path / "out", task="abnormal")
    assert [case.labels for case in cohort.cases] == [
        {"abnormal": 0},
        {"abnormal": 1},
        {"abnormal": None},
        {"abnormal": None},
        {"abnormal": 0},
    ]


def test_labels_are_chosen(source, tmp_path):
    root = source(1, "Fractures, Bone/ribs", "Cardiomegaly")
    cohort = import_cohort("openi", root, tmp_path / "out", labels="Fractures, Bone|cardiomegaly")
    assert cohort.cases[0].labels == {"Fractures, Bone": 1, "cardiomegaly": 1}
    with pytest.raises(CohortError, match="no report has the heading 'Cardiomegly'; nearest: cardiomegaly"):
        import_cohort("openi", root, tmp_path / "again", labels="Cardiomegly")


def test_images_that_two_reports_share_make_one_patient(source, tmp_path):
    source(1, "normal", images=("CXR1_1_IM-0001-3001",))
    root = source(2, "Cardiomegaly", images=("CXR2_IM-0652-1001",))
    (root / "CXR2_IM-0652-1001.png").write_bytes(b"CXR1_1_IM-0001-3001")
    cohort = import_cohort("openi", root, tmp_path / "out")
    assert [case.patient_id for case in cohort.cases] == ["CXR1+CXR2", "CXR1+CXR2"]


def test_damaged_reports_and_missing_images_cost_only_themselves(source, tmp_path):
    root = source(1, "Cardiomegaly", images=("CXR1_1_IM-0001-3001", "../../etc/passwd"), png=False)
    reports = root / "ecgen-radiology"
    (reports / "2.xml").write_text("<eCitation><uId id='CXR2'>")
    (reports / "3.xml").write_text("<other/>")
    (reports / "4.xml").write_bytes((reports / "1.xml").read_bytes())
    laughs = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 20))
    (reports / "5.xml").write_text(f'<!DOCTYPE x [<!ENTITY l0 "ha">{laughs}]><eCitation><uId id="&l19;"/></eCitation>')
    cohort = import_cohort("openi", root, tmp_path / "out")
    assert [case.case_id for case in cohort.cases] == ["CXR1"]
    assert cohort.cases[0].scans == ()
    assert [problem.rsplit(";", 1)[0] for problem in cohort.problems] == [
        "report 'ecgen-radiology/2.xml' is no XML that can be read",
        "report 'ecgen-radiology/4.xml' has the id of another",
        "report 'ecgen-radiology/5.xml' is no XML that can be read",
        "case CXR1: image 'CXR1_1_IM-0001-3001' is not there",
        "case CXR1: image 'etc_passwd' is not there",
    ]


def test_a_folder_without_reports(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(CohortError, match="no reports of Open-I"):
        import_cohort("openi", tmp_path / "empty", tmp_path / "out")
