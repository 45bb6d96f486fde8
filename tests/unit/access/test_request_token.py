"""Request tokens: what is signed is what is read, and everything else is refused by name."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.access.request_keys import RequestKey, RequestKeys
from tidegate.access.request_token import MAX_LIFETIME, Expected, sign, verify
from tidegate.domain import InvalidInput, Refused, Role, Secret
from tidegate.domain.request_proof import Action, RequestProof, parameters_digest
from tidegate.observability.redaction import Redactor

NOW = datetime(2026, 11, 26, 2, 0, tzinfo=UTC)
KEY = RequestKey("k1", Secret("a" * 43))
OTHER = RequestKey("k1", Secret("b" * 43))
PARAMETERS = parameters_digest({"trigger": "manual"})
CLAIMS = RequestProof(
    org="acme",
    service="chat",
    action=Action.RELEASE,
    digest="d" * 64,
    parameters=PARAMETERS,
    identity="ada",
    role=Role.RELEASER,
    issued_at=NOW,
    expires_at=NOW + timedelta(minutes=10),
    nonce="0" * 32,
    key_id="k1",
)
EXPECTED = Expected("acme", "chat", Action.RELEASE, "d" * 64, PARAMETERS, "ada")


def problem_of(
    token: str, *, expected: Expected = EXPECTED, key: RequestKey = KEY, now: datetime = NOW
) -> str:
    with pytest.raises(Refused) as caught:
        verify(token, [key], expected, now)
    assert token not in str(caught.value.as_dict())
    assert caught.value.remedy
    return caught.value.context["problem"]


def changed(**values: Any) -> RequestProof:
    return CLAIMS.model_copy(update=values)


def test_what_was_signed_is_what_is_read():
    assert verify(sign(CLAIMS, KEY), [KEY], EXPECTED, NOW) == CLAIMS


def test_a_token_is_short_enough_to_be_pasted():
    assert len(sign(CLAIMS, KEY)) < 600


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("org", "bolt"),
        ("service", "draft"),
        ("action", Action.APPROVE),
        ("digest", "e" * 64),
        ("parameters", parameters_digest({"trigger": "training"})),
        ("identity", "bob"),
    ],
)
def test_a_token_about_anything_else_is_refused_by_the_field(name: str, value: Any):
    assert problem_of(sign(changed(**{name: value}), KEY)) == name


@pytest.mark.parametrize("name", ["digest", "parameters", "identity"])
def test_what_is_not_known_yet_is_not_compared(name: str):
    expected = Expected(**{**EXPECTED.__dict__, name: None})

    assert verify(sign(CLAIMS, KEY), [KEY], expected, NOW) == CLAIMS


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.RELEASER])
def test_a_token_with_another_role_than_the_action_needs_is_refused(role: Role):
    assert problem_of(sign(changed(role=role), KEY)) == "role"


@pytest.mark.parametrize(
    ("seconds", "is_valid"), [(-61, False), (-60, True), (0, True), (599, True), (600, False), (86400, False)]
)
def test_a_token_lives_from_its_issue_to_its_expiry(seconds: int, is_valid: bool):
    now = NOW + timedelta(seconds=seconds)
    if is_valid:
        assert verify(sign(CLAIMS, KEY), [KEY], EXPECTED, now) == CLAIMS
    else:
        assert problem_of(sign(CLAIMS, KEY), now=now) == ("early" if seconds < 0 else "expired")


def test_a_token_that_would_live_for_long_is_refused():
    long = changed(expires_at=NOW + MAX_LIFETIME + timedelta(seconds=1))

    assert problem_of(sign(long, KEY)) == "lifetime"


def test_a_token_of_another_organizations_key_is_refused():
    assert problem_of(sign(CLAIMS, OTHER)) == "signature"


def test_a_token_of_a_key_that_is_gone_is_refused():
    assert problem_of(sign(CLAIMS, KEY), key=RequestKey("k2", KEY.secret)) == "unknown_key"


def test_claims_written_anew_under_an_old_signature_are_refused():
    version, key_id, body, signature = sign(CLAIMS, KEY).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    forged = base64.urlsafe_b64encode(json.dumps(claims | {"i": "eve"}).encode()).rstrip(b"=").decode()

    assert problem_of(f"{version}.{key_id}.{forged}.{signature}") == "signature"


@given(st.data())
def test_no_changed_character_is_ever_accepted(data: st.DataObject):
    token = sign(CLAIMS, KEY)
    place = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(
        st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.=").filter(
            lambda char: char != token[place]
        )
    )

    with pytest.raises(Refused):
        verify(token[:place] + other + token[place + 1 :], [KEY], EXPECTED, NOW)


@given(st.text())
def test_any_other_text_is_refused_and_nothing_else_is_raised(text: str):
    with pytest.raises(Refused):
        verify(text, [KEY], EXPECTED, NOW)


@pytest.mark.parametrize("body", [b"[]", b"7", b"{}", b'{"o":1}', b'{"z":"x"}', b"\xff", b'{"t":1e400}'])
def test_signed_nonsense_is_refused(body: bytes):
    token = sign(CLAIMS, KEY)
    from tidegate.access import request_token as module

    signed = f"tg1.k1.{module._encode(body)}"
    token = f"{signed}.{module._encode(module._mac(signed, KEY))}"

    assert problem_of(token) == "malformed"


def test_tokens_are_masked_in_texts():
    token = sign(CLAIMS, KEY)

    assert Redactor().text(f"released with {token}, said ada") == "released with tg1.***, said ada"


def test_an_empty_parameter_is_the_same_as_none():
    assert parameters_digest({"a": "1", "b": ""}) == parameters_digest({"a": "1"}) != parameters_digest({})


def test_every_action_needs_the_least_role_that_may_do_it():
    assert {action: action.role for action in Action} == {
        Action.RELEASE: Role.RELEASER,
        Action.ROLLBACK: Role.RELEASER,
        Action.APPROVE: Role.APPROVER,
    }


def test_keys_rotate_with_an_overlap_in_which_both_verify():
    first = RequestKeys.parse(Secret(f"k1 {'a' * 43}\n"))
    second = first.rotated("b" * 43, NOW, timedelta(minutes=30))
    old, new = sign(CLAIMS, first.present), sign(CLAIMS, second.present)

    assert second.present.id == "k2"
    within = second.verifying(NOW + timedelta(minutes=29))
    assert {verify(token, within, EXPECTED, NOW).key_id for token in (old, new)} == {"k1", "k2"}
    assert [key.id for key in second.verifying(NOW + timedelta(minutes=30))] == ["k2"]


def test_keys_read_back_as_they_were_written_and_the_dead_are_dropped():
    keys = RequestKeys.parse(Secret(f"k1 {'a' * 43}"))
    for number, letter in enumerate("bcd"):
        keys = keys.rotated(letter * 43, NOW + timedelta(hours=number), timedelta(minutes=90))

    assert [key.id for key in keys.keys] == ["k4", "k3", "k2"]
    assert RequestKeys.parse(keys.as_secret()) == keys


@pytest.mark.parametrize(
    "text",
    [
        "",
        "k1",
        "k1 short",
        f"1 {'a' * 43}",
        f"k1 {'a' * 43} x",
        f"k1 {'a' * 43} 9",
        f"k1 {'a' * 43}\nk1 {'b' * 43} 9",
    ],
)
def test_keys_that_cannot_be_read_are_refused_without_showing_them(text: str):
    with pytest.raises(InvalidInput) as caught:
        RequestKeys.parse(Secret(text))

    assert "aaaa" not in str(caught.value.as_dict())
