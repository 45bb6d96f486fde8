"""Write the dashboards, or say which of the written ones are not what the code draws."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from deployments.monitoring.grafana.boards import BOARDS
from deployments.monitoring.grafana.drawing import Places, draw

STANDING = Path(__file__).with_name("dashboards")


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1: `--check` found a difference."""
    asked = _parser().parse_args(arguments)
    texts = drawn(Places(prefect=asked.prefect, docs=asked.docs))
    changed = differing(texts, asked.out)
    if asked.check:
        for name in changed:
            print(f"{asked.out / name} is not what the code draws")
        return 1 if changed else 0
    asked.out.mkdir(parents=True, exist_ok=True)
    for name in changed:
        if name in texts:
            (asked.out / name).write_text(texts[name], encoding="utf-8")
        else:
            (asked.out / name).unlink()
        print(f"{asked.out / name} {'written' if name in texts else 'removed'}")
    return 0


def drawn(places: Places) -> dict[str, str]:
    """Each file's name and text."""
    return {f"{board.uid}.json": draw(board, places) for board in BOARDS}


def differing(texts: dict[str, str], folder: Path) -> list[str]:
    """Files that are missing, other, or of no board any more."""
    there = {file.name: file.read_text(encoding="utf-8") for file in folder.glob("tidegate-*.json")}
    return sorted(name for name in texts.keys() | there.keys() if texts.get(name) != there.get(name))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deployments.monitoring.grafana", description=__doc__)
    parser.add_argument("--out", type=Path, default=STANDING, help="folder of the dashboards' files")
    parser.add_argument("--check", action="store_true", help="write nothing; exit code 1 for a difference")
    parser.add_argument(
        "--prefect", default=Places.prefect, metavar="URL", help="Prefect's UI, for links to runs"
    )
    parser.add_argument(
        "--docs", default=Places.docs, metavar="URL", help="where docs/ can be read, for runbooks"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
