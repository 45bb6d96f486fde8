"""What every reader of banks needs: bounded files inside one folder, rows with their lines, and all problems at once."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, cast

from pydantic import ValidationError

from tidegate.domain import InvalidInput, NotFound
from tidegate.quality.formats.lined import plain
from tidegate.quality.question import Question, ScorerSpec

MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_QUESTIONS = 100_000
SHOWN_PROBLEMS = 20
MAX_PROBLEMS = 10_000
MAX_MATCHES = 1_000
"""Files that one pattern of names may find."""


class Place(NamedTuple):
    """Where a row stands."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}, line {self.line}"


class RowRefused(Exception):
    """This row cannot become a question; the reader goes on with the next."""

    def __init__(self, place: Place, reason: str):
        super().__init__(f"{place}: {reason}")
        self.place = place
        self.reason = reason


class Row(NamedTuple):
    """One record of a file, as it was written."""

    data: dict[str, Any]
    place: Place


@dataclass(frozen=True)
class BankOptions:
    """What a file cannot say itself."""

    format: str | None = None
    """One of `FORMATS`; None: told by the content."""
    scorer: ScorerSpec | None = None
    """For formats whose rows name no scorer."""
    fields: Mapping[str, str] = field(default_factory=dict[str, str])
    """Our name of a field to the file's: `{"input": "question"}`."""
    prompt: str | None = None
    """Template for a file of promptfoo tests without prompts."""
    filter: str | None = None
    """Which of several named filters of an lm-eval task is meant; the first if None."""
    folders: tuple[Path, ...] = ()
    """Folders outside the bank's own from which it may read files."""
    leaves_out_refused: bool = False
    """Leave out rows that are refused, and say how many, instead of refusing the bank."""


LEFT_OUT = "tidegate bank convert FILE --to jsonl OUTPUT --skip-refused"


@dataclass
class Reading:
    """One bank while it is read: its files, questions, notes and problems."""

    path: Path
    options: BankOptions
    questions: list[Question] = field(default_factory=list[Question])
    places: dict[str, Place] = field(default_factory=dict[str, Place])
    problems: list[RowRefused] = field(default_factory=list[RowRefused])
    notes: Counter[str] = field(default_factory=Counter[str])

    def text(self, path: Path) -> str:
        """A whole file. Raises: NotFound, InvalidInput."""
        try:
            size = path.stat().st_size
            if size > MAX_FILE_BYTES:
                self.stop(path, 1, f"the file has {size} bytes; at most {MAX_FILE_BYTES} are read")
            content = path.read_bytes()
        except FileNotFoundError as error:
            raise NotFound(
                f"There is no question bank {path}.", remedy="Name a bank of the bank folder."
            ) from error
        except OSError as error:
            raise InvalidInput(
                f"{path} cannot be read: {error.strerror}.", remedy="Name a readable file.", file=str(path)
            ) from error
        try:
            return content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content.count(b"\n", 0, error.start) + 1
            self.stop(path, line, "the text is not UTF-8")

    def local(self, name: str, beside: Path, place: Place) -> Path:
        """A file that the bank names, inside its folder or one that the caller allows. Raises: RowRefused."""
        if "://" in name:
            raise RowRefused(place, f"'{name}' is an address; only local files are read")
        if "\0" in name:
            raise RowRefused(place, "a name of a file holds a zero byte")
        found = (beside.parent / name).resolve()
        roots = [self.path.parent.resolve(), *(folder.resolve() for folder in self.options.folders)]
        if not any(found.is_relative_to(root) for root in roots):
            raise RowRefused(place, f"'{name}' lies outside the bank's folder; name its folder (--folder)")
        if not found.is_file():
            raise RowRefused(place, f"there is no file '{name}'")
        return found

    def locals(self, name: str, beside: Path, place: Place) -> list[Path]:
        """The file that the bank names, or every one that its pattern of names finds, in order. Raises: RowRefused."""
        if "://" in name or not any(sign in name for sign in "*?["):
            return [self.local(name, beside, place)]
        pattern = Path(name)
        if pattern.is_absolute() or ".." in pattern.parts:
            raise RowRefused(place, f"the pattern '{name}' leaves the bank's folder")
        found = sorted(path for path in beside.parent.glob(name) if path.is_file())[: MAX_MATCHES + 1]
        if not found or len(found) > MAX_MATCHES:
            how_many = f"more than {MAX_MATCHES} files" if found else "no file"
            raise RowRefused(place, f"the pattern '{name}' finds {how_many}")
        return [self.local(str(path.relative_to(beside.parent)), beside, place) for path in found]

    def stop(self, path: Path, line: int, reason: str, remedy: str = "Correct the file.") -> NoReturn:
        """The file as a whole cannot be read."""
        raise InvalidInput(f"{path}, line {line}: {reason}.", remedy=remedy, file=str(path), line=line)

    def refuse(self, problem: RowRefused) -> None:
        self.problems.append(problem)
        if len(self.problems) > MAX_PROBLEMS:
            self.finish()

    def note(self, text: str) -> None:
        """Something that a reader of the bank should know; the same note is counted, not repeated."""
        self.notes[text] += 1

    def add(self, fields: Mapping[str, Any], place: Place) -> None:
        """Make a question of a row's fields; one that is not sound becomes a problem."""
        try:
            question = Question.model_validate(plain(fields))
        except ValidationError as error:
            self.refuse(RowRefused(place, told(error)))
            return
        if question.id in self.places:
            first = self.places[question.id]
            where = f"line {first.line}" if first.file == place.file else str(first)
            self.refuse(RowRefused(place, f"id '{question.id}' was used in {where} already"))
            return
        if len(self.questions) >= MAX_QUESTIONS:
            self.stop(Path(place.file), place.line, f"a bank holds at most {MAX_QUESTIONS} questions")
        self.questions.append(question)
        self.places[question.id] = place

    def finish(self) -> None:
        """Raise every problem that was found. Raises: InvalidInput."""
        if not self.problems:
            return
        if self.options.leaves_out_refused and self.questions:
            self.notes[f"rows that were refused and left out: {len(self.problems)}"] += 1
            return
        first = self.problems[0]
        told_ones = [f"{problem.place}: {problem.reason}." for problem in self.problems[:SHOWN_PROBLEMS]]
        more = len(self.problems) - len(told_ones)
        told_ones += [f"... and {more} more."] if more else []
        remedy = "Correct the line" if len(self.problems) == 1 else "Correct these lines"
        raise InvalidInput(
            "\n".join(told_ones),
            remedy=f"{remedy}, or write a bank without them: {LEFT_OUT}." if self.questions else f"{remedy}.",
            file=first.place.file,
            line=first.place.line,
            problems=len(self.problems),
        )


def told(error: ValidationError) -> str:
    """The first fault of a row, in one phrase."""
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"][:3])
    reason = first["msg"].removeprefix("Value error, ")
    return f"{name}: {reason}" if name else reason


def text_of(value: Any, name: str, place: Place) -> str:
    """A field that must be text with something in it. Raises: RowRefused."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        raise RowRefused(place, f"{name}: must be text, and not empty")
    return value


def object_of(value: Any, name: str, place: Place) -> dict[str, Any]:
    """A field that must be an object. Raises: RowRefused."""
    if not isinstance(value, dict):
        raise RowRefused(place, f"{name}: must be an object, not {_kind(value)}")
    return cast("dict[str, Any]", value)


def list_of(value: Any, name: str, place: Place) -> list[Any]:
    """A field that must be a list. Raises: RowRefused."""
    if not isinstance(value, list):
        raise RowRefused(place, f"{name}: must be a list, not {_kind(value)}")
    return cast("list[Any]", value)


def _kind(value: Any) -> str:
    names = (
        ("text", str),
        ("true or false", bool),
        ("an object", dict),
        ("a list", list),
        ("a number", int | float),
    )
    return next((name for name, kind in names if isinstance(value, kind)), "nothing")
