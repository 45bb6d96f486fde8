"""What a machine must bring, and how a newcomer learns that it is missing."""

from pathlib import Path

import pytest

from deployments.setup import bootstrap
from deployments.setup.errors import SetupError
from deployments.setup.toolchain import find_compiler, os_family, require_compiler, require_venv_module


@pytest.mark.parametrize(
    ("family", "command"),
    [
        ("debian", "apt-get install build-essential"),
        ("fedora", "dnf install gcc-c++ make"),
        ("darwin", "xcode-select --install"),
    ],
)
def test_a_missing_compiler_names_the_package_to_install(family: str, command: str) -> None:
    with pytest.raises(SetupError) as caught:
        require_compiler(None, family)

    assert command in caught.value.remedy


def test_on_an_unknown_system_every_known_package_is_named() -> None:
    with pytest.raises(SetupError) as caught:
        require_compiler(None, None)

    assert "build-essential" in caught.value.remedy
    assert "xcode-select" in caught.value.remedy


def test_a_python_without_venv_names_the_package_to_install() -> None:
    with pytest.raises(SetupError) as caught:
        require_venv_module(has_modules=False, family="debian")

    assert "apt-get install python3-venv" in caught.value.remedy


def test_the_compiler_of_the_environment_comes_first() -> None:
    found = find_compiler({"CXX": "clang++-18"}, which=lambda name: f"/bin/{name}", runs=lambda path: True)

    assert found == "/bin/clang++-18"


def test_a_compiler_that_does_not_run_is_passed_over() -> None:
    found = find_compiler({}, which=lambda name: f"/bin/{name}", runs=lambda path: path.endswith("clang++"))

    assert found == "/bin/clang++"


def test_no_compiler_is_an_answer_too() -> None:
    assert find_compiler({}, which=lambda name: None, runs=lambda path: True) is None


@pytest.mark.parametrize(
    ("os_release", "family"),
    [
        ("ID=ubuntu\nID_LIKE=debian\n", "debian"),
        ("ID=debian\n", "debian"),
        ('ID="rocky"\nID_LIKE="rhel centos fedora"\n', "fedora"),
        ("ID=fedora\n", "fedora"),
        ("ID=plan9\n", None),
    ],
)
def test_the_system_is_known_by_its_release_file(tmp_path: Path, os_release: str, family: str | None) -> None:
    path = tmp_path / "os-release"
    path.write_text(os_release, encoding="utf-8")

    assert os_family("linux", path) == family


def test_a_mac_is_a_mac_and_a_bare_system_is_unknown(tmp_path: Path) -> None:
    assert os_family("darwin", tmp_path / "none") == "darwin"
    assert os_family("linux", tmp_path / "none") is None


def test_an_old_python_is_told_what_to_install() -> None:
    message = bootstrap.too_old_message((3, 9, 2))

    assert "needs Python 3.11 or newer; this is 3.9" in message
    assert "PYTHON=" in message


def test_an_old_python_looks_for_a_newer_one_that_really_starts(tmp_path: Path) -> None:
    shim, real = tmp_path / "python3.13", tmp_path / "python3.12"
    shim.write_text("#!/bin/sh\nexit 127\n", encoding="utf-8")
    real.write_text("#!/bin/sh\nexit 0\n", encoding="utf-8")
    for script in (shim, real):
        script.chmod(0o755)
    on_path = {path.name: str(path) for path in (shim, real)}

    assert bootstrap.newer_python(which=on_path.get) == str(real)
    assert bootstrap.newer_python(which=lambda name: None) is None
