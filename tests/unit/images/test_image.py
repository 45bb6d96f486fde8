"""What the image is built from: the engine of every other machine, with CUDA, and the versions that tests run."""

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from deployments.images.worker.build_engine import download_arguments, unpack_server
from deployments.setup.engine import load_recipe

ROOT = Path(__file__).parents[3]
IMAGE = ROOT / "deployments" / "images" / "worker"
ENGINE_TOML = ROOT / "deployments" / "setup" / "engine.toml"


def test_the_images_engine_differs_from_the_other_only_by_cuda() -> None:
    usual, image = (
        load_recipe(ENGINE_TOML, system="linux"),
        load_recipe(ENGINE_TOML, system="linux", cuda=True),
    )

    assert usual.requirement == image.requirement
    assert image.defines["GGML_CUDA"] == "ON"
    assert image.defines["GGML_NATIVE"] == "OFF"
    assert usual.defines.items() < image.defines.items()


def test_the_source_is_fetched_with_its_hash(tmp_path: Path) -> None:
    recipe = load_recipe(ENGINE_TOML, system="linux", cuda=True)

    arguments = download_arguments(recipe, tmp_path)

    assert "--require-hashes" in arguments
    assert recipe.sdist_sha256 in (tmp_path / "requirement.txt").read_text()


def test_only_the_server_and_each_library_once_leave_the_wheel(tmp_path: Path) -> None:
    wheel = tmp_path / "engine.whl"
    names = ["bin/llama-server", "bin/llama-bench", "lib/liba.so", "lib/liba.so.0", "lib/liba.so.0.5.0"]
    with zipfile.ZipFile(wheel, "w") as archive:
        for name in [*names, "lib/libserver-impl.so", "lib/cmake/a.cmake", "llama_cpp/lib.py"]:
            archive.writestr(name, name)

    unpack_server(wheel, tmp_path / "out")

    found = {
        str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()
    }
    assert found == {"bin/llama-server", "lib/liba.so.0", "lib/libserver-impl.so"}


def test_queue_mode_has_the_versions_that_tests_run() -> None:
    image, tested = (
        set(re.findall(r"^([a-z0-9_.-]+==[^ \\]+)", path.read_text(), re.MULTILINE))
        for path in (IMAGE / "requirements.txt", ROOT / "deployments" / "setup" / "requirements-dev.txt")
    )

    assert image
    assert image <= tested


def test_the_dockerfile_is_clean() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.exists():
        pytest.skip("hadolint is not installed")
    checked = subprocess.run([hadolint, IMAGE / "Dockerfile"], capture_output=True, text=True)

    assert checked.returncode == 0, checked.stdout


def test_every_variable_that_the_worker_reads_is_in_its_table() -> None:
    code = "".join(path.read_text() for path in (IMAGE / "tidegate_worker").glob("*.py"))
    read = set(
        re.findall(
            r'"(TIDEGATE_[A-Z_]+|AWS_[A-Z0-9_]+|PORT[A-Z_]*|HEALTH_CHECK_PATH|RUNPOD_INIT_TIMEOUT)"', code
        )
    )
    table = (IMAGE / "README.md").read_text()

    assert {
        name for name in read - {"AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"} if f"`{name}`" not in table
    } == set()
