"""What a board is before anything draws it. Values only: no Grafana in here.

A panel says in its description what is good and what to do else, names its unit, and leads to the runbooks of the
alerts that speak of the same numbers.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

Look = Literal["lines", "bars", "stat", "table", "states"]
"""Lines over time; bars over time; one number; rows of now; coloured states over time."""
Leads = Literal["prefect", "release", "runbook"]
"""Where a click on a value leads, beside the runbooks in the panel's corner."""

GREEN, YELLOW, ORANGE, RED, BLUE, PURPLE, GREY = "green", "yellow", "orange", "red", "blue", "purple", "text"

Steps = tuple[tuple[float, str], ...]
"""From which value on which colour; below the first it is green."""
Texts = Mapping[int | str, tuple[str, str]]
"""What a value is shown as, and in which colour."""


@dataclass(frozen=True)
class Query:
    """One expression. Variables of the board stand in it as Grafana writes them: `$org`."""

    expr: str
    legend: str = ""
    """Of the series: `{{service}}`. Of a column: its title; a column without one is not shown."""


@dataclass(frozen=True)
class Column:
    """How one column of a table is shown: of a query's title, or of a label."""

    title: str
    unit: str = "string"
    steps: Steps = ()
    texts: Texts = field(default_factory=dict[int | str, tuple[str, str]])
    leads: tuple[Leads, ...] = ()
    width: int = 0


@dataclass(frozen=True)
class Panel:
    """One panel."""

    title: str
    says: str
    """What it shows, what is good, and what to look at when it is not."""
    queries: tuple[Query, ...]
    unit: str
    look: Look = "lines"
    width: int = 8
    height: int = 8
    alerts: tuple[str, ...] = ()
    """Alerts that speak of what it shows; their runbooks are linked."""
    columns: tuple[Column, ...] = ()
    """Of a table, in their order. What is not named is not shown."""
    sort: tuple[str, ...] = ()
    """Columns by which a table is sorted, largest first."""
    sort_up: tuple[str, ...] = ()
    """Further ones, smallest first."""
    steps: Steps = ()
    texts: Texts = field(default_factory=dict[int | str, tuple[str, str]])
    leads: tuple[Leads, ...] = ()
    least: float | None = None
    most: float | None = None
    decimals: int | None = None
    is_stacked: bool = False
    when_empty: str = ""
    """What is shown when there is no series."""


@dataclass(frozen=True)
class Row:
    """Panels under one headline; the first row of a board may have none."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Annotation:
    """Marks over all panels of a board."""

    name: str
    expr: str
    color: str
    text: str
    at_value: bool = False
    """The value is the moment, in milliseconds; otherwise it is the moment at which there is a series."""


@dataclass(frozen=True)
class Board:
    """One dashboard."""

    uid: str
    title: str
    says: str
    rows: tuple[Row, ...]
    since: str = "now-3h"
    annotations: tuple[Annotation, ...] = ()
    tags: tuple[str, ...] = field(default=("tidegate",))

    @property
    def panels(self) -> Iterator[Panel]:
        for row in self.rows:
            yield from row.panels
