"""Keeps answers on disk as they come, so that a run which was stopped goes on where it was.

One file for each model digest, one JSON line for each answer, written through to the disk before the next question. It
is both the journal of a run and the cache of later ones, since an answer is kept under everything that decides about
it (`wording.answer_key`). Answers of a server that does not say which file it serves are never kept.
"""

import json
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self, cast

from pydantic import ValidationError

from tidegate.quality.question import Question
from tidegate.quality.results import Answer
from tidegate.quality.source import Served

NewKey = Callable[[Question, int], str]


class AnswerStore:
    """Answers of one model. Close it, or use it as a context; one thread writes."""

    def __init__(self, folder: Path, served: Served):
        """`folder` is made where it is missing. Raises ValueError for a model that is not known by its digest."""
        if not served.is_known or served.digest is None:
            raise ValueError("answers are kept only for a model that is known by its digest and its engine")
        self.served = served
        self.path = folder / f"{served.digest}.jsonl"
        self.unreadable = 0
        """Lines that were cut short, by a crash while they were written; the questions are asked again."""
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._answers = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)

    def get(self, key: str) -> Answer | None:
        return self._answers.get(key)

    def put(self, key: str, answer: Answer) -> bool:
        """Keep an answer that this very model and engine gave; returns whether it was kept."""
        if answer.error or answer.model != self.served.digest or answer.engine != self.served.engine:
            return False
        line = json.dumps({"key": key, "answer": answer.model_dump(mode="json", exclude_defaults=True)})
        data = line.encode() + b"\n"
        while data:
            data = data[os.write(self._descriptor, data) :]
        os.fsync(self._descriptor)
        self._answers[key] = answer
        return True

    def _read(self) -> dict[str, Answer]:
        content = self.path.read_bytes()
        found: dict[str, Answer] = {}
        for line in content.splitlines():
            try:
                entry = cast("dict[str, object]", json.loads(line))
                found[str(entry["key"])] = Answer.model_validate(entry["answer"])
            except (ValueError, KeyError, TypeError, ValidationError):
                self.unreadable += bool(line.strip())
        if content and not content.endswith(b"\n"):
            # The next line must not be glued to the one that was cut short.
            os.write(self._descriptor, b"\n")
        return found
