"""Questions that say the same twice, and questions that were in the training data.

A question that a model was trained on measures memory, not skill; two copies of one question count one answer twice.
Both are told by words alone, case and punctuation aside. What was reworded or translated is not seen.
"""

import csv
import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from tidegate.domain import InvalidInput, NotFound
from tidegate.quality.bank import Bank
from tidegate.quality.question import Question

WORDS = re.compile(r"\w+")
WORDS_AND_SIGNS = re.compile(r"\w+|[-+*/%<>=&|^~]")
"""Between two questions of a bank a sign may be the whole difference: `17 % 5` and `17 / 5`."""
GRAM = 8
"""Words in a row that must be the same in a question and a training text (13 in GPT-3, 8 in PaLM; questions are short)."""
FEWEST_WORDS = 4
"""A shorter question must be a training text as a whole: three words in a row are chance."""
CONTAINED = 0.5
"""Share of a question's word sequences found in one training row from which the question counts as seen."""
NEAR = 0.8
"""Jaccard likeness of word triples from which two questions of a bank are near duplicates."""
TRIPLE = 3
MAX_LINE_CHARACTERS = 8 * 1024 * 1024
MAX_JSON_BYTES = 256 * 1024 * 1024
MAX_FOUND = 1_000
HITS_PER_QUESTION = 3
TABLES = (".csv", ".tsv")
UNREADABLE = (".parquet", ".arrow", ".gz", ".zst", ".zip", ".bin", ".safetensors", ".gguf", ".pkl", ".npy")


@dataclass(frozen=True, slots=True)
class Twin:
    """Two questions of one bank that say (nearly) the same."""

    first: str
    second: str
    likeness: float
    """1.0: the same words."""


@dataclass(frozen=True, slots=True)
class Leak:
    """A question that stands in the training data, with both places."""

    question: str
    place: str
    train_place: str
    share: float
    """Of the question's word sequences that the row holds; 1.0 for the whole text."""
    is_exact: bool


@dataclass
class LeakReport:
    """What a training file has of a bank."""

    file: str
    rows: int = 0
    unreadable: int = 0
    """Lines that are no records; they were not looked at."""
    leaks: list[Leak] = field(default_factory=list[Leak])
    hits: Counter[str] = field(default_factory=Counter[str])
    """How many training rows hold each question."""
    unchecked: list[str] = field(default_factory=list[str])
    """Questions too short, or too like others of the bank, for anything but a whole equal text."""

    @property
    def exact(self) -> int:
        return len({leak.question for leak in self.leaks if leak.is_exact})


def words_of(text: str) -> list[str]:
    return WORDS.findall(text.casefold())


def twins(questions: Sequence[Question], likeness: float = NEAR) -> list[Twin]:
    """Pairs that say the same or nearly so, the most alike first; questions of one cluster are meant to be alike.

    Exact for Jaccard likeness from `likeness` on by prefix filtering (Chaudhuri 2006): of two sets that alike, the
    rarest (1 - likeness) of each share at least one member, so only those are looked up.
    """
    sets = [_features(question) for question in questions]
    frequency = Counter(item for one in sets for item in one)
    ordered = [sorted(one, key=lambda item: (frequency[item], item)) for one in sets]
    index: dict[str, list[int]] = defaultdict(list)
    found: list[Twin] = []
    for place, items in enumerate(ordered):
        prefix = items[: len(items) - int(likeness * len(items) + 0.999999) + 1]
        for other in {earlier for item in prefix for earlier in index[item]}:
            if _are_kin(questions[place], questions[other]):
                continue
            shared = len(sets[place] & sets[other])
            value = shared / (len(sets[place]) + len(sets[other]) - shared)
            if value >= likeness:
                found.append(Twin(questions[other].id, questions[place].id, value))
        for item in prefix:
            index[item].append(place)
        if len(found) >= MAX_FOUND:
            break
    return sorted(found, key=lambda twin: -twin.likeness)


def _features(question: Question) -> frozenset[str]:
    """Word triples, ends marked, of all that is asked: another choice or another turn makes another question."""
    text = "\n".join(turn.content or "" for turn in question.turns if turn.role != "system")
    words = ["^", *(WORDS_AND_SIGNS.findall(text.casefold()) or [text]), "$"]
    return frozenset(" ".join(words[at : at + TRIPLE]) for at in range(max(1, len(words) - TRIPLE + 1)))


def _are_kin(one: Question, other: Question) -> bool:
    return one.cluster is not None and one.cluster == other.cluster


class _Index:
    """Word sequences of a bank, found by their rarest word, and whole texts."""

    def __init__(self, bank: Bank):
        self.bank = bank
        words = {question.id: words_of(question.prompt) for question in bank.questions}
        self.whole: dict[str, list[str]] = defaultdict(list)
        for name, said in words.items():
            if said:
                self.whole[" ".join(said)].append(name)
        grams = {name: _grams(said) for name, said in words.items()}
        shared = Counter(gram for one in grams.values() for gram in one)
        # What many questions have is their template, not their content.
        most = max(3, len(bank.questions) // 20)
        self.grams = {name: {g for g in one if shared[g] <= most} for name, one in grams.items()}
        self.unchecked = [name for name, one in self.grams.items() if not one]
        owners: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for name, one in self.grams.items():
            for gram in one:
                owners[gram].append(name)
        frequency = Counter(word for said in words.values() for word in said)
        self.anchors: dict[str, list[tuple[int, tuple[str, ...], list[str]]]] = defaultdict(list)
        for gram, names in owners.items():
            at = min(range(len(gram)), key=lambda n: (frequency[gram[n]], -len(gram[n]), n))
            self.anchors[gram[at]].append((at, gram, names))

    def seen(self, words: list[str]) -> dict[str, set[tuple[str, ...]]]:
        """Which sequences of which questions a text holds."""
        found: dict[str, set[tuple[str, ...]]] = defaultdict(set)
        if self.anchors.keys().isdisjoint(words):
            return found
        for place, word in enumerate(words):
            for at, gram, names in self.anchors.get(word, ()):
                if place >= at and tuple(words[place - at : place - at + len(gram)]) == gram:
                    for name in names:
                        found[name].add(gram)
        return found


def _grams(words: list[str]) -> set[tuple[str, ...]]:
    size = min(GRAM, len(words))
    if size < FEWEST_WORDS:
        return set()
    return {tuple(words[at : at + size]) for at in range(len(words) - size + 1)}


def find_leaks(bank: Bank, train: Path, progress: Callable[[int], None] | None = None) -> LeakReport:
    """Look for the bank's questions in a training file (JSON lines, JSON, CSV), row by row.

    Memory is that of the bank and one row. Raises: NotFound, InvalidInput.
    """
    index = _Index(bank)
    report = LeakReport(str(train), unchecked=index.unchecked)
    for line, texts in _train_rows(train, report):
        report.rows += 1
        _look(index, texts, f"{train}, line {line}", report)
        if progress is not None and report.rows % 10_000 == 0:
            progress(report.rows)
    report.leaks.sort(key=lambda leak: (not leak.is_exact, -leak.share, leak.question))
    return report


def _look(index: _Index, texts: list[str], train_place: str, report: LeakReport) -> None:
    found: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    exact: set[str] = set()
    for text in texts:
        words = words_of(text)
        if not words:
            continue
        exact.update(index.whole.get(" ".join(words), ()))
        for name, grams in index.seen(words).items():
            found[name] |= grams
    for name in exact | found.keys():
        share = 1.0 if name in exact else len(found[name]) / len(index.grams[name])
        if share < CONTAINED:
            continue
        report.hits[name] += 1
        if report.hits[name] <= HITS_PER_QUESTION and len(report.leaks) < MAX_FOUND:
            place = index.bank.places.get(name)
            where = str(place) if place else index.bank.name
            report.leaks.append(Leak(name, where, train_place, share, name in exact))


def _train_rows(train: Path, report: LeakReport) -> Iterator[tuple[int, list[str]]]:
    """Line and texts of every record."""
    suffix = train.suffix.lower()
    if suffix in UNREADABLE:
        raise InvalidInput(
            f"{train} is a {suffix} file, which is not read here.",
            remedy="Export the training data as JSON lines or CSV.",
            file=str(train),
        )
    try:
        if suffix in TABLES:
            yield from _table_rows(train, report)
        elif suffix == ".json":
            yield from _json_rows(train)
        else:
            yield from _line_rows(train, report)
    except FileNotFoundError as error:
        raise NotFound(
            f"There is no training file {train}.", remedy="Name the file that the model was trained on."
        ) from error
    except OSError as error:
        raise InvalidInput(
            f"{train} cannot be read: {error.strerror}.", remedy="Name a readable file.", file=str(train)
        ) from error


def _line_rows(train: Path, report: LeakReport) -> Iterator[tuple[int, list[str]]]:
    with train.open("rb") as lines:
        number = 0
        while line := lines.readline(MAX_LINE_CHARACTERS):
            number += 1
            if not line.endswith(b"\n") and len(line) == MAX_LINE_CHARACTERS:
                report.unreadable += 1
                while (rest := lines.readline(MAX_LINE_CHARACTERS)) and not rest.endswith(b"\n"):
                    pass
                continue
            if not line.strip():
                continue
            try:
                yield number, _texts(json.loads(line))
            except (ValueError, RecursionError):
                report.unreadable += 1


def _json_rows(train: Path) -> Iterator[tuple[int, list[str]]]:
    """An array is read whole, so its size is limited; its rows are numbered, as JSON knows no lines."""
    if train.stat().st_size > MAX_JSON_BYTES:
        raise InvalidInput(
            f"{train} is larger than {MAX_JSON_BYTES} bytes, and JSON is read whole.",
            remedy="Export the training data as JSON lines.",
            file=str(train),
        )
    try:
        value: Any = json.loads(train.read_bytes())
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"{train} is not JSON: {error}.", remedy="Correct the file.", file=str(train)
        ) from error
    rows = cast("list[Any]", value) if isinstance(value, list) else [value]
    for number, row in enumerate(rows, start=1):
        yield number, _texts(row)


def _table_rows(train: Path, report: LeakReport) -> Iterator[tuple[int, list[str]]]:
    with train.open(encoding="utf-8-sig", errors="replace", newline="") as lines:
        table = csv.reader(lines, delimiter="\t" if train.suffix.lower() == ".tsv" else ",")
        began = 1
        while True:
            try:
                cells = next(table)
            except StopIteration:
                return
            except csv.Error:
                report.unreadable += 1
                began = table.line_num + 1
                continue
            yield began, cells
            began = table.line_num + 1


def _texts(value: Any) -> list[str]:
    """Every text of a record, wherever it stands."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            waiting.extend(cast("dict[str, Any]", item).values())
        elif isinstance(item, list):
            waiting.extend(cast("list[Any]", item))
    return found
