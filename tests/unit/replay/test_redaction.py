"""What is kept of a client's request, and what is not."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidegate.domain.policy import CapturePolicy
from tidegate.replay.redaction import blot_out, is_card, redact

POLICY = CapturePolicy(percent=10)
ASKED = {"role": "user", "content": "What is the capital of France?"}


@pytest.mark.parametrize(
    ("text", "secret", "mark"),
    [
        ("write to bob.o'neil+x@mail.example.org now", "bob", "[email]"),
        ("my card is 4111 1111 1111 1111, thanks", "1111", "[card]"),
        ("call +49 (30) 1234-5678 today", "1234", "[phone]"),
        ("call 030/12345678", "12345678", "[phone]"),
        ("use sk-proj-abcdefghijklmnop1234 here", "abcdefghij", "[key]"),
        ("tg_swaggystacks_0123456789abcdefghijkl is it", "0123456789", "[key]"),
        ("AKIAIOSFODNN7EXAMPLE", "IOSFOD", "[key]"),
        ("Authorization: Bearer abcdef0123456789xyz", "abcdef0123", "[key]"),
        ("password: hunter2hunter2", "hunter2", "[key]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc_def", "eyJ", "[key]"),
        ("-----BEGIN DSA PRIVATE KEY-----\nMIIEow\n-----END DSA PRIVATE KEY-----", "MIIEow", "[key]"),
        ("hash 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08", "9f86", "[key]"),
        ("IBAN DE89 3704 0044 0532 0130 00", "3704", "[account]"),
    ],
)
def test_what_looks_like_a_secret_is_blotted_out(text: str, secret: str, mark: str):
    kept = blot_out(text)
    assert secret not in kept
    assert mark in kept


@pytest.mark.parametrize(
    "text", ["What is 2 plus 3?", "In 1789, on 14 July", "version 1.2.3", "tokenisation"]
)
def test_ordinary_text_stays_as_it_is(text: str):
    assert blot_out(text) == text


def test_a_service_adds_patterns_of_its_own():
    assert blot_out("ticket ACME-4711 is open", [r"ACME-\d+"]) == "ticket [redacted] is open"


def test_only_known_fields_are_kept_and_no_name_of_a_person():
    kept = redact(
        {
            "messages": [{"role": "user", "name": "bob", "content": "hi"}],
            "user": "bob",
            "metadata": {"who": "bob"},
            "invented": "bob",
            "temperature": 0.5,
            "stream": True,
        },
        POLICY,
    )
    assert kept == {"messages": [{"role": "user", "content": "hi"}], "temperature": 0.5}


def test_the_name_of_a_tool_is_kept_and_its_texts_are_redacted():
    tool = {
        "type": "function",
        "function": {"name": "find", "parameters": {"default": "bob@mail.example.org"}},
    }
    kept = redact({"messages": [ASKED], "tools": [tool]}, POLICY)
    assert kept is not None
    assert kept["tools"][0]["function"] == {"name": "find", "parameters": {"default": "[email]"}}


def test_system_prompts_go_unless_the_service_keeps_them():
    asked = {"messages": [{"role": "system", "content": "our trade secret"}, ASKED]}
    assert redact(asked, POLICY) == {"messages": [ASKED]}
    kept = redact(asked, CapturePolicy(percent=1, system_prompt="keep"))
    assert kept is not None
    assert len(kept["messages"]) == 2
    assert redact({"messages": asked["messages"][:1]}, POLICY) is None


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [ASKED], "store": False},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]}]},
        {"messages": "no list"},
        {"messages": []},
        {"prompt": "old style"},
    ],
)
def test_what_may_not_be_kept_or_could_not_be_redacted_is_not_kept(body: dict):
    assert redact(body, POLICY) is None


@pytest.mark.parametrize("role", [{"a": 1}, ["system"], 7, None, True])
def test_a_role_that_is_none_is_no_system_prompt_and_no_trouble(role: object):
    assert redact({"messages": [{"role": role, "content": "x"}]}, POLICY) is not None


def test_check_digits_tell_cards_from_other_numbers():
    assert is_card("4111111111111111")
    assert not is_card("4111111111111112")


SECRETS = st.sampled_from(
    ["bob@mail.example.org", "sk-abcdefghijklmnop123", "4111111111111111", "+4930123456789"]
)
JSON = st.recursive(
    st.text(max_size=20) | SECRETS | st.integers() | st.none(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | SECRETS, inner, max_size=3)
    ),
    max_leaves=10,
)


@settings(max_examples=60, deadline=None)
@given(JSON, SECRETS)
def test_no_planted_secret_survives_anywhere(value: object, secret: str):
    """Wherever it stands in a request: in texts, in fields of tools, in names of fields."""
    body = {"messages": [{"role": "user", "content": f"it is {secret} ok"}], "tools": [{"x": value}]}
    kept = redact(body, POLICY)
    assert secret not in json.dumps(kept)
