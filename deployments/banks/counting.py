"""Arithmetic, dates and units: every answer is computed."""

import random
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

from deployments.banks.writing import Entry, entry, number, word

ARITHMETIC, DATES, UNITS = "arithmetic", "dates", "units"


def entries() -> list[Entry]:
    return [*_sums(), *_stories(), *_dates(), *_units()]


def _sums() -> list[Entry]:
    chance = random.Random(20260101)
    made: list[Entry] = []
    for n in range(1, 7):
        a, b = chance.randint(12, 98), chance.randint(12, 98)
        made.append(
            number(f"add-{n}", ARITHMETIC, f"What is {a} + {b}?", a + b, tags=("addition",), cluster="add")
        )
    for n in range(1, 6):
        a, b = chance.randint(120, 980), chance.randint(21, 110)
        made.append(
            number(
                f"subtract-{n}",
                ARITHMETIC,
                f"What is {a} - {b}?",
                a - b,
                tags=("subtraction",),
                cluster="subtract",
            )
        )
    for n in range(1, 7):
        a, b = chance.randint(6, 29), chance.randint(3, 19)
        made.append(
            number(
                f"multiply-{n}",
                ARITHMETIC,
                f"What is {a} times {b}?",
                a * b,
                tags=("multiplication",),
                cluster="multiply",
            )
        )
    for n in range(1, 6):
        b, result = chance.randint(3, 12), chance.randint(7, 42)
        made.append(
            number(
                f"divide-{n}",
                ARITHMETIC,
                f"What is {b * result} divided by {b}?",
                result,
                tags=("division",),
                cluster="divide",
            )
        )
    for n, (a, b, c) in enumerate(((4, 3, 5), (20, 6, 2), (7, 8, 9), (50, 4, 12)), start=1):
        made.append(
            number(
                f"order-{n}",
                ARITHMETIC,
                f"Calculate {a} + {b} * {c}.",
                a + b * c,
                tags=("order",),
                cluster="order",
            )
        )
    for n, (share, whole) in enumerate(((15, 80), (25, 48), (40, 65), (5, 340), (120, 50)), start=1):
        value = Fraction(share * whole, 100)
        made.append(
            number(
                f"percent-{n}",
                ARITHMETIC,
                f"What is {share} percent of {whole}?",
                float(value),
                tags=("percent",),
                cluster="percent",
            )
        )
    return made


def _stories() -> list[Entry]:
    chance = random.Random(20260102)
    made: list[Entry] = []
    names = ("Ada", "Ben", "Chi", "Dora", "Emil", "Fay")
    things = ("pears", "stamps", "shells", "pens", "books", "coins")
    for n, (name, thing) in enumerate(zip(names, things, strict=True), start=1):
        start, more, gone = chance.randint(8, 30), chance.randint(5, 25), chance.randint(2, 12)
        prompt = (
            f"{name} has {start} {thing}, gets {more} more and gives {gone} away. How many {thing} are left?"
        )
        made.append(
            number(
                f"story-left-{n}",
                ARITHMETIC,
                prompt,
                start + more - gone,
                tags=("story",),
                cluster="story-left",
            )
        )
    for n in range(1, 6):
        price, count = chance.randint(2, 9), chance.randint(3, 9)
        paid = (price * count // 10 + 1) * 10
        prompt = f"One ticket costs {price} euros. You buy {count} tickets and pay with {paid} euros. How many euros do you get back?"
        made.append(
            number(
                f"story-change-{n}",
                ARITHMETIC,
                prompt,
                paid - price * count,
                tags=("story",),
                cluster="story-change",
            )
        )
    for n in range(1, 5):
        speed, hours = chance.choice((40, 55, 60, 72, 85)), chance.randint(2, 6)
        prompt = (
            f"A train runs {speed} kilometres per hour. How many kilometres does it run in {hours} hours?"
        )
        made.append(
            number(
                f"story-speed-{n}", ARITHMETIC, prompt, speed * hours, tags=("story",), cluster="story-speed"
            )
        )
    for n in range(1, 4):
        people, each = chance.randint(3, 8), chance.randint(4, 9)
        rest = chance.randint(1, people - 1)
        prompt = f"{people * each + rest} apples are shared equally among {people} children. How many apples are left over?"
        made.append(
            number(
                f"story-rest-{n}", ARITHMETIC, prompt, rest, tags=("story", "remainder"), cluster="story-rest"
            )
        )
    return made


def _dates() -> list[Entry]:
    chance = random.Random(20260103)
    made: list[Entry] = []
    for n, day in enumerate(
        (date(2000, 1, 1), date(2024, 2, 29), date(2026, 7, 4), date(1999, 12, 31), date(2020, 3, 14)),
        start=1,
    ):
        prompt = (
            f"Which day of the week was or is {day.day} {day:%B %Y}? Answer with the name of the day only."
        )
        made.append(word(f"weekday-{n}", DATES, prompt, f"{day:%A}", tags=("weekday",), cluster="weekday"))
    for n in range(1, 6):
        start = date(2025, 1, 1) + timedelta(days=chance.randint(0, 300))
        later = start + timedelta(days=chance.randint(5, 45))
        prompt = f"How many days lie between {start.day} {start:%B %Y} and {later.day} {later:%B %Y}, counting the last day but not the first?"
        made.append(
            number(
                f"days-between-{n}",
                DATES,
                prompt,
                (later - start).days,
                tags=("difference",),
                cluster="days-between",
            )
        )
    for n, days in enumerate((10, 25, 3, 40, 100), start=1):
        start = date(2023, (2 * n) % 12 + 1, 5 * n)
        end = start + timedelta(days=days)
        prompt = f"Which date is {days} days after {start.isoformat()}? Answer in the form YYYY-MM-DD only."
        made.append(
            word(
                f"days-after-{n}",
                DATES,
                prompt,
                end.isoformat(),
                tags=("difference", "format"),
                cluster="days-after",
            )
        )
    for year in (1900, 1996, 2000, 2023, 2100):
        is_leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        prompt = f"Is {year} a leap year in the Gregorian calendar? Answer with yes or no only."
        answer = "yes" if is_leap else "no"
        made.append(
            entry(
                f"leap-{year}",
                DATES,
                prompt,
                answer,
                expect=answer,
                scorers=[{"name": "choice"}],
                tags=("leap-year",),
                cluster="leap",
                max_tokens=8,
            )
        )
    for n in range(1, 5):
        begin = datetime(2025, 1, 1, chance.randint(7, 15), chance.choice((5, 20, 35, 50)), tzinfo=UTC)
        minutes = chance.choice((45, 80, 95, 130, 210))
        end = begin + timedelta(minutes=minutes)
        prompt = f"A film begins at {begin:%H:%M} and lasts {minutes} minutes. When does it end? Answer as HH:MM only."
        made.append(word(f"clock-{n}", DATES, prompt, f"{end:%H:%M}", tags=("clock",), cluster="clock"))
    return made


CONVERSIONS = (
    ("km-m", "How many metres are 3.5 kilometres?", 3500),
    ("m-cm", "How many centimetres are 2.4 metres?", 240),
    ("kg-g", "How many grams are 1.25 kilograms?", 1250),
    ("l-ml", "How many millilitres are 0.75 litres?", 750),
    ("h-min", "How many minutes are 2.5 hours?", 150),
    ("day-h", "How many hours are 4 days?", 96),
    ("week-day", "How many days are 9 weeks?", 63),
    ("min-s", "How many seconds are 12 minutes?", 720),
    ("c-f", "How many degrees Fahrenheit are 25 degrees Celsius?", 77),
    ("f-c", "How many degrees Celsius are 212 degrees Fahrenheit?", 100),
    ("kib-b", "How many bytes are 2 kibibytes (KiB)?", 2048),
    ("dozen", "How many pieces are 7 dozen?", 84),
    ("mm-m", "How many metres are 4500 millimetres?", 4.5),
    ("t-kg", "How many kilograms are 3 metric tons?", 3000),
    ("cm2", "How many square centimetres are one square metre?", 10000),
    ("century", "How many years are 5 centuries?", 500),
)


def _units() -> list[Entry]:
    return [
        number(f"unit-{name}", UNITS, prompt, value, tags=("conversion",))
        for name, prompt, value in CONVERSIONS
    ]
