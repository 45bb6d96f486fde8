"""Instructions whose keeping can be checked, and JSON: the form of an answer, not its wit."""

import json
from typing import Any

from deployments.banks.writing import Entry, entry

FOLLOWING, JSON = "instructions", "json"


def entries() -> list[Entry]:
    return [*_following(), *_ordering(), *_json()]


def _rule(
    name: str, prompt: str, reference: str, *scorers: dict[str, Any], tags: tuple[str, ...] = (), **more: Any
) -> Entry:
    return entry(name, FOLLOWING, prompt, reference, scorers=list(scorers), tags=tags, max_tokens=120, **more)


def _length(unit: str, low: int | None, high: int | None) -> dict[str, Any]:
    limits = {key: value for key, value in (("min", low), ("max", high)) if value is not None}
    return {"name": "length", "options": {"unit": unit, **limits}}


def _matches(pattern: str) -> dict[str, Any]:
    return {"name": "regex", "expect": pattern, "options": {"mode": "full"}}


def _has(*texts: str, negate: bool = False) -> dict[str, Any]:
    made: dict[str, Any] = {"name": "contains", "expect": list(texts), "options": {"all": not negate}}
    return made | ({"not": True} if negate else {})


def _following() -> list[Entry]:
    made = [
        _rule(
            "only-yes",
            "Answer with the single word yes, in lower case and without punctuation.",
            "yes",
            _matches("yes"),
        ),
        _rule("only-number", "Write the number forty-two in digits and nothing else.", "42", _matches("42")),
        _rule(
            "upper", "Write the word river in capital letters and nothing else.", "RIVER", _matches("RIVER")
        ),
        _rule("lower", "Write the word PAPER in lower case and nothing else.", "paper", _matches("paper")),
        _rule(
            "quoted",
            "Write the word moss inside double quotation marks and nothing else.",
            '"moss"',
            _matches('"moss"'),
        ),
        _rule(
            "bracketed",
            "Write the word key inside square brackets and nothing else.",
            "[key]",
            _matches(r"\[key\]"),
        ),
        _rule(
            "date-form",
            "Write 9 May 2024 in the form YYYY-MM-DD and nothing else.",
            "2024-05-09",
            _matches("2024-05-09"),
        ),
        _rule(
            "thousands",
            "Write one million in digits with commas between groups of three, and nothing else.",
            "1,000,000",
            _matches("1,000,000"),
        ),
        _rule(
            "reverse-word", "Write the word stone backwards and nothing else.", "enots", _matches("(?i)enots")
        ),
        _rule(
            "initials",
            "Write the first letters of the words Green Apples Taste Sweet as one word in capitals, and nothing else.",
            "GATS",
            _matches("GATS"),
        ),
        _rule(
            "end-mark",
            "Describe rain in one sentence. End your answer with the word DONE.",
            "Rain is water that falls from clouds. DONE",
            {"name": "regex", "expect": r"DONE\W?$"},
            _has("rain"),
            _length("words", 4, 60),
        ),
        _rule(
            "begin-mark",
            "Describe snow in one sentence. Begin your answer with the word NOTE and a colon.",
            "NOTE: Snow is frozen water that falls in flakes.",
            {"name": "starts_with", "expect": "NOTE:"},
            _has("snow"),
        ),
        _rule(
            "avoid-word",
            "Describe the sea in one or two sentences without using the word water.",
            "The sea is a vast, salty body that covers most of the planet.",
            {"name": "contains", "expect": "water", "not": True, "options": {"whole_words": True}},
            _has("sea"),
            _length("words", 5, 80),
        ),
        _rule(
            "two-words",
            "Write one sentence that contains both the word lamp and the word garden.",
            "The lamp lit the whole garden.",
            _has("lamp", "garden"),
            _length("sentences", 1, 1),
        ),
        _rule(
            "keep-short",
            "Explain what a bridge is in at most fifteen words.",
            "A bridge is a structure that carries a path over an obstacle.",
            _length("words", 3, 15),
            _has("bridge"),
        ),
        _rule(
            "semicolons",
            "List the numbers from 1 to 5, separated by semicolons without spaces, and write nothing else.",
            "1;2;3;4;5",
            _matches("1;2;3;4;5"),
        ),
        _rule(
            "count-down",
            "Count down from 5 to 1, one number per line, digits only, and write nothing else.",
            "5\n4\n3\n2\n1",
            _matches(r"5\s*\n4\s*\n3\s*\n2\s*\n1"),
        ),
        _rule(
            "numbered",
            "List exactly four colours as a numbered list, one per line, in the form `1. colour`. Write nothing else.",
            "1. red\n2. blue\n3. green\n4. yellow",
            _matches(r"1\. ?\w[^\n]*\n+2\. ?\w[^\n]*\n+3\. ?\w[^\n]*\n+4\. ?\w[^\n]*"),
        ),
        _rule(
            "table",
            "Write a Markdown table with the header cells Name and Age and one row for Ada, aged 36. Write nothing else.",
            "| Name | Age |\n|---|---|\n| Ada | 36 |",
            _matches(r"\|\s*Name\s*\|\s*Age\s*\|\s*\n\|[\s:|-]+\|\s*\n\|\s*Ada\s*\|\s*36\s*\|"),
        ),
        _rule(
            "tag",
            "Put the word hello into an HTML paragraph element and write nothing else.",
            "<p>hello</p>",
            _matches(r"<p>\s*hello\s*</p>"),
        ),
    ]
    made += [
        _rule(
            f"bullets-{count}",
            f"Name {count} fruits as a list with one fruit per line, each line beginning with a hyphen. Write nothing else.",
            "\n".join(f"- {fruit}" for fruit in ("apple", "pear", "plum", "fig", "kiwi")[:count]),
            _matches(r"- ?\w[^\n]*(?:\n+- ?\w[^\n]*){" + str(count - 1) + "}"),
            cluster="bullets",
            tags=("list",),
        )
        for count in (2, 3, 5)
    ]
    made += [
        _rule(
            f"repeat-{text}",
            f"Write the word {text} exactly {times} times, separated by single spaces, and nothing else.",
            " ".join([text] * times),
            _matches("(?i)" + " ".join([text] * times)),
            cluster="repeat",
        )
        for text, times in (("ping", 3), ("tick", 4), ("go", 6))
    ]
    return made


WORDS = (
    ("pear", "fig", "plum", "apple"),
    ("dog", "cat", "ox", "bee"),
    ("iron", "gold", "zinc", "lead"),
    ("Oslo", "Bern", "Rome", "Cairo"),
)
NUMBERS = ((31, 4, 17, 9), (8, 80, 18, 1), (55, 5, 50, 45))


def _ordering() -> list[Entry]:
    made: list[Entry] = []
    for n, words in enumerate(WORDS, start=1):
        ordered = ", ".join(sorted(words, key=str.lower))
        prompt = f"Sort these words alphabetically and write them on one line, separated by commas, and nothing else: {', '.join(words)}"
        made.append(
            _rule(
                f"sort-words-{n}",
                prompt,
                ordered,
                _matches("(?i)" + ordered.replace(", ", ", ?")),
                tags=("sorting",),
                cluster="sort-words",
            )
        )
    for n, numbers in enumerate(NUMBERS, start=1):
        ordered = ", ".join(map(str, sorted(numbers)))
        prompt = f"Sort these numbers from small to large and write them on one line, separated by commas, and nothing else: {', '.join(map(str, numbers))}"
        made.append(
            _rule(
                f"sort-numbers-{n}",
                prompt,
                ordered,
                _matches(ordered.replace(", ", ", ?")),
                tags=("sorting",),
                cluster="sort-numbers",
            )
        )
    return made


PEOPLE = (
    ("Lena Brandt", 34, "Kiel"),
    ("Omar Haddad", 51, "Tunis"),
    ("Mei Tanaka", 27, "Osaka"),
    ("Ivo Novak", 62, "Brno"),
)
ORDERS = (("A-17", 3, 4.5), ("B-02", 10, 0.8), ("C-99", 1, 120.0))


def _json() -> list[Entry]:
    made: list[Entry] = []

    def add(name: str, prompt: str, value: Any, cluster: str = "", **options: Any) -> None:
        ask = f"{prompt} Answer with JSON only, without a code fence."
        scorer: dict[str, Any] = {"name": "json", **({"options": options} if options else {})}
        told = json.dumps(value, ensure_ascii=False)
        made.append(
            entry(name, JSON, ask, told, expect=told, scorers=[scorer], cluster=cluster, max_tokens=120)
        )

    for n, (name, age, city) in enumerate(PEOPLE, start=1):
        add(
            f"json-person-{n}",
            f"{name} is {age} years old and lives in {city}. Write this as an object with the keys name (text), age (number) and city (text).",
            {"name": name, "age": age, "city": city},
            "json-person",
        )
    for n, (code, count, price) in enumerate(ORDERS, start=1):
        add(
            f"json-order-{n}",
            f"Order {code}: {count} pieces at {price} euros each. Write an object with the keys code (text), count (number) and price (number).",
            {"code": code, "count": count, "price": price},
            "json-order",
        )
    add("json-list", "Write an array of the first five even numbers greater than zero.", [2, 4, 6, 8, 10])
    add(
        "json-nested",
        "Write an object with one key, point, whose value is an object with x equal to 3 and y equal to -1.",
        {"point": {"x": 3, "y": -1}},
    )
    add(
        "json-true",
        "Water is wet. Write an object with the key wet and the value true or false.",
        {"wet": True},
    )
    add(
        "json-null",
        "The phone number of Ann is not known. Write an object with the keys name and phone; an unknown value is null.",
        {"name": "Ann", "phone": None},
    )
    add("json-empty", "Write an empty JSON object.", {})
    add(
        "json-colours",
        "Write an object with the key colours, whose value is an array of the words red, green and blue in this order.",
        {"colours": ["red", "green", "blue"]},
    )
    add(
        "json-weekdays",
        "Write an array with the two days of the weekend, Saturday first.",
        ["Saturday", "Sunday"],
    )
    add(
        "json-escape",
        'Write an object with the key said, whose value is the text: He said "no".',
        {"said": 'He said "no".'},
    )
    add(
        "json-sum",
        "Write an object with the keys a, b and sum, where a is 12, b is 30 and sum is their sum.",
        {"a": 12, "b": 30, "sum": 42},
    )
    add(
        "json-pairs",
        "Two rooms: the kitchen has 2 windows, the hall has 0. Write an array of objects with the keys room and windows, in this order of rooms.",
        [{"room": "kitchen", "windows": 2}, {"room": "hall", "windows": 0}],
    )
    add(
        "json-keys",
        "Turn this line into an object with text values: host=web1; port=8080; mode=slow",
        {"host": "web1", "port": "8080", "mode": "slow"},
    )
    add("json-sorted", "Write the numbers 9, 2 and 5 as an array, sorted from small to large.", [2, 5, 9])
    made.append(
        entry(
            "json-schema-book",
            JSON,
            "Invent a book. Answer with one JSON object only, without a code fence, with the keys title (text), year (whole "
            "number from 1900 to 2020) and genres (array of one to three texts).",
            '{"title": "The Quiet Harbour", "year": 1987, "genres": ["novel"]}',
            scorers=[
                {
                    "name": "json_schema",
                    "expect": {
                        "type": "object",
                        "required": ["title", "year", "genres"],
                        "additionalProperties": False,
                        "properties": {
                            "title": {"type": "string", "minLength": 1},
                            "year": {"type": "integer", "minimum": 1900, "maximum": 2020},
                            "genres": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": 3,
                                "items": {"type": "string", "minLength": 1},
                            },
                        },
                    },
                }
            ],
            tags=("schema",),
            max_tokens=120,
        )
    )
    return made
