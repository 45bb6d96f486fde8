"""A whole set-up, by real processes, with a stand-in for uv and a wheel that is already in the cache."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from deployments.setup.engine import load_recipe, wheel_key
from deployments.setup.host import describe_host

ROOT = Path(__file__).resolve().parents[3]
FAKE_UV = Path(__file__).with_name("fake_uv.py")
DEADLINE_S = 120


@dataclass(frozen=True)
class Checkout:
    """A copy of what a set-up reads, in a folder whose name has a space in it."""

    root: Path
    outside: Path

    @property
    def calls(self) -> list[str]:
        log = self.outside / "calls"
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []

    @property
    def wheel_folder(self) -> Path:
        recipe = load_recipe(self.root / "deployments" / "setup" / "engine.toml")
        return self.outside / "cache" / "tidegate" / "wheels" / wheel_key(recipe, describe_host())

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        env = {
            "PATH": f"{self.outside / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(self.outside),
            "XDG_CACHE_HOME": str(self.outside / "cache"),
            "FAKE_UV_CALLS": str(self.outside / "calls"),
            # Nothing is fetched: these stand for Prometheus and Alertmanager.
            "TIDEGATE_MONITORING_BIN_DIR": str(self.outside / "monitoring"),
        }
        return subprocess.Popen(
            [sys.executable, str(self.root / "deployments" / "setup" / "bootstrap.py"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=env | environ,
            cwd=self.outside,
        )

    def set_up(self, *arguments: str, **environ: str) -> tuple[int, str]:
        with self.start(*arguments, **environ) as process:
            output, _ = process.communicate(timeout=DEADLINE_S)
        return process.returncode, output


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    made = Checkout(root=tmp_path / "a checkout", outside=tmp_path / "outside")
    shutil.copytree(
        ROOT / "deployments" / "setup",
        made.root / "deployments" / "setup",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    shutil.copy(ROOT / "pyproject.toml", made.root)
    (made.outside / "bin").mkdir(parents=True)
    shutil.copy(FAKE_UV, made.outside / "bin" / "uv")
    (made.outside / "bin" / "uv").chmod(0o755)
    (made.outside / "monitoring").mkdir()
    for name in ("prometheus", "promtool", "alertmanager", "amtool"):
        program = made.outside / "monitoring" / name
        program.write_text("#!/bin/sh\necho version 9.9\n", encoding="utf-8")
        program.chmod(0o755)
    made.wheel_folder.mkdir(parents=True)
    (made.wheel_folder / "llama_cpp_python-0-py3-none-any.whl").write_bytes(b"wheel")
    return made


def test_a_set_up_makes_the_environment_and_a_second_one_does_nothing(checkout: Checkout) -> None:
    status, output = checkout.set_up()
    assert status == 0, output
    first_calls = checkout.calls

    again = checkout.set_up()

    assert again == (0, "")
    assert checkout.calls == first_calls
    assert (checkout.root / ".venv" / "bin" / "llama-server").resolve().parent.name == "bin"


def test_what_starts_often_is_compiled_once(checkout: Checkout) -> None:
    status, output = checkout.set_up(PYTHONDONTWRITEBYTECODE="1")

    assert status == 0, output
    assert list((checkout.root / ".venv").glob("lib/python3*/site-packages/__pycache__/llama_cpp.*.pyc"))


def test_locked_packages_are_installed_by_hash(checkout: Checkout) -> None:
    checkout.set_up()

    (sync,) = (call for call in checkout.calls if call.startswith("pip sync"))
    assert "--require-hashes" in sync
    assert "requirements.txt" in sync
    engine = (checkout.root / ".venv" / "engine.requirement.txt").read_text(encoding="utf-8")
    assert engine.startswith("llama-cpp-python @ file://")
    assert "--hash=sha256:" in engine


def test_a_changed_lock_sets_up_again_and_keeps_the_environment(checkout: Checkout) -> None:
    checkout.set_up()
    with (checkout.root / "deployments" / "setup" / "requirements.txt").open("a", encoding="utf-8") as lock:
        lock.write("# another\n")

    checkout.set_up()

    assert [call.split()[0] for call in checkout.calls] == ["venv", "pip", "pip", "pip", "pip"]


def test_what_tests_need_stays_when_a_plain_set_up_follows(checkout: Checkout) -> None:
    checkout.set_up("--dev")
    calls = checkout.calls

    assert checkout.set_up() == (0, "")
    assert checkout.calls == calls
    assert any("requirements-dev.txt" in call for call in calls)


def test_a_moved_checkout_gets_a_new_environment(checkout: Checkout) -> None:
    checkout.set_up()
    moved = Checkout(root=checkout.root.with_name("moved"), outside=checkout.outside)
    checkout.root.rename(moved.root)

    status, output = moved.set_up()

    assert status == 0, output
    assert [call.split()[0] for call in moved.calls].count("venv") == 2


def test_two_set_ups_at_once_install_once(checkout: Checkout) -> None:
    with checkout.start() as one, checkout.start() as other:
        outputs = [process.communicate(timeout=DEADLINE_S)[0] for process in (one, other)]

    assert [one.returncode, other.returncode] == [0, 0], outputs
    assert len([call for call in checkout.calls if call.startswith("pip sync")]) == 1


def test_a_failed_set_up_says_what_failed_and_is_not_taken_for_a_finished_one(checkout: Checkout) -> None:
    status, output = checkout.set_up(FAKE_UV_FAILS="sync")

    assert status == 1
    assert "no such host" in output
    assert "setup.log" in output
    assert checkout.set_up()[0] == 0


def test_a_check_names_what_is_missing_and_changes_nothing(checkout: Checkout) -> None:
    status, output = checkout.set_up("--check")

    assert status == 1
    assert f"missing  {checkout.root / '.venv'} as locked" in output
    assert "ok       the engine's wheel" in output
    assert not (checkout.root / ".venv").exists()


def test_without_wheel_and_compiler_the_package_to_install_is_named(checkout: Checkout) -> None:
    shutil.rmtree(checkout.wheel_folder)

    status, output = checkout.set_up(PATH=str(checkout.outside / "bin"), CXX="no-such-compiler")

    assert status == 1
    assert "no C++ compiler was found" in output
    assert "run the command again" in output
    assert not (checkout.root / ".venv").exists()
