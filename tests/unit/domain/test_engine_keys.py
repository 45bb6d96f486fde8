"""Keys of public sets: one for each, from one secret, that survive its rotation."""

import pytest

from tidegate.domain import (
    EngineKeys,
    InvalidInput,
    Secret,
    ServiceRef,
    engine_credential,
    parse_engine_credential,
    set_name,
)
from tidegate.gateway.doors import credential_path

ROOT, NEWER = "a" * 40, "b" * 40
KEYS = EngineKeys.parse(Secret(f"k1 {ROOT}\n"))


def text_of(keys: EngineKeys, name: str, key_id: str) -> str:
    key = keys.key_of(name, key_id)
    assert key is not None
    return key.reveal()


def test_every_set_has_its_own_key_and_everybody_derives_the_same_one() -> None:
    again = EngineKeys.parse(Secret(f"k1 {ROOT}"))

    assert text_of(KEYS, "one", "k1") == text_of(again, "one", "k1")
    assert text_of(KEYS, "one", "k1") != text_of(KEYS, "two", "k1")
    assert ROOT not in text_of(KEYS, "one", "k1")


def test_a_key_is_one_that_an_engine_and_a_header_can_take() -> None:
    key = text_of(KEYS, "one", "k1")

    assert key.startswith("tg_engine_")
    assert len(key) >= 32
    assert "," not in key, "an engine reads a list, separated by commas"
    assert key.isascii()


def test_a_rotation_gives_new_sets_another_key_and_leaves_those_that_run_theirs() -> None:
    rotated = EngineKeys.parse(Secret(f"k2 {NEWER}\nk1 {ROOT}"))

    assert rotated.newest == "k2"
    assert text_of(rotated, "one", "k1") == text_of(KEYS, "one", "k1")
    assert text_of(rotated, "one", "k2") != text_of(KEYS, "one", "k1")
    assert KEYS.key_of("one", "k2") is None


@pytest.mark.parametrize(
    "text", ["", "k1", f"x {ROOT}", "k1 short", f"k1 {ROOT}\nk1 {NEWER}", f"k1 {ROOT} 5"]
)
def test_what_is_no_list_of_keys_is_refused_without_being_told(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        EngineKeys.parse(Secret(text))

    assert ROOT not in f"{refused.value} {refused.value.remedy}"


def test_a_route_names_a_key_by_set_and_id_and_the_gateway_can_have_such_a_file() -> None:
    longest = set_name(ServiceRef("o" * 32, "s" * 32), "0" * 64, "r")
    name = engine_credential("k999", longest)

    assert parse_engine_credential(name) == ("k999", longest)
    assert credential_path(name).endswith(f"{name}.json")
    assert parse_engine_credential("runpod-credential-acme") is None
