"""RunPod is wired only where a service uses it, with each organization's own key."""

from pathlib import Path

import pytest

from tests.unit.gguf.writer import tiny_llama
from tidegate import wiring
from tidegate.domain import NotFound, Refused, SetSpec, SetState, engine_credential
from tidegate.platforms.runpod import RunPodPlatform
from tidegate.settings import Settings

KEY = "rpa_THISISTHEKEYOFATEST0123456789"
SERVICE = """
name: {name}
display_name: {name}
credentials: {{runpod: runpod-key-{name}}}
services:
  chat:
    platform: {platform}
"""
RUNPOD = """    runpod:
      image: example.com/tidegate-worker:1
      model_url: s3://models/{digest}.gguf
      max_price_per_hour_usd: 1.5
      max_workers: 3
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    for folder in ("organizations", "policies", "home"):
        (tmp_path / folder).mkdir()
    home = tmp_path / "home"
    return Settings(
        home=home,
        ledger_url=f"sqlite:///{home / 'ledger.sqlite3'}",
        deployments_dir=tmp_path,
        runtime_dir=home / "run",
    )


def organization(settings: Settings, name: str, platform: str = "runpod", key: str | None = KEY) -> None:
    text = SERVICE.format(name=name, platform=platform) + (RUNPOD if platform == "runpod" else "")
    (settings.organizations_dir / f"{name}.yaml").write_text(text)
    (settings.policies_dir / f"{name}.yaml").write_text("")
    if key is not None:
        settings.secrets_dir.mkdir(mode=0o700, exist_ok=True)
        file = settings.secrets_dir / f"runpod-key-{name}"
        file.touch(mode=0o600)
        file.write_text(key)


def spec(path: Path, org: str = "acme") -> SetSpec:
    return SetSpec(
        name=f"{org}--chat--0123456789-abcdef01",
        org=org,
        service="chat",
        release_id="r",
        digest="0" * 64,
        artifact_path=str(path),
        max_memory_bytes=3 * 1024**3,
    )


def test_a_gateway_gets_the_key_of_a_set_and_never_makes_the_secret_that_it_comes_from(
    settings: Settings, tmp_path: Path
) -> None:
    organization(settings, "acme")
    organization(settings, "bolt")
    ports = wiring.load(settings)
    name = engine_credential("k1", spec(tmp_path).name)
    assert wiring.platform_credential(ports, "acme", name) is None
    assert not (settings.secrets_dir / "engine-keys-acme").exists()

    keys = wiring.engine_keys(ports, "acme", is_made=True)

    assert keys is not None
    key = keys.key_of(spec(tmp_path).name, "k1")
    assert key is not None
    given = wiring.platform_credential(ports, "acme", name)
    assert given is not None
    assert given.reveal() == key.reveal()
    assert wiring.platform_credential(ports, "bolt", name) is None, "it is another one's set"


def test_an_installation_without_runpod_does_not_know_it(settings: Settings) -> None:
    organization(settings, "acme", "local")

    assert set(wiring.load(settings).platforms) == {"local"}


def test_a_service_on_runpod_brings_the_platform_with_the_organizations_key(
    settings: Settings, tmp_path: Path
) -> None:
    organization(settings, "acme")
    organization(settings, "keyless", key=None)
    organization(settings, "wrong", key="no key at all")

    platform = wiring.load(settings).platforms["runpod"]

    assert isinstance(platform, RunPodPlatform)
    for org in ("keyless", "wrong"):
        other = spec(tmp_path, org)
        with pytest.raises(NotFound, match="does not use RunPod here"):
            platform.create(other)
        assert platform.status(other.name).state is SetState.ABSENT
    with pytest.raises(Refused, match="keyless"):
        platform.verify_credential("keyless", None)


def test_memory_is_estimated_from_the_file_and_else_is_what_the_service_may_use(tmp_path: Path) -> None:
    model = tmp_path / "model.gguf"
    model.write_bytes(tiny_llama().encode())
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF")

    assert 500 * 1024**2 < wiring.gpu_memory_of(spec(model)) < 3 * 1024**3
    assert wiring.gpu_memory_of(spec(broken)) == 3 * 1024**3
    assert wiring.gpu_memory_of(spec(tmp_path / "absent.gguf")) == 3 * 1024**3
