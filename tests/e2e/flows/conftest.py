"""One embedded stack for all flow tests: started once with `tidegate up`, ended with `tidegate down`."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from stack_client import RESEARCH, SUPPORT, Stack


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    made = Stack(tmp_path_factory.mktemp("flows") / "home")
    up = made.tidegate("up")
    try:
        assert up.returncode == 0, up.stdout + up.stderr
        made.connect()
        for version in ("v1", "v2", "v3-regressed", "v2-fast"):
            made.register(SUPPORT, "pipit", version)
            made.register(RESEARCH, "tern", version)
        yield made
    finally:
        down = made.tidegate("down")
        assert down.returncode == 0, down.stdout + down.stderr
