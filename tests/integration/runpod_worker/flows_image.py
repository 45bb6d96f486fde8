"""What the image of the flows holds, put together without docker: the files that its Dockerfile copies."""

import shutil
from pathlib import Path

from tidegate.settings import SOURCE_ROOT

FOLDER = SOURCE_ROOT / "deployments" / "images" / "flows"
DOCKERFILE = FOLDER / "Dockerfile"
IGNORED = FOLDER / "Dockerfile.dockerignore"


def instructions() -> list[tuple[str, str]]:
    """Name and arguments of each, in order; continued lines are one."""
    text = DOCKERFILE.read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return [(name, " ".join(rest.split())) for name, _, rest in (line.partition(" ") for line in lines)]


def copied() -> list[tuple[str, str]]:
    """Source in the repository and target in the image, for each file or folder."""
    found: list[tuple[str, str]] = []
    for name, arguments in instructions():
        if name == "COPY" and not arguments.startswith("--from"):
            *sources, target = arguments.split()
            found += [(source, target) for source in sources]
    return found


def left_out() -> list[str]:
    """Paths below copied folders that are not sent to the build."""
    lines = IGNORED.read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "!", "*"))]


def assemble(root: Path) -> None:
    """The image's folder of code; what is installed is this environment's own."""
    excluded = {SOURCE_ROOT / path for path in left_out()}

    def skipped(folder: str, names: list[str]) -> list[str]:
        return [name for name in names if name == "__pycache__" or Path(folder, name) in excluded]

    for source, target in copied():
        path = SOURCE_ROOT / source
        if path.is_dir():
            shutil.copytree(path, root / target, ignore=skipped)
        else:
            shutil.copy(path, root / target)
