"""Names for the open parts of one model: the engine finds the others by the name of the first.

The names are links to the descriptors of whoever opens them, so that the engine reads the very files that were
judged, whatever lies in their folder by now.
"""

import sys
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

DESCRIPTORS = "/proc/self/fd" if sys.platform.startswith("linux") else "/dev/fd"


@contextmanager
def linked(parts: Mapping[str, int]) -> Generator[str | None]:
    """Path of the first part in a private folder, which is gone afterwards; None for a model of one file.

    A process uses the path that has the same descriptors under the same numbers. The folder is made and removed
    by its parent: a child that is killed leaves nothing behind.
    """
    if len(parts) < 2:
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="tidegate-parts-") as folder:
        paths = [
            Path(folder, f"model-{number:05d}-of-{len(parts):05d}.gguf")
            for number in range(1, len(parts) + 1)
        ]
        for path, name in zip(paths, sorted(parts), strict=True):
            path.symlink_to(f"{DESCRIPTORS}/{parts[name]}")
        yield str(paths[0])
