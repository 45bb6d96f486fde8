"""An answer that our own deadline cut is missing: it is no answer of the model, and must be scored and kept as none."""

from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

from tidegate.validation.confinement import OUT_OF_TIME
from tidegate.validation.engine import Engine, Logits
from tidegate.validation.inference_child import answer_to

QUERY = {"id": "q", "messages": [["user", "Hi"]], "max_tokens": 3, "top_logprobs": 0}


class SlowEngine(Engine):
    """Writes the same token for ever."""

    def __init__(self) -> None:
        self.api, self.context, self.vocabulary = MagicMock(), 1, 1
        self.api.llama_vocab_is_eog.return_value = False
        self.context_tokens = 64

    def _decode(self, fed: list[int]) -> Any:
        return Logits(np.array([0.0, 1.0], dtype=np.float32), 1.3)

    def prompt(self, messages: list[dict[str, str]]) -> tuple[list[int], str]:
        return [0], ""

    def text(self, tokens: list[int]) -> str:
        return "x" * len(tokens)

    def is_control(self, token: int) -> bool:
        return False


@pytest.mark.parametrize(("is_late", "finish", "tokens"), [(True, "late", 1), (False, "length", 3)])
def test_the_deadline_is_another_end_than_the_limit(is_late: bool, finish: str, tokens: int):
    written = SlowEngine().generate([0], 3, deadline=0.0 if is_late else float("inf"))
    assert (written.finish, len(written.tokens)) == (finish, tokens)


def test_an_answer_that_was_complete_when_time_ran_out_is_whole():
    assert SlowEngine().generate([0], 1, deadline=0.0).finish == "length"


def test_a_cut_answer_is_a_missing_one(monkeypatch: pytest.MonkeyPatch):
    times = iter([0.0, *[9.0] * 9])
    monkeypatch.setattr("tidegate.validation.inference_child.time.monotonic", lambda: next(times))
    assert answer_to(SlowEngine(), QUERY, deadline=5.0) == {"id": "q", "problem": OUT_OF_TIME}


def test_a_whole_answer_is_one():
    assert answer_to(SlowEngine(), QUERY, deadline=float("inf"))["text"] == "xxx"
