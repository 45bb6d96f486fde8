"""References to secrets: what is one, and what is the secret itself."""

import base64
import re
import secrets
import string
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.domain import InvalidInput, Place, SecretReference
from tidegate.domain.secret_reference import looks_like_secret

INLINE = [
    "rpa_0123456789ABCDEFGHIJ",
    "sk-proj-abcdef",
    "hf_abcdefghij",
    "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "AKIAIOSFODNN7EXAMPLE",
    "eyJhbGciOiJIUzI1NiJ9.e30.x",
    "Bearer abc",
    f"-----BEGIN {'PRIVATE'} KEY-----",
    "env:rpa_0123456789ABCDEFGHIJ",
    "9f86d081884c7d659a2feaa0c55ad015",
]


@pytest.mark.parametrize(
    ("text", "place", "name"),
    [
        ("runpod-credential-acme", Place.STORE, "runpod-credential-acme"),
        ("env:ACME_RUNPOD_KEY", Place.ENVIRONMENT, "ACME_RUNPOD_KEY"),
        ("file:/run/secrets/acme-runpod", Place.FILE, "/run/secrets/acme-runpod"),
        ("prefect-secret:acme-runpod-2026", Place.PREFECT, "acme-runpod-2026"),
    ],
)
def test_a_reference_names_its_place_and_reads_back_as_it_was_written(text: str, place: Place, name: str):
    found = SecretReference.parse(text)

    assert (found.place, found.name, str(found)) == (place, name, text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Upper",
        "../passwd",
        "env:",
        "env:A B",
        "file:relative",
        "prefect-secret:Upper",
        "vault:x",
        "a b",
        *INLINE,
    ],
)
def test_anything_else_is_refused_without_repeating_it(text: str):
    with pytest.raises(InvalidInput, match="no reference to a secret") as caught:
        SecretReference.parse(text)

    assert len(text) < 8 or text not in str(caught.value)
    assert "env:NAME" in caught.value.remedy


@given(st.binary(min_size=24, max_size=64))
def test_random_bytes_written_as_hex_or_base64_look_like_a_secret_when_they_mix_letters_and_digits(
    raw: bytes,
):
    for text in (raw.hex(), base64.b64encode(raw).decode()):
        longest = max((run for run in re.findall(r"[A-Za-z0-9+=]+", text)), key=len)
        mixed = sum(a.isdigit() != b.isdigit() for a, b in pairwise(longest)) >= 4
        if len(longest) >= 16 and mixed:
            assert looks_like_secret(text)


def test_generated_keys_are_nearly_always_seen():
    alphabet = string.ascii_letters + string.digits
    texts = [secrets.token_urlsafe(32) for _ in range(500)]
    texts += ["".join(secrets.choice(alphabet) for _ in range(40)) for _ in range(500)]

    assert sum(not looks_like_secret(text) for text in texts) < 20


@pytest.mark.parametrize(
    "text",
    [
        "local-credential-scientiacapital",
        "runpod-credential-swaggystacks-2026-11",
        "env:SWAGGYSTACKS_RUNPOD_API_KEY_2026",
        "file:/etc/tidegate/secrets/scientiacapital/runpod.key",
    ],
)
def test_ordinary_names_do_not_look_like_secrets(text: str):
    assert not looks_like_secret(text)
