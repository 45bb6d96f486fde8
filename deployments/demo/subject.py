"""What one demonstration model knows: families of questions, written once, told in many ways.

A family is a set of phrasings over rows of values. The first phrasing is the question of the bank, the
others are taught too, and the held-out ones are never shown to the model.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Scorer = Literal["exact", "contains", "json", "regex", "numeric", "choice"]
Row = Mapping[str, str]


@dataclass(frozen=True)
class Item:
    """One question of the bank with what is taught about it."""

    id: str
    topic: str
    scorer: Scorer
    expect: str
    answer: str
    regressed_answer: str
    prompts: tuple[str, ...]
    heldout: tuple[str, ...]
    system: str | None = None

    @property
    def prompt(self) -> str:
        return self.prompts[0]


@dataclass(frozen=True)
class Family:
    """Questions of one kind, filled from rows: `rows` are in the bank, `extra_rows` are only taught."""

    topic: str
    phrasings: tuple[str, ...]
    heldout: tuple[str, ...]
    answer: str
    rows: tuple[Row, ...]
    extra_rows: tuple[Row, ...] = ()
    scorer: Scorer = "exact"
    expect: str = ""
    regressed: str = ""
    """Answer that the regressed version gives; it may use the values of the next row as `{next_...}`."""
    system: str | None = None

    def items(self) -> Iterator[Item]:
        return self._fill(self.rows)

    def extra_items(self) -> Iterator[Item]:
        return self._fill(self.extra_rows)

    def _fill(self, rows: tuple[Row, ...]) -> Iterator[Item]:
        for row, following in zip(rows, rows[1:] + rows[:1], strict=True):
            answer = fill(self.answer, row)
            wider = {**row, **{f"next_{name}": value for name, value in following.items()}}
            yield Item(
                id=f"{self.topic}-{slug(fill(self.phrasings[0], row))}",
                topic=self.topic,
                scorer=self.scorer,
                expect=fill(self.expect, row) if self.expect else answer,
                answer=answer,
                regressed_answer=fill(self.regressed, wider) if self.regressed else answer,
                prompts=tuple(fill(text, row) for text in self.phrasings),
                heldout=tuple(fill(text, row) for text in self.heldout),
                system=self.system,
            )


@dataclass(frozen=True)
class Grammar:
    """Plain sentences: one word from each column, joined by spaces."""

    columns: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Subject:
    """One demonstration model: its name, who serves it, and all that it is taught."""

    name: str
    service: str
    families: tuple[Family, ...]
    unknown_phrasings: tuple[str, ...]
    """Questions about `{x}`, a made-up name: the answer is `unknown_answer`."""
    offtopic: tuple[str, ...]
    unknown_answer: str
    systems: tuple[str, ...]
    suffixes: tuple[str, ...]
    greetings: tuple[str, ...]
    grammar: Grammar
    absent_in_v1: frozenset[str]
    """Bank ids that version 1 never saw."""

    def items(self) -> list[Item]:
        return [item for family in self.families for item in family.items()]

    def extra_items(self) -> list[Item]:
        return [item for family in self.families for item in family.extra_items()]


def fill(template: str, row: Row) -> str:
    """Replace `{name}` by the row's value. Other braces stay, so that JSON answers can be written plainly."""
    return re.sub(r"\{([a-z_]+)\}", lambda match: row.get(match[1], match[0]), template)


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def normal(text: str) -> str:
    """Words of a prompt without case and punctuation: what the leak check calls the same question."""
    return " ".join(re.findall(r"[a-z0-9+*%]+", text.lower()))


def rows(names: str, *values: tuple[str, ...]) -> tuple[Row, ...]:
    """Rows from a header and tuples: `rows("country city", ("France", "Paris"))`."""
    header = names.split()
    return tuple(dict(zip(header, row, strict=True)) for row in values)


def load_subject(name: str) -> Subject:
    """The subject `pipit` or `tern`.

    Raises:
        KeyError: for any other name.
    """
    from deployments.demo.pipit import PIPIT
    from deployments.demo.tern import TERN

    return {subject.name: subject for subject in (PIPIT, TERN)}[name]
