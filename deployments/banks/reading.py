"""Reading short texts that stand in the question; some answers are not in the text, and must not be made up."""

from deployments.banks.writing import Entry, entry

TOPIC = "reading"
NOT_STATED = "not stated"
TEXTS: tuple[tuple[str, str, tuple[tuple[str, str | list[str]], ...]], ...] = (
    (
        "harbour",
        (
            "The harbour of Velmo was built in 1874 by the engineer Runa Tolk. It has three piers. The longest, the east pier, "
            "measures 210 metres. Fishing boats use the west pier, and ferries leave from the middle one every forty minutes."
        ),
        (
            ("In which year was the harbour built?", "1874"),
            ("Who built the harbour?", ["Runa Tolk", "Tolk"]),
            ("How long is the east pier, in metres?", "210"),
            ("From which pier do the ferries leave?", "middle"),
            ("What does a ferry ticket cost?", NOT_STATED),
        ),
    ),
    (
        "recipe",
        (
            "For eight rolls mix 500 grams of rye flour with 300 millilitres of water, two teaspoons of salt and one spoon of "
            "honey. Let the dough rest for ninety minutes. Bake at 220 degrees for eighteen minutes, then let the rolls cool."
        ),
        (
            ("Which kind of flour is used?", "rye"),
            ("How many minutes does the dough rest?", ["90", "ninety"]),
            ("At how many degrees are the rolls baked?", "220"),
            ("How many rolls does the recipe make?", ["8", "eight"]),
            ("How much butter is needed?", NOT_STATED),
        ),
    ),
    (
        "meeting",
        (
            "Minutes of 3 March: present were Ilse, Karim and Paulo; Greta was ill. Karim reported that the printer on the second "
            "floor is broken. Paulo will order a new one by Friday. The next meeting is on 17 March in room 4."
        ),
        (
            ("Who was ill?", "Greta"),
            ("Who will order the new printer?", "Paulo"),
            ("On which floor is the broken printer?", ["second", "2nd", "2"]),
            ("In which room is the next meeting?", ["4", "four"]),
            ("What is the name of the company?", NOT_STATED),
        ),
    ),
    (
        "bird",
        (
            "The marsh piper weighs only nineteen grams. It builds its nest from reeds, lays five blue eggs in April and feeds on "
            "beetles and small snails. In October it flies south along the river Asten."
        ),
        (
            ("How many grams does the bird weigh?", ["19", "nineteen"]),
            ("Of what is the nest made?", ["reeds", "reed"]),
            ("Which colour are the eggs?", "blue"),
            ("In which month does the bird fly south?", "October"),
            ("How old does the bird grow?", NOT_STATED),
        ),
    ),
    (
        "letter",
        (
            "Dear Ms Okafor, thank you for your order 5512 of 6 June. The blue armchair is out of stock and will arrive in about "
            "three weeks. The lamp was sent today. You may cancel the armchair free of charge. Kind regards, Tomas Lind, Nordholt Furniture"
        ),
        (
            ("Which article is out of stock?", ["armchair", "blue armchair"]),
            ("What is the number of the order?", "5512"),
            ("Who signed the letter?", ["Tomas Lind", "Lind"]),
            ("Which article was sent already?", "lamp"),
            ("What did the lamp cost?", NOT_STATED),
        ),
    ),
    (
        "match",
        (
            "In the final, Harlow led 2 to 0 at half-time through goals by Adeyemi and Strand. Bexley scored once after the break, "
            "in the 71st minute, but Strand made it 3 to 1 shortly before the end. 8,400 people watched in the rain."
        ),
        (
            ("Which team won?", "Harlow"),
            ("Which player scored twice?", "Strand"),
            ("In which minute did Bexley score?", ["71", "71st"]),
            ("How many people watched?", ["8,400", "8400"]),
            ("Who was the referee?", NOT_STATED),
        ),
    ),
    (
        "museum",
        (
            "The clock museum is open from Tuesday to Sunday, 10:00 to 17:30, and closed on Mondays. Adults pay 9 euros, students 5; "
            "children under twelve get in free. Guided tours start at 11:00 and 15:00. Dogs must stay outside."
        ),
        (
            ("On which day is the museum closed?", ["Monday", "Mondays"]),
            ("How many euros does a student pay?", ["5", "five"]),
            ("At which time does the second guided tour start?", ["15:00", "3 pm", "3:00 pm"]),
            ("Until which time is the museum open?", ["17:30", "5:30 pm"]),
            ("In which city is the museum?", NOT_STATED),
        ),
    ),
)


def entries() -> list[Entry]:
    made: list[Entry] = []
    for name, text, questions in TEXTS:
        for n, (question, accepted) in enumerate(questions, start=1):
            prompt = (
                f"{text}\n\nAnswer from this text only, as shortly as you can. If the text does not say it, answer "
                f'"{NOT_STATED}".\n{question}'
            )
            first = accepted if isinstance(accepted, str) else accepted[0]
            is_absent = first == NOT_STATED
            scorers = [
                {"name": "contains", "options": {"whole_words": True}},
                {"name": "length", "options": {"unit": "words", "max": 30}},
            ]
            if not is_absent:
                scorers.append({"name": "contains", "expect": NOT_STATED, "not": True})
            made.append(
                entry(
                    f"read-{name}-{n}",
                    TOPIC,
                    prompt,
                    first,
                    expect=accepted,
                    scorers=scorers,
                    tags=("absent" if is_absent else "present",),
                    cluster=f"read-{name}",
                    max_tokens=64,
                )
            )
    return made
