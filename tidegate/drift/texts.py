"""The texts that two models are forced along: pinned, so that two measurements speak of the same thing.

A set is JSON lines, each `{"text": ...}` (raw), `{"messages": [...]}` whose last turn is the answer, or
`{"prompt": ..., "answer": ...}`; or a question bank, of which those are taken that expect an answer word for word; or
a plain text file, whose passages between blank lines are the texts.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tidegate.domain import InvalidInput, NotFound
from tidegate.quality import Bank, Question, read_bank

GENERAL_TEXTS = Path(__file__).parent / "texts" / "general.jsonl"
GENERAL_DIGEST = "f845fddaf758cd5f15af9cf38f954c75607bbef8d5f80b6e05a2f0e82c3403c3"
"""SHA-256 of the shipped set: figures of two installations are of the same texts."""
LITERAL = frozenset({"exact", "choice", "json", "numeric", "similarity", "levenshtein"})
"""Scorers that expect an answer as a model would write it."""
ROLES = frozenset({"system", "user", "assistant"})
BANK_SUFFIXES = frozenset({".yaml", ".yml", ".csv"})
MOST_TEXTS = 5000
MOST_BYTES = 8 * 1024**2
SHORTEST_PASSAGE = 200
"""Passages of plain text are joined until they have as many characters: a heading alone tells little."""


class Message(BaseModel):
    """One turn of a conversation."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    role: Literal["system", "user", "assistant"]
    content: str = Field(min_length=1)


class PinnedText(BaseModel):
    """One text: raw, or a conversation of which the last answer is measured."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = ""
    kind: str = Field(default="text", max_length=40)
    language: str = Field(default="", max_length=20)
    text: str = ""
    messages: tuple[Message, ...] = ()

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if bool(self.text.strip()) == bool(self.messages):
            raise ValueError("needs either text, or messages, or prompt and answer")
        if self.messages and (len(self.messages) < 2 or self.messages[-1].role != "assistant"):
            raise ValueError("messages must end with the assistant's answer, after a question")
        return self

    @property
    def is_chat(self) -> bool:
        return bool(self.messages)


class TextSet(BaseModel):
    """Texts of one purpose; `digest` is over the texts themselves, so that it does not depend on their file."""

    model_config = ConfigDict(frozen=True)

    name: str
    texts: tuple[PinnedText, ...]

    @property
    def digest(self) -> str:
        rows = [text.model_dump(mode="json") for text in self.texts]
        return hashlib.sha256(json.dumps(rows, sort_keys=True).encode()).hexdigest()

    @property
    def kinds(self) -> dict[str, int]:
        """Texts of each kind, in order of appearance."""
        return dict(Counter(text.kind for text in self.texts))


def general_texts() -> TextSet:
    """The set that comes with Tidegate: our own words, many kinds and languages, the same for everybody.

    Raises: InvalidInput when the file is not the one that was shipped.
    """
    content = GENERAL_TEXTS.read_bytes()
    if hashlib.sha256(content).hexdigest() != GENERAL_DIGEST:
        raise InvalidInput(
            f"{GENERAL_TEXTS} is not the set that Tidegate ships: figures would not be comparable.",
            remedy="Install Tidegate again, or name texts of your own.",
            field="texts",
        )
    return TextSet(name="general", texts=tuple(_lines(content, GENERAL_TEXTS)))


def read_texts(paths: Sequence[Path], name: str) -> TextSet:
    """The texts of several files as one set. Ids get the name of their file, so that they stay apart.

    Raises: NotFound, InvalidInput (with file and line).
    """
    texts: list[PinnedText] = []
    for path in paths:
        texts += _read(path)
    if len(texts) > MOST_TEXTS:
        raise InvalidInput(
            f"{len(texts)} texts are more than the {MOST_TEXTS} that are measured at once.",
            remedy="Take a sample of them.",
            field="texts",
        )
    return TextSet(name=name, texts=tuple(with_own_ids(texts)))


def texts_of_bank(bank: Bank) -> TextSet:
    """Prompt and reference answer of each question that has one word for word: the service's own subject.

    Patterns, fragments and schemas are no answers that a model would write, and conversations with tools are not
    measured: such questions are left out.
    """
    rows = (_of_question(question) for question in bank.questions)
    return TextSet(name=bank.name, texts=tuple(with_own_ids([row for row in rows if row is not None])))


def _of_question(question: Question) -> PinnedText | None:
    literal = (
        spec for spec in question.specs if spec.name in LITERAL and spec.weight > 0 and not spec.negate
    )
    spec = next(literal, None)
    if spec is None or any(turn.role not in ROLES or not turn.content for turn in question.turns):
        return None
    answer = _answer(question.expect if spec.expect is None else spec.expect)
    turns = [(turn.role, turn.content or "") for turn in question.turns]
    return _conversation(turns, answer, question.id, question.topic)


def _conversation(
    turns: Sequence[tuple[str, str]], answer: str, identity: str, kind: str
) -> PinnedText | None:
    """None without an answer."""
    if not answer:
        return None
    said = [*turns, ("assistant", answer)]
    return PinnedText(
        id=identity,
        kind=kind[:40],
        messages=tuple(Message.model_validate({"role": role, "content": text}) for role, text in said),
    )


def _answer(expect: Any) -> str:
    """The first accepted answer, as text. Numbers and objects are written as a model would be trained to."""
    if isinstance(expect, list | tuple):
        return _answer(expect[0]) if expect else ""  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(expect, dict):
        return json.dumps(expect)
    return "" if expect is None else str(expect)


def _read(path: Path) -> list[PinnedText]:
    try:
        content = path.read_bytes() if path.stat().st_size <= MOST_BYTES else None
    except FileNotFoundError as error:
        raise NotFound(f"There is no file {path}.", remedy="Check the path.", field="texts") from error
    except OSError as error:
        raise InvalidInput(
            f"{path} cannot be read: {error.strerror}.", remedy="Name a readable file.", field="texts"
        ) from error
    if content is None:
        raise InvalidInput(
            f"{path} is larger than {MOST_BYTES // 1024**2} MiB.",
            remedy="Take a sample of it.",
            field="texts",
        )
    suffix = path.suffix.lower()
    is_lines = suffix in (".jsonl", ".ndjson")
    if suffix in BANK_SUFFIXES or (is_lines and _is_bank(content)):
        return list(texts_of_bank(read_bank(path)).texts)
    return list(_lines(content, path)) if is_lines else _passages(content, path)


def _is_bank(content: bytes) -> bool:
    """Told by its first line: a question says how it is scored."""
    first = next((line for line in content.split(b"\n") if line.strip()), b"")
    try:
        row: Any = json.loads(first)
    except (ValueError, RecursionError):
        return False
    return isinstance(row, dict) and ("scorer" in row or "scorers" in row)


def _lines(content: bytes, path: Path) -> Iterable[PinnedText]:
    found = 0
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        found += 1
        yield _text(line, path, number)
    if not found:
        raise _bad(path, 1, "the file holds no text")


def _text(line: bytes, path: Path, number: int) -> PinnedText:
    try:
        row: Any = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise _bad(path, number, "this is no JSON") from error
    if not isinstance(row, dict):
        raise _bad(path, number, "a line must be a JSON object")
    fields: dict[str, Any] = {str(key): value for key, value in row.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    identity = str(fields.get("id") or f"{path.stem}-{number}")
    try:
        asked = fields.get("prompt")
        if isinstance(asked, str) and "text" not in fields and "messages" not in fields:
            answer = _answer(fields.get("answer", fields.get("completion", fields.get("expect"))))
            system = fields.get("system")
            turns = [("system", system)] if isinstance(system, str) and system else []
            kind = str(fields.get("kind") or fields.get("topic") or "chat")
            made = _conversation([*turns, ("user", asked)], answer, identity, kind)
            if made is None:
                raise _bad(path, number, "a prompt needs its answer")
            return made
        return PinnedText.model_validate({**fields, "id": identity})
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise _bad(path, number, f"{where + ': ' if where else ''}{first['msg']}") from error


def _passages(content: bytes, path: Path) -> list[PinnedText]:
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{path} is not UTF-8 (byte {error.start}).", remedy="Save it as UTF-8.", field="texts"
        ) from error
    passages: list[str] = []
    for passage in text.replace("\r\n", "\n").split("\n\n"):
        if not passage.strip():
            continue
        if passages and len(passages[-1]) < SHORTEST_PASSAGE:
            passages[-1] = f"{passages[-1]}\n\n{passage.rstrip()}"
        else:
            passages.append(passage.strip("\n"))
    if not passages:
        raise _bad(path, 1, "the file holds no text")
    return [
        PinnedText(id=f"{path.stem}-{number}", text=passage) for number, passage in enumerate(passages, 1)
    ]


def with_own_ids(texts: Sequence[PinnedText]) -> Iterable[PinnedText]:
    """The text is what intervals count as independent: two of one id would be counted as one."""
    taken: set[str] = set()
    for text in texts:
        numbered = (f"{text.id}#{number}" for number in count(2))
        own = text.id if text.id not in taken else next(name for name in numbered if name not in taken)
        taken.add(own)
        yield text if own == text.id else text.model_copy(update={"id": own})


def _bad(path: Path, number: int, reason: str) -> InvalidInput:
    return InvalidInput(
        f"{path}, line {number}: {reason}.", remedy="Correct the line.", file=str(path), line=number
    )
