"""How the engine is built: settings, the key of the cached wheel, one build at a time."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from deployments.setup.engine import Recipe, build_arguments, cached_wheel, load_recipe, wheel_key
from deployments.setup.errors import SetupError
from deployments.setup.host import Host, cache_dir, compile_jobs

HOST = Host(system="linux", machine="x86_64", c_library="glibc-2.36", processor="avx avx2 fma")


@pytest.fixture
def recipe(root: Path) -> Recipe:
    return load_recipe(root / "deployments" / "setup" / "engine.toml", system="linux")


def test_the_declared_settings_reach_the_build_back_end(recipe: Recipe) -> None:
    arguments = build_arguments(recipe, Path("source.tar.gz"), Path("out"), Path("build"))

    settings = {after for before, after in pairwise(arguments) if before == "--config-settings"}
    assert {f"cmake.define.{name}={value}" for name, value in recipe.defines.items()} < settings
    assert "cmake.define.LLAMA_BUILD_SERVER=ON" in settings
    assert arguments[-1] == "source.tar.gz"


def test_the_build_never_takes_a_wheel_from_the_cache_of_pip(recipe: Recipe) -> None:
    arguments = build_arguments(recipe, Path("source.tar.gz"), Path("out"), Path("build"))

    assert "--no-cache-dir" in arguments
    assert "--no-build-isolation" in arguments


def test_commands_find_their_libraries_without_help_from_the_environment(root: Path) -> None:
    path = root / "deployments" / "setup" / "engine.toml"

    assert "$ORIGIN/../lib" in load_recipe(path, system="linux").defines["CMAKE_INSTALL_RPATH"]
    assert "@loader_path/../lib" in load_recipe(path, system="darwin").defines["CMAKE_INSTALL_RPATH"]


def test_another_operating_system_is_refused_with_a_way_out(root: Path) -> None:
    with pytest.raises(SetupError) as caught:
        load_recipe(root / "deployments" / "setup" / "engine.toml", system="win32")

    assert "Subsystem for Linux" in caught.value.remedy


def test_the_requirement_carries_the_hash_of_the_source(recipe: Recipe) -> None:
    assert recipe.requirement == f"llama-cpp-python=={recipe.version} --hash=sha256:{recipe.sdist_sha256}"


@pytest.mark.parametrize(
    "other",
    [
        replace(HOST, processor="avx avx2 fma avx512f"),
        replace(HOST, machine="aarch64"),
        replace(HOST, system="darwin"),
        replace(HOST, c_library="glibc-2.41"),
    ],
)
def test_another_machine_gets_another_wheel(recipe: Recipe, other: Host) -> None:
    assert wheel_key(recipe, other) != wheel_key(recipe, HOST)


def test_another_setting_or_source_gets_another_wheel(recipe: Recipe) -> None:
    keys = {
        wheel_key(recipe, HOST),
        wheel_key(replace(recipe, defines={**recipe.defines, "GGML_BLAS": "ON"}), HOST),
        wheel_key(replace(recipe, sdist_sha256="0" * 64), HOST),
    }

    assert len(keys) == 3


def test_the_key_does_not_depend_on_the_order_of_the_settings(recipe: Recipe) -> None:
    turned = replace(recipe, defines=dict(reversed(recipe.defines.items())))

    assert wheel_key(turned, HOST) == wheel_key(recipe, HOST)


def test_a_portable_wheel_is_shared_between_processors(root: Path) -> None:
    portable = load_recipe(root / "deployments" / "setup" / "engine.toml", system="linux", portable=True)

    assert portable.defines["GGML_NATIVE"] == "OFF"
    assert wheel_key(portable, HOST) == wheel_key(portable, replace(HOST, processor="another"))
    assert wheel_key(portable, HOST) != wheel_key(replace(portable, is_portable=False), HOST)


def test_an_unfinished_build_is_not_taken_for_a_wheel(tmp_path: Path) -> None:
    partial = tmp_path / "wheels" / "key.partial" / "out"
    partial.mkdir(parents=True)
    (partial / "engine.whl").touch()

    assert cached_wheel(tmp_path, "key") is None


def test_a_finished_build_is_found(tmp_path: Path) -> None:
    (tmp_path / "wheels" / "key").mkdir(parents=True)
    (tmp_path / "wheels" / "key" / "engine.whl").touch()

    assert cached_wheel(tmp_path, "key") == tmp_path / "wheels" / "key" / "engine.whl"


def test_little_memory_means_few_compilers() -> None:
    assert compile_jobs(memory_per_job_gib=1e6) == 1
    assert compile_jobs(memory_per_job_gib=1e-6) >= 1


def test_the_cache_follows_the_desktop_convention(tmp_path: Path) -> None:
    assert cache_dir({"XDG_CACHE_HOME": str(tmp_path)}) == tmp_path / "tidegate"
    assert cache_dir({"XDG_CACHE_HOME": "relative"}) == Path.home() / ".cache" / "tidegate"
    assert cache_dir({}) == Path.home() / ".cache" / "tidegate"
