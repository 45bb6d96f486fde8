import pytest

from tidegate.platforms.runpod.emulator.accounts import ALL_SCOPES, Accounts, Budget, require_scope
from tidegate.platforms.runpod.emulator.persistence import Documents
from tidegate.platforms.runpod.emulator.problems import Problem


@pytest.fixture
def documents(tmp_path):
    opened = Documents(tmp_path / "state.sqlite")
    yield opened
    opened.close()


@pytest.fixture
def accounts(documents, tmp_path):
    made = Accounts(documents, tmp_path / "keys")
    made.ensure("swaggystacks", 100.0)
    return made


def test_a_key_is_stored_hashed_and_its_file_is_the_owners_alone(accounts, tmp_path):
    path = tmp_path / "keys" / "swaggystacks.key"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_text().encode() not in (tmp_path / "state.sqlite").read_bytes()


@pytest.mark.parametrize("prefix", ["Bearer ", "bearer ", ""])
def test_a_key_is_known_with_and_without_the_word_bearer(accounts, tmp_path, prefix):
    key = (tmp_path / "keys" / "swaggystacks.key").read_text()
    assert accounts.key_of(f"{prefix}{key}").organization == "swaggystacks"


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer wrong", "Basic abc", "a b c"])
def test_anything_else_is_401(accounts, header):
    with pytest.raises(Problem) as caught:
        accounts.key_of(header)
    assert caught.value.status == 401


def test_keys_survive_a_restart(accounts, documents, tmp_path):
    key = accounts.add_key("swaggystacks", ("api:read",))
    again = Accounts(documents, tmp_path / "keys")
    again.ensure("swaggystacks", 5.0)
    assert again.key_of(key.reveal()).scopes == ("api:read",)
    assert again.organizations["swaggystacks"].credit_usd == 100.0


def test_a_key_without_the_scope_is_403(accounts):
    key = accounts.key_of(accounts.add_key("swaggystacks", ("api:read",)).reveal())
    with pytest.raises(Problem) as caught:
        require_scope(key, "api:write")
    assert caught.value.status == 403
    require_scope(accounts.key_of(accounts.add_key("swaggystacks", ALL_SCOPES).reveal()), "api:write")


def test_a_budget_refuses_the_request_above_its_limit_and_says_how_long_to_wait():
    budget = Budget((2, 10, 10))
    assert [budget.spend(now) for now in (0.0, 10.0)] == [None, None]
    assert budget.spend(20.0) == 40.0
    assert budget.spend(61.0) is None


def test_the_headers_tell_what_is_left_of_each_window():
    budget = Budget((2, 10, 100))
    budget.spend(0.0)
    told = budget.headers(1.0)
    assert told["RateLimit"] == '"minute";r=1;t=59, "hour";r=9;t=3599, "day";r=99;t=86399'
    assert told["RateLimit-Policy"] == '"minute";q=2;w=60, "hour";q=10;w=3600, "day";q=100;w=86400'
