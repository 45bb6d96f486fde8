"""What a report says, as text and plots, before it is put into HTML, Markdown or a terminal. Pure."""

from dataclasses import dataclass, field

from tidegate.benchmark.report.plot import Plot

TONES = ("good", "warn", "bad", "open")


@dataclass(frozen=True)
class Cell:
    """`note` stands small below it; in the first column it explains the row. `tone` makes it a coloured word."""

    text: str
    note: str = ""
    tone: str = ""


@dataclass(frozen=True)
class Table:
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""


@dataclass(frozen=True)
class Section:
    title: str
    sentences: tuple[str, ...] = ()
    tables: tuple[Table, ...] = ()
    plots: tuple[Plot, ...] = ()


@dataclass(frozen=True)
class Meaning:
    title: str
    meaning: str
    formula: str = ""


@dataclass(frozen=True)
class View:
    """A whole report. Every text may hold what a server said: who shows it makes it harmless."""

    word: str
    tone: str
    title: str
    sentences: tuple[str, ...]
    facts: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]
    sections: tuple[Section, ...]
    definitions: tuple[Meaning, ...]
    notes: tuple[str, ...]
    footer: str
    appendix: tuple[tuple[str, str], ...] = field(default=())

    @property
    def plots(self) -> tuple[Plot, ...]:
        return tuple(plot for section in self.sections for plot in section.plots)
