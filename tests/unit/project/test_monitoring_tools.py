"""Where Prometheus and Alertmanager come from, and what a person is told where they do not come."""

import io
import shutil
import subprocess
from pathlib import Path

import pytest

from deployments.setup import monitoring
from deployments.setup.errors import SetupError
from deployments.setup.monitoring import (
    BIN_DIR_VARIABLE,
    NAMES,
    STARTER,
    TEMPLATES_BY_HANDLE,
    TEMPLATES_IN_SYSTEM,
    arrange,
    find_tools,
    own_lists,
    provide,
    require_tools,
    with_templates_by_handle,
)
from deployments.setup.progress import Progress


def told(version: str) -> monitoring.Runs:
    return lambda path: f"{path.name}, version {version} (branch: HEAD)"


def programs(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True)
    for name in names:
        (folder / name).touch()
    return folder


def test_programs_of_the_named_folder_come_first(tmp_path: Path) -> None:
    named = programs(tmp_path / "named", "prometheus", "promtool", "alertmanager", "amtool")
    on_path = programs(tmp_path / "path", "prometheus")

    found = find_tools(
        {BIN_DIR_VARIABLE: str(named)}, tmp_path, lambda name: str(on_path / name), told("3.1.0")
    )

    assert found == {name: named / name for name in NAMES}


def test_debian_calls_alertmanager_otherwise(tmp_path: Path) -> None:
    on_path = programs(tmp_path / "path", "prometheus-alertmanager")

    found = find_tools(
        {}, tmp_path, lambda name: str(on_path / name) if (on_path / name).exists() else None, told("0.25.0")
    )

    assert found == {"alertmanager": on_path / "prometheus-alertmanager"}


def test_programs_on_path_that_are_too_old_are_passed_over(tmp_path: Path) -> None:
    on_path = programs(tmp_path / "path", "prometheus")
    fetched = programs(tmp_path / "tools" / "monitoring" / "bin", "prometheus")

    found = find_tools({}, tmp_path, lambda name: str(on_path / name), told("2.31.2"))

    assert found == {"prometheus": fetched / "prometheus"}


def test_missing_programs_are_named_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(SetupError, match="prometheus, promtool, alertmanager, amtool") as caught:
        require_tools({}, tmp_path)

    for way in (
        "make setup-dev",
        "apt-get install prometheus prometheus-alertmanager",
        "brew",
        BIN_DIR_VARIABLE,
    ):
        assert way in caught.value.remedy


def test_apt_with_its_own_lists_still_knows_what_is_installed(tmp_path: Path) -> None:
    settings = own_lists(tmp_path)

    assert Path(settings["Dir::State"]).is_relative_to(tmp_path)
    assert Path(settings["Dir::Cache"]).is_relative_to(tmp_path)
    assert settings["Dir::State::status"] == "/var/lib/dpkg/status"
    assert (tmp_path / "state/lists/partial").is_dir()


def test_only_the_folder_of_templates_is_changed_in_alertmanager_and_nothing_moves() -> None:
    program = b"\x7fELF" + TEMPLATES_IN_SYSTEM + b"27179" + TEMPLATES_IN_SYSTEM + b"/ui/" + b"\0"

    changed = with_templates_by_handle(program)

    assert len(changed) == len(program)
    assert changed == b"\x7fELF" + TEMPLATES_BY_HANDLE + b"27179" + TEMPLATES_IN_SYSTEM + b"/ui/" + b"\0"


def test_an_alertmanager_that_names_no_such_folder_stays_as_it_is() -> None:
    assert with_templates_by_handle(b"upstream") == b"upstream"


def test_unpacked_packages_become_one_folder_of_four_programs(tmp_path: Path) -> None:
    root = tmp_path / "root"
    programs(root / "usr/bin", "prometheus", "promtool", "amtool")
    (root / "usr/bin/prometheus-alertmanager").touch()
    (root / "usr/share/prometheus/alertmanager").mkdir(parents=True)
    (root / "usr/share/prometheus/alertmanager/default.tmpl").write_text("templates")

    home = arrange(root, tmp_path / "home")

    assert sorted(path.name for path in (home / "bin").iterdir()) == sorted(NAMES)


def test_packages_that_hold_something_else_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="other files than expected"):
        arrange(tmp_path / "root", tmp_path / "home")


def test_the_starter_opens_the_templates_for_alertmanager_wherever_it_is_called_from(tmp_path: Path) -> None:
    for folder in ("bin", "lib/templates"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "lib/templates/default.tmpl").write_text("found")
    program = tmp_path / "lib/alertmanager"
    program.write_text('#!/bin/sh\ncat "/proc/$$/fd/9/default.tmpl"; echo " $1"\n')
    starter = tmp_path / "bin/alertmanager"
    starter.write_text(STARTER)
    for file in (program, starter):
        file.chmod(0o755)

    done = subprocess.run([starter, "--version"], capture_output=True, text=True, cwd="/", timeout=60)

    assert done.stdout == "found --version\n", done.stderr


def test_a_machine_without_apt_is_set_up_all_the_same_and_told_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = io.StringIO()

    provide(tmp_path, Progress(said), {})

    assert "brew install prometheus alertmanager" in said.getvalue()


@pytest.mark.parametrize("how", ["lists", "offline"])
def test_apt_is_asked_with_its_lists_and_then_with_ours(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in apt: it has no lists, so only a call after `update` into our own state can download."""
    asked = tmp_path / "asked"
    tools = tmp_path / "bin"
    tools.mkdir()
    can = "yes" if how == "lists" else ""
    _script(
        tools / "apt-get",
        f'echo "$@" >> {asked}\ncase "$*" in\n*update) [ -n "{can}" ];;\n*Dir::State=*download*) [ -n "{can}" ] && '
        "touch one.deb;;\n*) exit 100;;\nesac\n",
    )
    _script(
        tools / "dpkg-deb",
        'mkdir -p "$3/usr/bin" "$3/usr/share/prometheus/alertmanager"\n'
        'for name in prometheus promtool amtool prometheus-alertmanager; do echo x > "$3/usr/bin/$name"; done\n',
    )
    # Nothing else on PATH: this machine may have the real programs.
    for name in ("env", "touch", "mkdir"):
        (tools / name).symlink_to(shutil.which(name) or name)
    monkeypatch.setenv("PATH", str(tools))
    said = io.StringIO()

    provide(tmp_path / "cache", Progress(said), {BIN_DIR_VARIABLE: str(tmp_path / "none")})

    calls = asked.read_text().splitlines()
    assert "Dir::State=" not in calls[0]
    assert "Dir::State=" in calls[1]
    assert calls[1].endswith("update")
    if how == "lists":
        assert sorted(path.name for path in (tmp_path / "cache/tools/monitoring/bin").iterdir()) == sorted(
            NAMES
        )
        assert [path.name for path in (tmp_path / "cache/tools").iterdir()] == ["monitoring"]
    else:
        assert "could not be downloaded" in said.getvalue()
        assert "Set-up goes on" in said.getvalue()


def _script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}")
    path.chmod(0o755)
