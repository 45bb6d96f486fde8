"""Builds the inference engine's wheel once per machine and keeps it in the cache folder.

Everything that decides the result stands in engine.toml. A wheel appears in the cache by one rename, so a
killed build leaves nothing that looks finished.
"""

import fcntl
import hashlib
import os
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from deployments.setup.errors import SetupError
from deployments.setup.host import GIB, Host, compile_jobs
from deployments.setup.progress import Progress, run_logged

DISK_NEEDED_GIB = 3
# Settings from the environment would change the build behind the key's back.
FOREIGN_SETTINGS = (
    "CMAKE_ARGS",
    "FORCE_CMAKE",
    "PIP_CONSTRAINT",
    "PIP_REQUIREMENT",
    "PIP_NO_BINARY",
    "PIP_TARGET",
)


@dataclass(frozen=True)
class Recipe:
    """One way to build one version of the engine."""

    package: str
    version: str
    sdist_sha256: str
    defines: Mapping[str, str]
    commands: tuple[str, ...]
    memory_per_job_gib: float
    is_portable: bool

    @property
    def requirement(self) -> str:
        """The source archive as pip wants it, with its hash."""
        return f"{self.package}=={self.version} --hash=sha256:{self.sdist_sha256}"


def load_recipe(
    path: Path, *, system: str = sys.platform, portable: bool = False, cuda: bool = False
) -> Recipe:
    """Read engine.toml for this operating system. With `cuda` for other machines' GPUs, so it is portable too."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    if system not in table["rpath"]:
        raise SetupError(
            f"Tidegate runs on Linux and macOS; this is {system}.",
            "On Windows use the Windows Subsystem for Linux.",
        )
    defines = table["defines"] | {"CMAKE_INSTALL_RPATH": table["rpath"][system]}
    return Recipe(
        package=table["package"],
        version=table["version"],
        sdist_sha256=table["sdist_sha256"],
        defines=defines
        | (table["portable_defines"] if portable or cuda else {})
        | (table["cuda_defines"] if cuda else {}),
        commands=tuple(table["commands"]),
        memory_per_job_gib=table["memory_per_job_gib"],
        is_portable=portable or cuda,
    )


def wheel_key(recipe: Recipe, host: Host) -> str:
    """Name of the folder in the cache: equal keys mean that the wheel can be shared.

    The Python version is no part of it, because the binding loads the libraries with ctypes (`py3-none`).
    """
    parts = asdict(host) | {"sdist": recipe.sdist_sha256}
    parts |= {f"define {name}": value for name, value in recipe.defines.items()}
    if recipe.is_portable:
        del parts["processor"]
    text = "\n".join(f"{name}={parts[name]}" for name in sorted(parts))
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{recipe.version}-{host.system}-{host.machine}-{digest}"


def build_arguments(recipe: Recipe, source: Path, out: Path, build_dir: Path) -> list[str]:
    """Arguments of pip that build the wheel with the recipe's settings."""
    settings = [f"cmake.define.{name}={value}" for name, value in recipe.defines.items()]
    return [
        # pip's own wheel cache does not know the settings and would serve somebody else's build.
        *("wheel", "--verbose", "--no-cache-dir", "--no-deps", "--no-build-isolation"),
        *("--wheel-dir", str(out)),
        *(
            word
            for setting in [*settings, f"build-dir={build_dir}"]
            for word in ("--config-settings", setting)
        ),
        str(source),
    ]


def cached_wheel(cache: Path, key: str) -> Path | None:
    """The finished wheel of that key, if there is one."""
    return next((cache / "wheels" / key).glob("*.whl"), None)


def build_wheel(
    recipe: Recipe, key: str, *, cache: Path, uv: Path, tools_lock: Path, python: Path, progress: Progress
) -> Path:
    """Return the wheel of that key, building it when nobody has; two set-ups at once build it once."""
    with _alone(cache / "wheels" / f"{key}.lock", progress):
        if wheel := cached_wheel(cache, key):
            return wheel
        _require_disk(cache)
        partial = cache / "wheels" / f"{key}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        log = cache / "logs" / f"engine-{key}.log"
        log.unlink(missing_ok=True)
        try:
            tools = _build_tools(partial / "tools", uv, tools_lock, python, log, progress)
            source = _source_archive(recipe, cache / "sources", tools, log, progress)
            _compile(recipe, source, partial, tools, log, progress)
            final = cache / "wheels" / key
            shutil.rmtree(final, ignore_errors=True)
            (partial / "out").rename(final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return next(final.glob("*.whl"))


def _build_tools(home: Path, uv: Path, lock: Path, python: Path, log: Path, progress: Progress) -> Path:
    progress.begin("fetching cmake, ninja and the build back end")
    failure = SetupError(
        "The build tools could not be installed.", "Check the network and run the command again."
    )
    env = os.environ | {"UV_PYTHON_DOWNLOADS": "never"}
    tools = home / "bin" / "python"
    for words in (
        [uv, "venv", "--quiet", "--python", python, home],
        [uv, "pip", "sync", "--quiet", "--require-hashes", "--python", tools, lock],
    ):
        run_logged(words, log=log, progress=progress, failure=failure, env=env)
    progress.done()
    return tools


def _source_archive(recipe: Recipe, folder: Path, tools: Path, log: Path, progress: Progress) -> Path:
    def kept() -> Path | None:
        found = folder.glob(f"{recipe.package.replace('-', '_')}-{recipe.version}.tar.gz")
        return next((path for path in found if _sha256(path) == recipe.sdist_sha256), None)

    if source := kept():
        return source
    progress.begin(f"downloading the source of {recipe.package} {recipe.version}")
    folder.mkdir(parents=True, exist_ok=True)
    wanted = folder / f"{recipe.version}.requirement.txt"
    wanted.write_text(recipe.requirement + "\n", encoding="utf-8")
    run_logged(
        [
            *(tools, "-m", "pip", "download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation"),
            *("--progress-bar", "raw", "--require-hashes", "--requirement", wanted, "--dest", folder),
        ],
        log=log,
        progress=progress,
        failure=SetupError(
            "The engine's source could not be downloaded.", "Check the network and run the command again."
        ),
        env=_clean_environment(tools, jobs=1),
    )
    progress.done()
    source = kept()
    if source is None:
        raise SetupError(f"{folder} holds no archive of the expected hash.", "Run the command again.")
    return source


def _compile(recipe: Recipe, source: Path, partial: Path, tools: Path, log: Path, progress: Progress) -> None:
    progress.say(f"  The engine is built once per machine; this takes minutes. Output: {log}")
    progress.begin(f"building {recipe.package} {recipe.version}")
    run_logged(
        [tools, "-m", "pip", *build_arguments(recipe, source, partial / "out", partial / "build")],
        log=log,
        progress=progress,
        failure=SetupError(
            "The engine could not be built.",
            "If the compiler was killed, free some memory; if it is older than GCC 9 or Clang 10, install a newer "
            "one and set CXX. Then run the command again.",
        ),
        env=_clean_environment(tools, jobs=compile_jobs(recipe.memory_per_job_gib)),
    )
    progress.done()


def _clean_environment(tools: Path, *, jobs: int) -> dict[str, str]:
    env = {name: value for name, value in os.environ.items() if name not in FOREIGN_SETTINGS}
    env = {name: value for name, value in env.items() if not name.startswith("SKBUILD_")}
    # The pinned cmake and ninja come before the machine's own.
    env["PATH"] = f"{tools.parent}{os.pathsep}{env.get('PATH', '')}"
    return env | {"CMAKE_BUILD_PARALLEL_LEVEL": str(jobs), "PIP_DISABLE_PIP_VERSION_CHECK": "1"}


def _require_disk(cache: Path) -> None:
    free = shutil.disk_usage(cache).free / GIB
    if free < DISK_NEEDED_GIB:
        raise SetupError(
            f"Building the engine needs {DISK_NEEDED_GIB} GiB in {cache}; {free:.1f} GiB are free.",
            "Free some space, or set XDG_CACHE_HOME to a folder on a larger disk.",
        )


@contextmanager
def _alone(path: Path, progress: Progress) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            progress.say("  Another set-up is building the engine; waiting for it.")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _sha256(path: Path) -> str:
    with path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()
