"""Simple logic, code reading, and choices among offered answers. What code prints is found by running it here."""

import contextlib
import io
import random
from itertools import permutations

from deployments.banks.writing import Entry, entry, number, word

LOGIC, CODE, KNOWLEDGE = "logic", "code", "knowledge"


def entries() -> list[Entry]:
    return [*_orders(), *_syllogisms(), *_series(), *_code(), *_choices()]


NAMES = ("Ana", "Bo", "Cem", "Dina")


def _orders() -> list[Entry]:
    """Who is tallest, oldest, fastest: one order follows from the facts, which is checked."""
    chance = random.Random(20260201)
    made: list[Entry] = []
    for n, (more, most) in enumerate(
        (
            ("taller", "tallest"),
            ("older", "oldest"),
            ("faster", "fastest"),
            ("stronger", "strongest"),
            ("richer", "richest"),
        ),
        start=1,
    ):
        order = chance.sample(NAMES, 4)
        facts = [(order[0], order[1]), (order[1], order[2]), (order[2], order[3])]
        fitting = [o for o in permutations(NAMES) if all(o.index(a) < o.index(b) for a, b in facts)]
        if fitting != [tuple(order)]:
            raise AssertionError("the facts allow several orders")
        chance.shuffle(facts)
        told = ". ".join(f"{a} is {more} than {b}" for a, b in facts)
        made.append(
            word(
                f"order-{most}",
                LOGIC,
                f"{told}. Who is the {most}? Answer with the name only.",
                order[0],
                tags=("order",),
                cluster="order-of-people",
            )
        )
        if n <= 3:
            made.append(
                word(
                    f"second-{most}",
                    LOGIC,
                    f"{told}. Who is the second {most}? Answer with the name only.",
                    order[1],
                    tags=("order",),
                    cluster="order-of-people",
                )
            )
    return made


SYLLOGISMS = (
    (
        "birds",
        "All sparrows are birds. All birds have feathers. Does it follow that all sparrows have feathers?",
        "yes",
    ),
    (
        "some",
        "Some cups are blue. All blue things are on the table. Does it follow that some cups are on the table?",
        "yes",
    ),
    ("converse", "All roses are flowers. Does it follow that all flowers are roses?", "no"),
    ("none", "No fish can fly. A trout is a fish. Does it follow that a trout cannot fly?", "yes"),
    (
        "affirm",
        "If it rains, the street is wet. The street is wet. Does it follow for certain that it rains?",
        "no",
    ),
    (
        "contrapose",
        "If it rains, the street is wet. The street is not wet. Does it follow that it does not rain?",
        "yes",
    ),
    ("some-not", "Some doctors are singers. Does it follow that all doctors are singers?", "no"),
    ("chain", "If A then B. If B then C. A holds. Does it follow that C holds?", "yes"),
    (
        "either",
        "Either the key is in the box or in the bag. It is not in the box. Does it follow that it is in the bag?",
        "yes",
    ),
    (
        "overlap",
        "Some tall people play chess. Some chess players wear hats. Does it follow that some tall people wear hats?",
        "no",
    ),
)


def _syllogisms() -> list[Entry]:
    return [
        entry(
            f"follows-{name}",
            LOGIC,
            f"{prompt} Answer with yes or no only.",
            answer,
            expect=answer,
            scorers=[{"name": "choice"}],
            tags=("syllogism",),
            max_tokens=8,
        )
        for name, prompt, answer in SYLLOGISMS
    ]


def _series() -> list[Entry]:
    rules = (
        ("plus-4", [3 + 4 * n for n in range(6)]),
        ("double", [5 * 2**n for n in range(6)]),
        ("squares", [n * n for n in range(1, 7)]),
        ("minus-7", [80 - 7 * n for n in range(6)]),
        ("fibonacci", [1, 1, 2, 3, 5, 8]),
        ("cubes", [n**3 for n in range(1, 6)]),
    )
    return [
        number(
            f"series-{name}",
            LOGIC,
            f"Which number comes next: {', '.join(map(str, numbers[:-1]))}?",
            numbers[-1],
            tags=("series",),
            cluster="series",
        )
        for name, numbers in rules
    ] + [
        number(
            "legs",
            LOGIC,
            "A yard holds 4 hens and 3 cows. How many legs do the animals have in all?",
            4 * 2 + 3 * 4,
            tags=("counting",),
        ),
        number(
            "handshakes",
            LOGIC,
            "Five people each shake hands once with every other. How many handshakes are there?",
            5 * 4 // 2,
            tags=("counting",),
        ),
        number(
            "letters",
            LOGIC,
            "How many times does the letter s stand in the word possesses?",
            "possesses".count("s"),
            tags=("counting",),
        ),
        number(
            "fence",
            LOGIC,
            "A straight fence is 20 metres long and has a post every 5 metres, also at both ends. How many posts are there?",
            20 // 5 + 1,
            tags=("counting",),
        ),
    ]


SNIPPETS = (
    ("loop-sum", "total = 0\nfor n in range(1, 6):\n    total += n\nprint(total)"),
    ("slice", 'word = "lantern"\nprint(word[0:4])'),
    ("length", "print(len([3, 1, 4, 1, 5]))"),
    ("modulo", "print(17 % 5)"),
    ("floor", "print(17 // 5)"),
    ("upper", 'print("sea".upper() + "!")'),
    ("dict", 'stock = {"pen": 3, "ink": 7}\nstock["pen"] += 2\nprint(stock["pen"] + stock["ink"])'),
    (
        "if",
        'n = 12\nif n % 3 == 0:\n    print("three")\nelif n % 2 == 0:\n    print("two")\nelse:\n    print("none")',
    ),
    ("while", "n = 40\nsteps = 0\nwhile n > 1:\n    n //= 2\n    steps += 1\nprint(steps)"),
    ("function", "def area(a, b=3):\n    return a * b\n\nprint(area(4) + area(2, 5))"),
    ("recursion", "def f(n):\n    return 1 if n < 2 else n * f(n - 1)\n\nprint(f(5))"),
    ("comprehension", "print([n * n for n in range(5) if n % 2 == 1])"),
    ("reverse", 'print("-".join(reversed(["x", "y", "z"])))'),
    ("set", "print(len({2, 3, 3, 5, 5, 5}))"),
    ("nested", "count = 0\nfor a in range(3):\n    for b in range(a):\n        count += 1\nprint(count)"),
    ("sorted", 'print(sorted(["kiwi", "fig", "plum"], key=len)[0])'),
    ("alias", "a = [1, 2]\nb = a\nb.append(3)\nprint(len(a))"),
    ("break", "for n in range(10):\n    if n * n > 20:\n        break\nprint(n)"),
    ("bool", "print(not (3 > 2 and 5 < 4))"),
    ("max", "print(max([4, 11, 7], key=lambda n: -n))"),
    ("string", 'print("banana".count("an"))'),
    ("tuple", "a, b = 3, 8\na, b = b, a\nprint(a - b)"),
)


def _code() -> list[Entry]:
    made: list[Entry] = []
    for name, source in SNIPPETS:
        heard = io.StringIO()
        with contextlib.redirect_stdout(heard):
            exec(compile(source, name, "exec"), {})  # noqa: S102 - our own code, written above
        printed = heard.getvalue().strip()
        prompt = f"What does this Python program print?\n\n```python\n{source}\n```\n\nAnswer with the printed text only."
        made.append(
            entry(
                f"code-{name}",
                CODE,
                prompt,
                printed,
                expect=[printed, f"`{printed}`", f"```\n{printed}\n```"],
                scorers=[{"name": "exact"}],
                tags=("python",),
                max_tokens=48,
            )
        )
    return made


CHOICES = (
    (
        "planet-largest",
        "Which planet of the solar system is the largest?",
        ("Mars", "Jupiter", "Venus", "Mercury"),
        "Jupiter",
    ),
    (
        "gas-plants",
        "Which gas do plants take in for photosynthesis?",
        ("carbon dioxide", "helium", "neon", "argon"),
        "carbon dioxide",
    ),
    ("boil", "At sea level, at how many degrees Celsius does water boil?", ("50", "80", "100", "150"), "100"),
    ("symbol-gold", "What is the chemical symbol of gold?", ("Gd", "Go", "Ag", "Au"), "Au"),
    (
        "triangle",
        "What is the sum of the angles of a flat triangle, in degrees?",
        ("90", "180", "270", "360"),
        "180",
    ),
    (
        "continent-egypt",
        "On which continent does most of Egypt lie?",
        ("Asia", "Europe", "Africa", "South America"),
        "Africa",
    ),
    (
        "heart",
        "Which organ pumps blood through the body?",
        ("the liver", "the heart", "the lung", "the kidney"),
        "the heart",
    ),
    (
        "author-hamlet",
        "Who wrote the play Hamlet?",
        ("Goethe", "Cervantes", "Molière", "Shakespeare"),
        "Shakespeare",
    ),
    ("prime", "Which of these numbers is prime?", ("21", "27", "29", "33"), "29"),
    ("mammal", "Which of these animals is a mammal?", ("dolphin", "shark", "tuna", "octopus"), "dolphin"),
    ("binary", "How is the number five written in binary?", ("100", "101", "110", "111"), "101"),
    ("light", "What travels fastest through empty space?", ("sound", "a bullet", "light", "wind"), "light"),
    ("ice", "What is ice made of?", ("salt", "water", "glass", "sand"), "water"),
    ("orbit", "What does the Moon orbit?", ("Mars", "the Sun alone", "Venus", "the Earth"), "the Earth"),
    ("spider", "How many legs does a spider have?", ("six", "eight", "ten", "twelve"), "eight"),
    (
        "compass",
        "To which direction does the needle of a compass point, roughly?",
        ("north", "up", "the Sun", "the sea"),
        "north",
    ),
    ("opposite", "Which word is the opposite of scarce?", ("rare", "plentiful", "tiny", "late"), "plentiful"),
    ("pangram", "Which of these is a vowel?", ("b", "k", "e", "t"), "e"),
    ("http", "Which HTTP status code says that a page was not found?", ("200", "301", "404", "500"), "404"),
    (
        "oxygen",
        "Which gas do people need to breathe to live?",
        ("oxygen", "helium", "methane", "neon"),
        "oxygen",
    ),
)


def _choices() -> list[Entry]:
    return [
        entry(
            f"choice-{name}",
            KNOWLEDGE,
            prompt,
            "ABCD"[offered.index(right)],
            expect=right,
            choices=list(offered),
            scorers=[{"name": "choice_logprobs"}],
            tags=("choice",),
            max_tokens=4,
        )
        for name, prompt, offered, right in CHOICES
    ]
