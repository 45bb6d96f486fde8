"""Keys of clients inside a real Envoy: digests alone decide, changes are quick, and nothing fails open."""

import hashlib
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tidegate.domain import Secret
from tidegate.gateway import ClientKey, find_envoy
from tidegate.gateway.admin import Admin
from tidegate.gateway.config import AUTH
from tidegate.gateway.files import write_whole
from tidegate.gateway.publish import Publisher
from tidegate.gateway.render import encode

# FIPS 180-4, examples of SHA-256 with messages that can stand in a header.
PUBLISHED = {
    "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq": (
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
    ),
    "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu": (
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
    ),
}


@pytest.fixture
def add_key(service, eventually):
    """Give the service's organization one more key, and wait until the gateway has it."""

    def add(digest: str, client: str = "more", expires_at: datetime | None = None) -> ClientKey:
        key = ClientKey(service.org, client, digest, expires_at)
        service.gateway.keys.append(key)
        await_keys(service, eventually)
        return key

    yield add
    service.gateway.keys[:] = [key for key in service.gateway.keys if key.org != service.org]


def await_keys(service, eventually) -> None:
    """Envoy confirmed exactly the keys that are wanted now."""
    wanted = {key.digest for key in service.gateway.keys}
    with Admin(service.gateway.config.admin_socket) as admin:

        def confirmed() -> bool:
            file = json.loads(service.gateway.config.path(AUTH).read_text())
            program = file["resources"][0]["typed_config"]["default_source_code"]["inline_string"]
            has = {line[2:66] for line in program.splitlines() if line.startswith('["')}
            return has == wanted and admin.version(AUTH) == file["version_info"]

        eventually(confirmed, bool, "the keys in Envoy")


@pytest.mark.parametrize("text", PUBLISHED, ids=len)
def test_envoy_computes_the_published_digests(service, old_and_new, add_key, text):
    service.switch({old_and_new[0]: 100})
    add_key(PUBLISHED[text])

    assert service.ask(authorization=f"Bearer {text}").status_code == 200
    assert service.ask(authorization=f"Bearer {text[:-1]}x").status_code == 401


@pytest.mark.parametrize("length", [8, 47, 54, 55, 56, 63, 64, 65, 119, 120, 128, 511, 512])
def test_a_key_of_every_length_around_a_block_is_known(service, old_and_new, add_key, length):
    service.switch({old_and_new[0]: 100})
    text = "".join(chr(33 + (number * 7 + length) % 94) for number in range(length))
    add_key(hashlib.sha256(text.encode()).hexdigest())

    assert service.ask(authorization=f"Bearer {text}").status_code == 200
    assert service.ask(authorization=f"Bearer {text[:-1]}").status_code == 401


def test_a_text_that_is_too_long_for_a_key_is_not_even_digested(service, old_and_new, add_key):
    service.switch({old_and_new[0]: 100})
    add_key(hashlib.sha256(b"x" * 513).hexdigest())

    assert service.ask(authorization=f"Bearer {'x' * 513}").status_code == 401


@pytest.mark.parametrize(
    "form", ["{digest}", "", "Bearer", "Basic {key}", "Bearer {key} {key}", "Bearer {digest}"]
)
def test_other_words_than_a_bearer_key_are_refused(client, service, old_and_new, form):
    service.switch({old_and_new[0]: 100})
    digest = hashlib.sha256(service.key.encode()).hexdigest()

    reply = client.post(
        service.url, json={}, headers={"authorization": form.format(key=service.key, digest=digest)}
    )

    assert reply.status_code == 401


def test_an_expired_key_is_refused_although_nobody_took_it_away(service, old_and_new, add_key, eventually):
    """Envoy knows the end itself: the source of keys may be out of reach then."""
    service.switch({old_and_new[0]: 100})
    text = "key-that-ends"
    key = ClientKey.of(service.org, "short", Secret(text))
    made = add_key(key.digest, "short", datetime.now(UTC) + timedelta(hours=1))
    assert service.ask(authorization=f"Bearer {text}").status_code == 200
    sooner = replace(made, expires_at=datetime.now(UTC) + timedelta(seconds=2))
    service.gateway.keys[service.gateway.keys.index(made)] = sooner

    reply = eventually(
        lambda: service.ask(authorization=f"Bearer {text}"), lambda reply: reply.status_code == 401, "the end"
    )

    assert reply.json()["error"]["code"] == "invalid_api_key"
    assert service.ask().status_code == 200


def test_both_keys_of_a_rotation_are_good_and_are_told_apart_from_other_clients(
    service, old_and_new, add_key, eventually
):
    service.switch({old_and_new[0]: 100})
    next_key = ClientKey.of(service.org, "app", Secret("next-key-of-app"))
    add_key(next_key.digest, "app")

    for key in (service.key, "next-key-of-app"):
        seen = service.ask(authorization=f"Bearer {key}").json()["seen"]["headers"]
        assert seen["x-tidegate-client"] == f"{service.org}/app"


def test_a_revocation_does_not_wait_for_a_route_that_cannot_be_published(service, old_and_new, eventually):
    service.switch({old_and_new[0]: 100})
    good = service.route({old_and_new[0]: 100})
    bad = good.upstreams[0].model_copy(update={"release_id": "two\r\nlines"})
    service.gateway.source.put(good.model_copy(update={"upstreams": (bad,)}))
    eventually(lambda: service.gateway.source.status, lambda seen: "release_id" in seen.error, "a bad route")

    service.gateway.keys[:] = [key for key in service.gateway.keys if key.org != service.org]

    eventually(service.ask, lambda reply: reply.status_code == 401, "refusal of the key")


def test_a_revocation_does_not_wait_while_routes_are_busy(service, old_and_new, eventually):
    service.switch({old_and_new[0]: 100})

    with service.gateway.source.gate:
        service.gateway.keys[:] = [key for key in service.gateway.keys if key.org != service.org]
        eventually(service.ask, lambda reply: reply.status_code == 401, "refusal of the key")


def test_keys_are_unusable_one_by_one_never_half(service, old_and_new, eventually):
    """A digest that two clients claim is refused as a whole set of keys; the former ones stay."""
    service.switch({old_and_new[0]: 100})
    twin = replace(service.gateway.keys[-1], client="twin")

    service.gateway.keys.append(twin)

    eventually(lambda: service.gateway.source.status.error, lambda error: "same API key" in error, "a reason")
    assert service.ask().status_code == 200
    service.gateway.keys.remove(twin)
    eventually(lambda: service.gateway.source.status.error, lambda error: "keys" not in error, "recovery")


def test_no_file_dump_or_log_of_envoy_holds_a_key(service, old_and_new, eventually, texts_below):
    service.switch({old_and_new[0]: 100})
    service.ask()
    config = service.gateway.config
    eventually(config.access_log.read_text, lambda text: service.org in text, "the line in the log")

    texts = {path.name: text for path, text in texts_below(config.root).items()}
    with Admin(config.admin_socket) as admin:
        texts["dump"] = admin.get("/config_dump", include_eds="on")
        texts["clusters"] = admin.get("/clusters")

    assert service.org in texts["dump"]
    for key in (service.key, "probe-key-of-the-tests"):
        assert not [name for name, text in texts.items() if key in text]


def test_many_thousand_keys_are_taken(bare, client):
    keys = [ClientKey("acme", f"client-{number}", f"{number:064x}") for number in range(100_000)]

    bare.publish_keys(keys)

    assert bare.admin.version(AUTH).startswith("keys-")


@pytest.mark.parametrize(
    "program",
    [
        'function envoy_on_request(handle) error("any") end',
        "function envoy_on_request(handle) end",
        "function envoy_on_response(handle) end",
    ],
)
def test_a_program_that_fails_or_judges_nothing_lets_nobody_in(
    bare, client, old_and_new, gateway, eventually, program
):
    service = gateway.service(f"org-guard-{len(program)}")
    bare.publish_keys([ClientKey.of(service.org, "app", Secret(service.key))])
    bare.publish(service.route({old_and_new[0]: 100}))
    url = f"http://127.0.0.1:{bare.config.port}/{service.org}/chat/v1/models"
    assert client.get(url, headers=service.auth).status_code == 200

    broken = json.loads(bare.config.path(AUTH).read_text())
    broken["version_info"] = "broken"
    broken["resources"][0]["typed_config"]["default_source_code"]["inline_string"] = program
    write_whole(bare.config.path(AUTH), encode(broken))

    eventually(lambda: bare.admin.version(AUTH), lambda version: version == "broken", "the broken program")
    reply = client.get(url, headers={**service.auth, "x-tidegate-client": "forged/client"})
    assert reply.status_code == 403


def test_clear_keys_of_an_earlier_version_are_removed_before_envoy_starts(bare, tmp_path):
    config = replace(bare.config, root=tmp_path / "former")
    clear = {"key": "clear-key-of-before", "client": "acme/app"}
    former = {"name": "api_key_auth", "typed_config": {"@type": "ApiKeyAuth", "credentials": [clear]}}
    write_whole(config.path(AUTH), encode({"version_info": "gen-1", "resources": [former]}))

    Publisher(config, bare.admin, find_envoy()).prepare()

    assert not [path for path in config.root.rglob("*.json") if "clear-key-of-before" in path.read_text()]
