"""Which tool refuses which damaged files, and which sound ones: ours against others, on our own labelled corpus.

    python -m benchmarks.detection [--per-kind 12 | --all] [--json FILE] [--rivals ENVIRONMENT]

Rivals are installed with pinned versions into an environment of their own in the cache folder, the first time.
Each file is read by each tool in a process of its own. A process that dies or hangs has refused nothing: it is
counted apart. Ours is counted by what the structure gate of a release says: the bytes and the rendered template;
nothing is loaded. Templates come in a model that is sound but for them. A tool that reads GGUF files only is not
asked about safetensors and pickles.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import venv
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

from platformdirs import user_cache_path

from benchmarks.detection_cases import OTHER_FORMATS, more_cases
from tests.corpus import Case, corpus

ROOT = Path(__file__).parent.parent
DRIVER = Path(__file__).with_name("detection_driver.py")
PINS = ("modelaudit==0.2.54", "glyphhound==0.1.0", "pillar-gguf-scanner==0.1.2", "gguf==0.19.0")
OURS = ("tidegate", "llama.cpp", "llama.cpp, check_tensors")
RIVALS = ("modelaudit", "glyphhound", "pillar-gguf-scanner", "gguf")
TOOLS = ("tidegate", *RIVALS, *OURS[1:])
READS_ALL = ("tidegate", "modelaudit")
SUFFIXES = (".safetensors", ".bin")
QUIET = {
    "PROMPTFOO_DISABLE_TELEMETRY": "1",
    "NO_ANALYTICS": "1",
    "HF_HUB_OFFLINE": "1",
    "PYTHONPATH": str(ROOT),
}


@dataclass(frozen=True)
class Placed:
    """A case and where it lies: rivals are given the first part of a set, ours its folder."""

    case: Case
    path: Path
    folder: Path | None = None


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--per-kind", type=int, default=12, help="files of one group and label (default 12)")
    parser.add_argument("--all", action="store_true", help="every file of the corpus; takes an hour or more")
    parser.add_argument("--json", type=Path, help="also write the answers of every tool to this file")
    parser.add_argument("--rivals", type=Path, help="environment that has the rivals already")
    arguments = parser.parse_args()
    rivals = arguments.rivals or _install()
    with tempfile.TemporaryDirectory(prefix="tidegate-detection-") as name:
        placed = [_place(case, Path(name)) for case in _chosen(None if arguments.all else arguments.per_kind)]
        answers = {tool: dict(_ask(tool, _for(tool, placed), rivals)) for tool in TOOLS}
    print(_table(placed, answers))
    if arguments.json:
        rows = [
            {
                "case": one.case.name,
                "label": one.case.label,
                **{tool: answers[tool].get(one.case.name) for tool in TOOLS},
            }
            for one in placed
        ]
        document = {"date": datetime.now(UTC).isoformat(), "pins": PINS, "rows": rows}
        arguments.json.write_text(json.dumps(document, indent=1))
    return 0


def _install() -> Path:
    """An environment with the rivals, made once for these versions."""
    home = user_cache_path("tidegate") / "rivals" / "-".join(pin.split("==")[1] for pin in PINS)
    if not (home / "complete").exists():
        print(f"installing {', '.join(PINS)} into {home}", flush=True)
        venv.create(home, with_pip=True, clear=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", *PINS], check=True)
        (home / "complete").touch()
    return home


def _chosen(per_kind: int | None) -> Iterator[Case]:
    """Cases spread evenly over each group and label, the same in every run."""
    kinds: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in chain(corpus(), more_cases()):
        kinds[case.group, case.label].append(case)
    for cases in kinds.values():
        step = 1 if per_kind is None else max(1, len(cases) // per_kind)
        yield from cases[::step][: per_kind or len(cases)]


def _place(case: Case, home: Path) -> Placed:
    name = case.name.replace("/", "--")[:200]
    if isinstance(case.content, bytes):
        path = home / (name if name.endswith(SUFFIXES) else f"{name}.gguf")
        path.write_bytes(case.content)
        return Placed(case, path)
    folder = home / name
    folder.mkdir()
    for file, content in case.content.items():
        (folder / file).write_bytes(content)
    return Placed(case, folder / min(case.content), folder)


def _for(tool: str, placed: list[Placed]) -> list[Placed]:
    return [one for one in placed if tool in READS_ALL or one.case.group not in OTHER_FORMATS]


def _ask(tool: str, placed: list[Placed], rivals: Path) -> Iterator[tuple[str, str]]:
    python = sys.executable if tool in OURS else str(rivals / "bin" / "python")
    paths = {
        str(one.folder if tool == "tidegate" and one.folder else one.path): one.case.name for one in placed
    }
    done = subprocess.run(
        [python, str(DRIVER), tool], input="\n".join(paths), capture_output=True, text=True, env=QUIET
    )
    if done.returncode:
        raise SystemExit(f"{tool} did not run: {done.stderr[-2000:]}")
    seconds = 0.0
    for line in done.stdout.splitlines():
        row = json.loads(line)
        seconds += row["seconds"]
        yield paths[row["path"]], row["answer"]
    print(f"{tool}: {seconds / max(1, len(paths)):.3f} s a file", file=sys.stderr, flush=True)


def _table(placed: list[Placed], answers: dict[str, dict[str, str]]) -> str:
    """Refused of each group of hostile files, then of odd ones, then false alarms, then deaths and hangs."""
    groups = sorted({one.case.group for one in placed if one.case.label == "reject"})
    heads = [*groups, "all hostile", "of odd", "false alarms", "died", "hung"]
    lines = ["| tool | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for tool in TOOLS:
        said = answers[tool]
        counts: Counter[str] = Counter(said.values())
        asked = _for(tool, placed)
        cells = [_share(asked, said, "reject", group) for group in groups]
        cells += [_share(asked, said, label) for label in ("reject", "warn", "good")]
        lines.append(f"| {tool} | " + " | ".join([*cells, str(counts["died"]), str(counts["hung"])]) + " |")
    return "\n".join(lines)


def _share(placed: list[Placed], said: dict[str, str], label: str, group: str | None = None) -> str:
    of = [one for one in placed if one.case.label == label and group in (None, one.case.group)]
    if not of:
        return "–"
    return f"{sum(said.get(one.case.name) == 'refused' for one in of)}/{len(of)}"


if __name__ == "__main__":
    sys.exit(main())
