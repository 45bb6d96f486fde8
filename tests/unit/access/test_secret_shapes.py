"""The shapes of secrets, as they hold for logs, rows and errors alike."""

import time

import pytest

from tests.unit.observability.planted import KNOWN, PLANTED
from tidegate.access.secret_shapes import MOST_SCANNED
from tidegate.observability.concealing import conceal
from tidegate.observability.redaction import MOST_CHARS

MOST_CPU_S = 5.0
"""The slowest takes a tenth of it. A shape that is tried from each place to the end takes half a minute."""


@pytest.mark.parametrize("kind", [kind for kind, (text, _) in PLANTED.items() if KNOWN[0] not in text])
def test_what_is_kept_in_a_row_holds_no_planted_secret(kind: str):
    text, secret = PLANTED[kind]

    assert secret not in conceal(f"before {text}")


@pytest.mark.parametrize(
    "piece",
    ["hook", "http://a/", "http://", "eyJaaaaaaaa-", "a://", "a://b:", "token_", "token\"", "sk-a-", "-----BEGIN A-----",
     "Basic aaaaaaaa ", "\"prompt\": \"", "\\", "tg1.a.a.", "?key=", "aA0-/", "cookie,", "('token','", "password "],
)  # fmt: skip
@pytest.mark.parametrize("head", ["", "http://"])
def test_no_text_takes_long_to_clean(head: str, piece: str):
    text = (head + piece * MOST_SCANNED)[: 16 * MOST_SCANNED]
    begun = time.process_time()
    conceal(text)

    assert time.process_time() - begun < MOST_CPU_S


def test_what_is_too_long_to_be_cleaned_is_cut():
    cleaned = conceal("a " * MOST_SCANNED + "hf_AbCdEfGhIjKlMnOp")

    assert "hf_" not in cleaned
    assert cleaned.endswith(f"... [{2 * MOST_SCANNED + 19 - MOST_CHARS} characters more]")
