"""One embedded stack for all flow tests: started once with `tidegate up`, ended with `tidegate down` before other tests
start stacks of their own."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from monitored import Monitoring, monitored
from stack_client import RESEARCH, SUPPORT, Stack, emulated_runpod


@pytest.fixture(scope="package")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with emulated_runpod() as runpod:
        made = Stack(tmp_path_factory.mktemp("flows") / "home", runpod)
        up = made.tidegate("up")
        try:
            assert up.returncode == 0, up.stdout + up.stderr
            made.connect()
            for version in ("v1", "v2", "v3-regressed", "v2-fast"):
                made.register(SUPPORT, "pipit", version)
                made.register(RESEARCH, "tern", version)
            yield made
        finally:
            made.close()
            down = made.tidegate("down")
            assert down.returncode == 0, down.stdout + down.stderr


@pytest.fixture(scope="package", autouse=True)
def monitoring(stack: Stack) -> Iterator[Monitoring]:
    """Watches from the first test on: the last one asks what was seen of all of them."""
    with monitored(stack) as running:
        yield running


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """These tests tell one story on one installation: they keep the order of their files, and nothing comes between."""
    here = Path(__file__).parent
    story = [item for item in items if item.path.parent == here]
    if story:
        begin = min(items.index(item) for item in story)
        before = items[:begin]
        after = [item for item in items[begin:] if item.path.parent != here]
        story.sort(key=lambda item: (item.path, item.location[1] or 0))
        items[:] = [*before, *story, *after]
