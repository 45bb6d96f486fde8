"""Writes the lock files anew: `make lock`, or `make lock UPGRADE=1` to move to the newest allowed versions."""

import shutil
from pathlib import Path

from deployments.setup.environment import House
from deployments.setup.errors import SetupError
from deployments.setup.progress import Progress, run_logged

# No address of an index may land in a lock: it must resolve the same from any mirror.
COMPILE = (
    *("pip", "compile", "--quiet", "--universal", "--python-version", "3.11", "--generate-hashes"),
    *("--no-header", "--no-emit-index-url", "--no-emit-find-links"),
)
# The engine is built apart from the rest, see engine.toml.
WITHOUT_ENGINE = ("--no-emit-package", "llama-cpp-python")
RUN_EXTRAS = ("--extra", "engine", "--extra", "postgres")


def write_locks(house: House, *, uv: Path, upgrade: bool, log: Path, progress: Progress) -> None:
    """Compile every lock from pyproject.toml and the `.in` files."""
    more = ("--upgrade",) if upgrade else ()
    project, run, dev = (
        house.root / "pyproject.toml",
        house.requirements(dev=False),
        house.requirements(dev=True),
    )

    def compile_lock(*words: str | Path, to: Path) -> None:
        run_logged(
            [uv, *COMPILE, *words, "--output-file", to],
            log=log,
            progress=progress,
            failure=SetupError(f"{to.name} could not be resolved.", "See which requirements disagree."),
        )

    progress.begin("resolving")
    for name in ("uv", "build-tools"):
        compile_lock(*more, house.setup / f"{name}.in", to=house.setup / f"{name}.txt")
    compile_lock(*more, *WITHOUT_ENGINE, project, *RUN_EXTRAS, "--extra", "dev", to=dev)
    # uv prefers the versions that the output file already names: so both locks agree.
    shutil.copyfile(dev, run)
    compile_lock(*WITHOUT_ENGINE, project, *RUN_EXTRAS, to=run)
    image = house.root / "deployments" / "images" / "worker"
    shutil.copyfile(dev, image / "requirements.txt")
    compile_lock(image / "requirements.in", to=image / "requirements.txt")
    progress.done()
