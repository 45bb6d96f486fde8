"""The lock files: complete, hashed, free of addresses, and in step with pyproject.toml."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCKS = ("requirements.txt", "requirements-dev.txt", "build-tools.txt", "uv.txt")


@dataclass(frozen=True)
class Pin:
    version: str
    marker: str
    hashes: tuple[str, ...]


def read_pins(lock: Path) -> dict[tuple[str, str], Pin]:
    """Pins of a lock by name and marker; one package may have a pin per Python version."""
    joined = lock.read_text(encoding="utf-8").replace("\\\n", " ")
    pins: dict[tuple[str, str], Pin] = {}
    for line in joined.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        requirement = Requirement(line.split("--hash")[0].strip())
        name, marker = canonicalize_name(requirement.name), str(requirement.marker or "")
        version = str(requirement.specifier).removeprefix("==")
        pins[name, marker] = Pin(version, marker, tuple(re.findall(r"--hash=sha256:([0-9a-f]{64})", line)))
    return pins


@pytest.fixture
def setup_folder(root: Path) -> Path:
    return root / "deployments" / "setup"


@pytest.mark.parametrize("name", LOCKS)
def test_every_pin_has_hashes(setup_folder: Path, name: str) -> None:
    pins = read_pins(setup_folder / name)

    assert pins
    assert [key for key, pin in pins.items() if not pin.hashes or not pin.version] == []


@pytest.mark.parametrize("name", LOCKS)
def test_no_lock_names_an_address_or_an_index(setup_folder: Path, name: str) -> None:
    lines = (setup_folder / name).read_text(encoding="utf-8").splitlines()

    assert [line for line in lines if "://" in line or re.match(r"\s*(-i|-f|--[a-gi-z])", line)] == []


@pytest.mark.parametrize(
    ("lock", "extras"),
    [("requirements.txt", ["postgres"]), ("requirements-dev.txt", ["postgres", "dev"])],
)
def test_a_lock_satisfies_what_the_project_asks_for(
    root: Path, setup_folder: Path, lock: str, extras: list[str]
) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [
        *project["dependencies"],
        *(line for extra in extras for line in project["optional-dependencies"][extra]),
    ]
    versions: dict[str, set[str]] = {}
    for (name, _), pin in read_pins(setup_folder / lock).items():
        versions.setdefault(name, set()).add(pin.version)

    for requirement in map(Requirement, asked):
        pinned = versions.get(canonicalize_name(requirement.name), set())
        assert pinned, f"{requirement} has no pin"
        assert all(requirement.specifier.contains(version) for version in pinned), f"{requirement}: {pinned}"


def test_what_runs_and_what_is_tested_are_the_same_versions(setup_folder: Path) -> None:
    run, dev = read_pins(setup_folder / "requirements.txt"), read_pins(setup_folder / "requirements-dev.txt")
    tested = {(name, pin.version) for (name, _), pin in dev.items()}

    assert {(name, pin.version) for (name, _), pin in run.items()} <= tested


def test_the_engine_is_pinned_once_and_built_apart_from_the_lock(root: Path, setup_folder: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    recipe = tomllib.loads((setup_folder / "engine.toml").read_text(encoding="utf-8"))

    assert project["optional-dependencies"]["engine"] == [f"{recipe['package']}=={recipe['version']}"]
    for lock in LOCKS:
        assert recipe["package"] not in {name for name, _ in read_pins(setup_folder / lock)}


def test_every_dependency_is_explained(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"].values()
    explained = (root / "docs" / "dependencies.md").read_text(encoding="utf-8")

    names = {
        Requirement(line).name
        for line in [*project["dependencies"], *(line for extra in extras for line in extra)]
    }

    assert {name for name in names if f"`{name}`" not in explained} == set()
