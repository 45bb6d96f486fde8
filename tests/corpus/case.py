"""One labelled file of the corpus, and short ways to make one."""

from dataclasses import dataclass
from typing import Literal

from tests.corpus.writer import File

Label = Literal["good", "warn", "reject"]


@dataclass(frozen=True)
class Case:
    """A file, or a set of files, with what a careful person would say about it."""

    name: str
    """Unique: `group/kind/base`."""
    group: str
    label: Label
    expected: frozenset[str]
    """Ids that must be among the findings; for `reject` as errors, for `warn` as warnings."""
    content: bytes | dict[str, bytes]
    """Bytes of one file, or of the files of a set by name."""

    def __repr__(self) -> str:
        return f"Case({self.name})"


Content = File | bytes | dict[str, bytes]


def _case(label: Label, name: str, content: Content, expected: tuple[str, ...]) -> Case:
    raw = content.encode() if isinstance(content, File) else content
    return Case(name, name.split("/", 1)[0], label, frozenset(expected), raw)


def good(name: str, content: Content) -> Case:
    return _case("good", name, content, ())


def warn(name: str, content: Content, *expected: str) -> Case:
    return _case("warn", name, content, expected)


def reject(name: str, content: Content, *expected: str) -> Case:
    return _case("reject", name, content, expected)
