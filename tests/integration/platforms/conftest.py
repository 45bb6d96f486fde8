"""Artifacts, engines and platforms for the tests of this room. Every engine started here is ended here."""

import hashlib
import json
import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.platforms.watching import engine_processes
from tidegate.domain import ServiceRef, SetSpec, set_name
from tidegate.engines.llama_server import LlamaServer
from tidegate.platforms.local import HealingPolicy, Limits, LocalPlatform

HERE = Path(__file__).parent
MODELS = Path(__file__).parents[3] / "deployments" / "demo" / "models"
MakeSpec = Callable[..., SetSpec]
MakePlatform = Callable[..., LocalPlatform]


@pytest.fixture(scope="session")
def fake_bin_dir(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Folder with a `llama-server` that is the fake engine."""
    folder = tmp_path_factory.mktemp("fake-bin")
    script = folder / "llama-server"
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -S "{HERE / "fake_engine.py"}" "$@"\n')
    script.chmod(0o755)
    return str(folder)


@pytest.fixture
def fake_model(tmp_path: Path) -> Callable[[str], Path]:
    """Writes an artifact for the fake engine that behaves as asked."""

    def write(behaviour: str) -> Path:
        path = tmp_path / f"{behaviour}.json"
        path.write_text(json.dumps({"behaviour": behaviour}))
        return path

    return write


@pytest.fixture
def pipit(tmp_path: Path) -> Path:
    """A copy of the demonstration model, which a test may damage."""
    return Path(shutil.copy(MODELS / "pipit-v2.gguf", tmp_path / "pipit.gguf"))


@pytest.fixture
def make_spec() -> MakeSpec:
    # Where a set's port is looked for first follows from its name: tests that run beside this one need other names.
    own = secrets.token_hex(4)

    def make(path: Path, *, release: str = "r1", digest: str | None = None, **changes: object) -> SetSpec:
        found = digest or hashlib.sha256(path.read_bytes()).hexdigest()
        ref = ServiceRef("swaggystacks", "support-chat")
        release = f"{release}-{own}"
        return SetSpec.model_validate(
            {
                "name": set_name(ref, found, release),
                "org": ref.org,
                "service": ref.service,
                "release_id": release,
                "digest": found,
                "artifact_path": str(path),
                "parallel": 2,
                **changes,
            }
        )

    return make


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """Folder of a platform; no process may be left in it once the sets are ended."""
    folder = tmp_path / "platform"
    folder.mkdir()
    yield folder
    try:
        LocalPlatform(folder, engine=LlamaServer(), limits=Limits(stop_grace_s=2)).stop_all()
    finally:
        left = engine_processes(folder)
        for process in left:
            process.kill()
    assert left == [], "the test left engines behind"


@pytest.fixture
def make_platform(root: Path) -> MakePlatform:
    """Another handle on the same platform, as another process of ours would have."""

    def make(
        bin_dir: str | None = None,
        *,
        limits: Limits | None = None,
        healing: HealingPolicy | None = None,
        clock: Callable[[], float] = time.time,
    ) -> LocalPlatform:
        return LocalPlatform(
            root,
            engine=LlamaServer(bin_dir),
            limits=limits or Limits(stop_grace_s=5),
            healing=healing or HealingPolicy(first_delay_s=0.05),
            clock=clock,
        )

    return make


@pytest.fixture
def fakes(make_platform: MakePlatform, fake_bin_dir: str) -> LocalPlatform:
    """The local platform over the fake engine."""
    return make_platform(fake_bin_dir)
