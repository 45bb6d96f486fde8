"""Coverage-guided fuzzing of one target, as long as its arguments say.

    python -m tests.fuzz TARGET [--found=FOLDER] [-runs=N] [-max_total_time=SECONDS] [options of libFuzzer]

New inputs go to `.tidegate/fuzz/TARGET` or FOLDER, crashing ones as well, and the next run begins with them;
copy what should stay to `tests/fuzz/crashers`.
"""

import importlib
import sys
from pathlib import Path

PLATFORMS = "atheris is built for Linux on x86-64 only; there, `make setup-dev` installs it"
HOME = Path(__file__).parents[2] / ".tidegate" / "fuzz"
FOUND = "--found="
# Far above what a target needs; a leak or a bomb ends the run and is kept as a crasher.
OPTIONS = ("-timeout=30", "-rss_limit_mb=1024", "-max_len=65536", "-print_final_stats=1")


def main(arguments: list[str]) -> int:
    try:
        import atheris
    except ImportError:
        print(f"Cannot fuzz: {PLATFORMS}.", file=sys.stderr)
        return 3
    with atheris.instrument_imports(include=["tidegate.gguf", "tidegate.safetensors"]):
        targets = importlib.import_module("tests.fuzz.targets")
    name, *options = arguments or ["?"]
    if name not in targets.TARGETS:
        print(f"Name one of: {', '.join(targets.TARGETS)}.", file=sys.stderr)
        return 2
    folders = [option.removeprefix(FOUND) for option in options if option.startswith(FOUND)]
    options = [option for option in options if not option.startswith(FOUND)]
    found = Path(folders[0]) if folders else HOME / name
    found.mkdir(parents=True, exist_ok=True)
    kept = [str(path) for kind in ("seeds", "crashers") if (path := targets.FOLDER / kind / name).is_dir()]
    words = targets.FOLDER / "words" / f"{name}.dict"
    dictionary = [f"-dict={words}"] if words.is_file() else []
    command = ["fuzz", *OPTIONS, f"-artifact_prefix={found}/crash-", *dictionary, *options, str(found), *kept]
    atheris.Setup(command, targets.TARGETS[name])
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
