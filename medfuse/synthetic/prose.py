"""Words: a request note that states the findings of the history in varied wording, and never the diagnosis.

Sex and age are findings of the table, not of the note, so the wording is neutral about both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

# Why the film was asked for, and what the history says; both by `course`, so that each note says it twice over.
REASONS: Mapping[str, tuple[str, ...]] = {
    "febrile": (
        "Fever and productive cough.",
        "Cough with green sputum, shivering.",
        "Febrile with rigors, purulent sputum.",
        "Temp spikes and chesty cough, ?cause.",
        "Fever, chills and a wet cough.",
    ),
    "swollen": (
        "Swollen legs and cannot lie flat.",
        "Orthopnoea and ankle oedema.",
        "Waking breathless at night, legs swelling.",
        "Weight gain, bilateral leg oedema, SOB lying down.",
        "Pitting oedema to the knees, breathless when flat.",
    ),
    "operated": (
        "Low sats after laparotomy.",
        "Post-op day 2, shallow breathing, desaturating.",
        "Recent abdominal surgery, now needs oxygen.",
        "Breathless on the surgical ward after bowel resection.",
        "Increasing O2 requirement postoperatively.",
    ),
    "pleuritic": (
        "Sharp pain on breathing in, swollen calf.",
        "Pleuritic chest pain after a long flight.",
        "Stabbing pain on inspiration, coughed up blood.",
        "Tachycardia and pleuritic pain, one calf tender.",
        "Pain worse on deep breath, unilateral calf swelling.",
    ),
    "checkup": (
        "Routine film before joining the occupational health scheme.",
        "Fell off a ladder, chest wall bruising.",
        "Pre-assessment before cataract list.",
        "Check of a feeding tube position.",
        "Visa medical, film requested.",
    ),
}
STORIES: Mapping[str, tuple[str, ...]] = {
    "febrile": (
        "Hot and sweaty with shaking chills at home.",
        "Bringing up thick yellow-green phlegm with fever.",
        "Grandchild at home had a feverish cold; now fever and a rattling cough.",
        "GP started amoxicillin for fever and dirty sputum.",
        "High temperature, aching all over, coughing up purulent sputum.",
        "Fevers not settling on paracetamol, sputum rusty.",
    ),
    "swollen": (
        "Sleeping upright on four pillows, shoes no longer fit because of swelling.",
        "Ran out of furosemide; weight up several kilos, ankles puffy.",
        "Wakes gasping at night, oedema of both legs.",
        "Neck veins full, both ankles pitting.",
        "Breathless on one flight of stairs, legs heavy with fluid.",
        "Water tablets recently doubled for leg swelling.",
    ),
    "operated": (
        "Had a hernia repair and lies still because the wound hurts.",
        "Two days after abdominal surgery, painful wound, weak cough.",
        "In bed since the operation, splinting the abdomen.",
        "General anaesthetic for bowel surgery this week, poor effort with spirometry.",
        "Recovering from an open cholecystectomy, not mobilising, drain still in.",
        "Extubated after a long operation, breathing shallow due to incision pain.",
    ),
    "pleuritic": (
        "Knife-like pain on each breath and a streak of blood in the spit.",
        "Left calf swollen and tender since a long-haul flight.",
        "Pain catches on breathing in; heart racing.",
        "Leg in a plaster cast for weeks, now sharp chest pain when breathing in.",
        "Coughed up a little blood, pain on inspiration, calf sore.",
        "Felt faint with a racing pulse and stabbing pain on inspiration.",
    ),
    "checkup": (
        "Works full time, mild breathlessness on hills only.",
        "Sent by the employer, otherwise carries on as usual.",
        "Tender over the ribs after the fall, walking about.",
        "Attends for a scheduled check, a little short of puff.",
        "Tube was re-sited by the ward, comfortable.",
        "Needs a film for the paperwork, exercises daily.",
    ),
}
BACKGROUNDS: Mapping[str, tuple[str, ...]] = {
    "cardiac": (
        "Past history: myocardial infarction, coronary stents.",
        "Known ischaemic heart disease and atrial fibrillation.",
        "PMH: CABG, hypertension, AF on bisoprolol.",
        "Background of coronary disease with a pacemaker.",
    ),
    "airways": (
        "Known COPD, on inhalers.",
        "PMH: COPD and asthma, heavy smoker.",
        "Lifelong smoker with emphysema, tiotropium daily.",
        "Background of bronchiectasis and smoking, home nebuliser.",
    ),
    "cancer": (
        "Known bowel malignancy, on chemotherapy.",
        "PMH: metastatic colon cancer, chemo cycle 3.",
        "Under oncology for pancreatic cancer.",
        "Background of lymphoma, last chemotherapy recently.",
    ),
    "none": (
        "No past medical history of note.",
        "PMH: nil.",
        "Previously fit, no long-term conditions.",
        "Background: none recorded.",
    ),
}
ONSETS: Mapping[str, tuple[str, ...]] = {
    "minutes": (
        "Came on suddenly, within minutes.",
        "Sudden onset today.",
        "Abrupt start this morning, out of the blue.",
        "Onset: instantaneous.",
    ),
    "days": (
        "Over the last 3 days.",
        "For four days now.",
        "Duration: a few days.",
        "Started 2 days ago, slowly worse since.",
    ),
    "weeks": (
        "Going on for several weeks.",
        "Gradual, over 6 weeks.",
        "Duration: about two months.",
        "Slowly progressive for weeks.",
    ),
}
# What a note denies; never what its own course reports.
DENIALS: Mapping[str, tuple[str, ...]] = {
    "febrile": ("No fever.", "Afebrile.", "Denies sputum.", "No rigors."),
    "swollen": ("No ankle swelling.", "No orthopnoea.", "Denies weight gain.", "Lies flat without trouble."),
    "operated": ("No recent surgery.", "No operation this year.", "Never had an anaesthetic."),
    "pleuritic": ("No calf swelling.", "No haemoptysis.", "Denies pain on breathing.", "No recent travel."),
}
ASIDES = (
    "Allergic to penicillin.",
    "Lives alone, independent.",
    "Takes a statin.",
    "Retired teacher.",
    "Poor historian.",
    "Interpreter used.",
    "Diet-controlled diabetes.",
    "Please call the ward with the result.",
    "Osteoarthritis of both knees.",
    "Appetite fair.",
    "Paracetamol 2× daily as needed.",
    "Hypothyroid – on levothyroxine.",
    "Hearing aid in situ.",
    "Drinks alcohol at weekends.",
)
COMPARISONS = (
    "None.",
    "None available.",
    "Prior radiograph held at another hospital.",
    "Film from last year, not retrieved.",
    "Chest radiograph of 2019.",
    "No earlier images on this system.",
)
TECHNIQUES = (
    "Single frontal view.",
    "One view of the chest.",
    "Frontal radiograph, digital detector.",
    "Chest, 1 view.",
)
HEADERS: Mapping[str, tuple[str, ...]] = {
    "INDICATION": ("INDICATION", "Indication", "REASON FOR EXAM", "CLINICAL INDICATION"),
    "HISTORY": ("HISTORY", "History", "CLINICAL HISTORY", "Clinical history"),
    "COMPARISON": ("COMPARISON", "Comparison"),
    "TECHNIQUE": ("TECHNIQUE", "Technique", "EXAMINATION"),
}
ABBREVIATIONS = {
    "history": "hx",
    "breathless": "SOB",
    "Background": "Bg",
    "weeks": "wks",
    "surgery": "sx",
    "operation": "op",
    "Started": "Strtd",
    "with": "w/",
}


def write_note(findings: Mapping[str, str], rng: np.random.Generator) -> str:
    """One request note.

    Args:
        findings: States of `course`, `background` and `onset`.
        rng: Decides the wording, the order and the slips of the pen.

    Returns:
        The text, with sections such as INDICATION and HISTORY; every finding is stated in words.
    """
    course = findings["course"]
    onset = _one(ONSETS[findings["onset"]], rng)
    reason, *story = [
        _one(REASONS[course], rng),
        *_some(STORIES[course], 2, rng),
        _one(BACKGROUNDS[findings["background"]], rng),
    ]
    if rng.random() < 0.3:  # the duration is told in the indication by some, in the history by others
        reason = f"{reason} {onset}"
    else:
        story.append(onset)
    if rng.random() < 0.45:
        denied = _one([other for other in DENIALS if other != course], rng)
        story.append(_one(DENIALS[denied], rng))
    story += _some(ASIDES, int(rng.integers(0, 3)), rng)
    story = _some(story, len(story), rng)
    sections = {"INDICATION": reason, "HISTORY": " ".join(story)}
    if rng.random() < 0.8:
        sections["COMPARISON"] = _one(COMPARISONS, rng)
    if rng.random() < 0.5:
        sections["TECHNIQUE"] = _one(TECHNIQUES, rng)
    order = list(sections)
    if rng.random() < 0.3:
        order[0], order[1] = order[1], order[0]
    style = int(rng.integers(0, 3))
    glue = ("\n", " ", "\n  ")[style]
    gap = ("\n\n", "\n", "\n\n")[style]
    kind = int(rng.integers(0, 4))
    parts = []
    for name in order:
        names = HEADERS[name]
        parts.append(f"{names[kind % len(names)]}:{glue}{_slips(sections[name], rng)}")
    return gap.join(parts) + "\n"


def _slips(text: str, rng: np.random.Generator) -> str:
    """Abbreviations in some notes, and a swapped pair of letters here and there."""
    words = text.split(" ")
    hasty = rng.random() < 0.25
    for index, word in enumerate(words):
        if hasty and word in ABBREVIATIONS:
            words[index] = ABBREVIATIONS[word]
        elif len(word) > 6 and rng.random() < 0.02:
            at = int(rng.integers(1, len(word) - 3))
            words[index] = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return " ".join(words)


def _one(choices: Sequence[str], rng: np.random.Generator) -> str:
    return choices[int(rng.integers(len(choices)))]


def _some(choices: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    return [choices[int(index)] for index in rng.permutation(len(choices))[:count]]
