"""What the notes of covid-chestxray must not say, by task.

The notes are figure captions and case reports, written when the outcome was known. Each list was made by reading the
notes of the development part, and widened by the other wordings of the same thing and by the findings of the whole
collection, so that notes which were not read are covered too.

What stays in, because a clinician has it in hand at the time of the image: symptoms, history, travel (but not to
Wuhan), contacts, oxygen needs, laboratory values, what the image shows.
"""

from __future__ import annotations

# Everything that names intensive care, what is only done there, or how it ended. Tubes and central lines count: in
# these notes each stands in a patient who went to intensive care.
ICU_TERMS = (
    # the place
    "ICU", "ICUs", "ITU", "HDU", "CCU", "MICU", "SICU", "intensive care", "intensive care unit*", "intensive therapy",
    "intensivist*", "critical care", "critical care unit*", "critically ill", "high dependency", "hospital ward*",
    "ward", "wards", "step down", "stepped down",
    # breathing for the patient
    "*intubat*", "*intubuat*", "*extubat*", "*ventilat*", "mechanically ventilat*", "mechanical ventilat*",
    "invasive ventilat*", "ECMO", "extracorporeal*", "extracorporeal membrane oxygenation", "membrane oxygenation",
    "endotracheal*", "endotracheal tube*", "orotracheal*", "nasotracheal*", "tracheal tube*", "tracheal cannula*",
    "tracheostom*", "tracheotom*", "ETT", "ETTs", "ET tube*", "carina", "above the carina", "NIV", "CPAP", "BiPAP",
    "BPAP", "PEEP", "positive pressure", "positive pressure ventilat*", "HFNC", "HFNO", "high flow nasal*",
    "life support",
    # lines and tubes; NG and OG alone would also be units, as in ng/mL
    "lines and tubes", "tubes and lines", "support lines", "support devices", "nasogastric*", "nasogastric tube*",
    "na sogastric*", "orogastric*", "orogastric tube*", "NG tube*", "NGT", "NGTs", "NG in",
    "NG and", "OG tube*", "OGT", "OG in", "feeding tube*", "central line*", "central venous*", "central venous line*",
    "central venous catheter*", "venous line*", "venous catheter*", "central catheter*", "jugular*", "jugular line*",
    "jugular central line*", "jugular catheter*", "internal jugular*", "subclavian*", "CVC", "CVCs", "CVL", "CVLs",
    "IJV", "IJV catheter*", "IJ line*", "PICC", "SVC", "superior vena cava", "arterial line*", "Swan Ganz",
    "intercostal drain*", "chest drain*", "chest tube*",
    # support of the circulation, and what goes with a ventilator
    "inotrop*", "inotropic support", "vasopressor*", "norepinephrine", "noradrenaline", "proning", "proned",
    "prone position*", "prone portable", "sedated", "sedation", "neuromuscular block*",
    # how it ended
    "died", "dies", "dying", "death*", "dead", "deceased", "demise", "expired", "fatal*", "mortality", "passed away",
    "succumb*", "survive*", "surviving", "survival", "discharge*", "discharging", "recovery", "complete recovery",
    "uncomplicated recovery", "recovered", "cured", "favourable course", "favorable course", "favourable outcome",
    "favorable outcome", "cardiac arrest", "resuscitat*",
)  # fmt: skip

# The names of the disease, of its tests and its time, and of every other diagnosis of the column `finding`: naming
# another disease rules this one out. Years tell before and after; so does the place of the outbreak.
COVID_TERMS = (
    # the disease and the virus
    "*covid*", "OVID", "COVID 19*", "corona", "*coronavir*", "corona virus*", "coronavirus disease 2019",
    "SARS*", "SARS CoV*", "SARS CoV 2*", "nCoV", "2019 nCoV", "nCoV 2019", "CoV", "CoV 2", "MERS*", "MERS CoV",
    # its tests
    "PCR*", "RT PCR*", "rRT PCR*", "polymerase chain reaction", "polymerase change reaction",
    "reverse transcription*", "reverse transcriptase*", "RNA", "DNA", "swab*", "nasopharyngeal", "oropharyngeal",
    "antigen*", "antibod*", "serolog*", "immunofluorescence*", "nucleic acid*", "viral", "virus*", "virolog*",
    # its time and place
    *(str(year) for year in range(2000, 2026)), "Wuhan", "Hubei", "wet market", "pandemic*",
    "epidemic*", "endemic*", "epidemiolog*", "outbreak*", "lockdown*", "quarantin*",
    # the other findings of the collection
    "ARDS", "acute respiratory distress*", "acute respiratory distress syndrome*", "adult respiratory distress*",
    "*pneumonia*", "pneumonic",
    "streptococc*", "strep", "pneumococc*", "pneumocyst*", "jirovec*", "carinii", "PCP", "PJP", "klebsiella*",
    "legionell*", "pneumophila", "mycoplasma*", "chlamyd*", "E coli", "escherichia*", "staphylococc*", "MRSA",
    "bacteri*", "mycobacteri*", "tubercul*", "TB", "nocardi*", "aspergill*", "fung*", "lipoid*", "varicell*",
    "chickenpox", "herpes*", "influenza*", "flu", "H1N1*", "H3N2", "H5N1", "H7N9", "swine flu", "RSV",
    "respiratory syncytial*", "adenovir*",
)  # fmt: skip
