"""Keys of clients: who may call, since when and until when."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.domain import ApiKeyState, NotFound, Refused

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def keys(open_ledger, clock):
    return open_ledger(clock=clock)


def live(ledger) -> list[str]:
    return [key.digest for key in ledger.live_api_keys()]


def test_a_created_key_is_live_until_it_expires(keys, clock):
    made = keys.create_api_key("acme", "app", digest("one"), created_by="ann", lifetime=HOUR)

    assert made.expires_at == NOON + HOUR
    assert live(keys) == [digest("one")]
    clock.now += HOUR
    assert live(keys) == []
    (listed,) = keys.api_keys("acme")
    assert (listed.created_by, listed.state(clock.now)) == ("ann", ApiKeyState.EXPIRED)


def test_a_second_live_key_of_a_name_is_refused(keys):
    keys.create_api_key("acme", "app", digest("one"), created_by="ann")

    with pytest.raises(Refused, match="live key 'app'"):
        keys.create_api_key("acme", "app", digest("two"), created_by="ann")

    keys.create_api_key("other", "app", digest("two"), created_by="ann")
    assert sorted(live(keys)) == sorted([digest("one"), digest("two")])


def test_two_creations_at_once_make_one_key(keys):
    def create(text: str) -> bool:
        try:
            keys.create_api_key("acme", "app", digest(text), created_by="ann")
        except Refused:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(create, "abcdefgh"))

    assert made.count(True) == 1
    assert len(live(keys)) == 1


def test_the_former_key_lives_on_for_the_overlap(keys, clock):
    keys.create_api_key("acme", "app", digest("one"), created_by="ann")

    keys.rotate_api_key("acme", "app", digest("two"), overlap=24 * HOUR, created_by="ben")

    assert live(keys) == [digest("one"), digest("two")]
    clock.now += 24 * HOUR
    assert live(keys) == [digest("two")]
    assert [key.digest for key in keys.api_keys("acme")] == [digest("two"), digest("one")]


def test_an_overlap_never_lengthens_a_life_and_the_next_key_lives_as_long_as_the_former_was_made_to(keys):
    keys.create_api_key("acme", "app", digest("one"), created_by="ann", lifetime=HOUR)

    made = keys.rotate_api_key("acme", "app", digest("two"), overlap=24 * HOUR, created_by="ann")

    former = keys.api_keys("acme")[1]
    assert former.expires_at == NOON + HOUR
    assert made.expires_at == NOON + HOUR


def test_rotation_without_overlap_ends_the_former_key_at_once(keys):
    keys.create_api_key("acme", "app", digest("one"), created_by="ann")

    keys.rotate_api_key("acme", "app", digest("two"), overlap=timedelta(0), created_by="ann")

    assert live(keys) == [digest("two")]


def test_nothing_to_rotate_or_revoke_is_said(keys):
    with pytest.raises(NotFound, match="no live key 'app'"):
        keys.rotate_api_key("acme", "app", digest("two"), overlap=HOUR, created_by="ann")
    with pytest.raises(NotFound, match="no live key 'app'"):
        keys.revoke_api_keys("acme", "app")


def test_revoking_a_name_ends_all_its_keys_and_no_other(keys):
    keys.create_api_key("acme", "app", digest("one"), created_by="ann")
    keys.create_api_key("acme", "batch", digest("three"), created_by="ann")
    keys.create_api_key("other", "app", digest("four"), created_by="ann")
    keys.rotate_api_key("acme", "app", digest("two"), overlap=HOUR, created_by="ann")

    ended = keys.revoke_api_keys("acme", "app")

    assert {key.digest for key in ended} == {digest("one"), digest("two")}
    assert sorted(live(keys)) == sorted([digest("three"), digest("four")])


def test_revoking_an_id_ends_this_generation_only(keys):
    former = keys.create_api_key("acme", "app", digest("one"), created_by="ann")
    keys.rotate_api_key("acme", "app", digest("two"), overlap=HOUR, created_by="ann")

    keys.revoke_api_keys("acme", former.id)

    assert live(keys) == [digest("two")]


def test_another_organization_cannot_end_a_key_by_its_id(keys):
    key = keys.create_api_key("acme", "app", digest("one"), created_by="ann")

    with pytest.raises(NotFound):
        keys.revoke_api_keys("other", key.id)

    assert live(keys) == [digest("one")]


def test_a_name_is_free_again_after_it_was_revoked(keys):
    keys.create_api_key("acme", "app", digest("one"), created_by="ann")
    keys.revoke_api_keys("acme", "app")

    keys.create_api_key("acme", "app", digest("two"), created_by="ann")

    assert live(keys) == [digest("two")]


def test_a_registered_key_is_stored_once_and_stays_revoked(keys):
    for _ in range(2):
        keys.register_api_key("acme", "local", digest("one"), created_by="tidegate")
    assert live(keys) == [digest("one")]

    keys.revoke_api_keys("acme", "local")
    keys.register_api_key("acme", "local", digest("one"), created_by="tidegate")

    assert live(keys) == []


def test_a_registered_key_that_changed_replaces_the_former(keys):
    keys.register_api_key("acme", "local", digest("one"), created_by="tidegate")

    keys.register_api_key("acme", "local", digest("two"), created_by="tidegate")

    assert live(keys) == [digest("two")]


def test_a_key_that_has_an_owner_is_nobody_elses(keys):
    keys.create_api_key("acme", "app", digest("one"), created_by="ann")

    with pytest.raises(Refused, match="acme/app"):
        keys.create_api_key("other", "app", digest("one"), created_by="ann")
    with pytest.raises(Refused, match="acme/app"):
        keys.register_api_key("other", "local", digest("one"), created_by="ann")
