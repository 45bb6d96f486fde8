"""What `tidegate bench` needs installed, and that nothing heavy is on its path.

    python -m benchmarks.bench_install

A fresh interpreter imports every module of the benchmark room and of the bench commands. The packages that then
are in memory, those that these modules import only when they need them, and everything that all of these require
by their own metadata are weighed as they are installed.
"""

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

BESIDE = {"numpy", "scipy"}
"""Named apart: the target is for what comes on top of them."""
FORBIDDEN = {"torch", "httpx", "openai", "prefect", "transformers", "requests"}
LIMIT_MB = 60.0
SELF = "tidegate"
SOURCE = Path(__file__).resolve().parents[1] / "tidegate"
SOURCES = ("benchmark/**/*.py", "statistics/*.py", "cli/bench*.py")

IMPORT_ALL = """
import importlib, json, pkgutil, sys
import tidegate.benchmark, tidegate.cli
names = [m.name for m in pkgutil.walk_packages(tidegate.benchmark.__path__, "tidegate.benchmark.")]
names += [m.name for m in pkgutil.iter_modules(tidegate.cli.__path__, "tidegate.cli.") if ".bench" in m.name]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def main() -> int:
    modules = json.loads(
        subprocess.run([sys.executable, "-c", IMPORT_ALL], check=True, capture_output=True, text=True).stdout
    )
    imported = distributions_of(modules)
    later = distributions_of(named_in_source())
    needed = closure(imported | later)
    sizes = {name: installed_mb(name) for name in needed}
    for name, size in sorted(sizes.items(), key=lambda one: -one[1]):
        note = "" if name in imported else "  (when needed)" if name in later else "  (required by another)"
        print(f"{name:<28} {size:7.2f} MB{note}")
    total = sum(size for name, size in sizes.items() if name not in BESIDE)
    print(f"beyond {' and '.join(sorted(BESIDE))}: {total:.1f} MB of {LIMIT_MB:g} MB, {len(sizes)} packages")
    heavy = sorted(FORBIDDEN & needed)
    print("nothing heavy is on the path" if not heavy else f"on the path: {', '.join(heavy)}")
    print(json.dumps({"total_mb": total, "sizes_mb": sizes, "heavy": heavy}))
    return 1 if heavy or total >= LIMIT_MB else 0


def named_in_source() -> set[str]:
    """Top-level modules of every import statement, also of those inside functions."""
    found: set[str] = set()
    for pattern in SOURCES:
        for path in SOURCE.glob(pattern):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module:
                    found.add(node.module.partition(".")[0])
    return found


def distributions_of(modules: Iterable[str]) -> set[str]:
    """Installed packages that these top-level modules belong to, this product left out."""
    owners = metadata.packages_distributions()
    return {_key(owner) for module in modules for owner in owners.get(module, ())} - {SELF}


def closure(names: Iterable[str]) -> set[str]:
    """These packages and all that they require here, without extras."""
    found: set[str] = set()
    waiting = set(names)
    while waiting:
        name = waiting.pop()
        found.add(name)
        for requirement in metadata.requires(name) or ():
            wanted, _, marker = requirement.partition(";")
            required = _key(re.split(r"[\s\[<>=!~(]", wanted.strip(), maxsplit=1)[0])
            if "extra" not in marker and required not in found and _is_installed(required):
                waiting.add(required)
    return found


def installed_mb(name: str) -> float:
    files = metadata.files(name) or ()
    return sum(path.stat().st_size for file in files if (path := file.locate()).is_file()) / 1e6  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


def _is_installed(name: str) -> bool:
    """A requirement for another system or an older Python is not there, and is not needed."""
    try:
        metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return False
    return True


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
