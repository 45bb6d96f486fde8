"""The fuzzers' targets without a fuzzer: seeds stay sound inputs, and what was once found stays mended."""

from pathlib import Path

import pytest

from tests.fuzz.make_seeds import SEEDS
from tests.fuzz.targets import FOLDER, TARGETS


def _inputs(kind: str) -> list[Path]:
    return sorted(path for path in (FOLDER / kind).glob("*/*") if path.is_file())


@pytest.mark.parametrize(
    "path", _inputs("seeds") + _inputs("crashers"), ids=lambda path: f"{path.parent.name}-{path.name}"
)
def test_no_kept_input_makes_its_target_fail(path: Path):
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_seeds_and_they_are_those_that_are_kept(target: str):
    kept = {path.name for path in (FOLDER / "seeds" / target).iterdir()}
    assert kept == set(SEEDS[target])


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("data", [b"", b"\0", b"\xff" * 50, b"GGUF", b"{", b"\x80"])
def test_no_target_fails_on_trivial_inputs(target: str, data: bytes):
    TARGETS[target](data)
