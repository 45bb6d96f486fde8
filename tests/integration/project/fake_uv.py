#!/usr/bin/env python3
"""Stands in for uv: makes the same files from nothing, so that a set-up needs no network."""

import os
import subprocess
import sys
from pathlib import Path

COMMAND = "#!/bin/sh\nexit 0\n"


def main(words: list[str]) -> int:
    if words == ["--version"]:
        print("uv 99.1.0")
        return 0
    with Path(os.environ["FAKE_UV_CALLS"]).open("a", encoding="utf-8") as calls:
        calls.write(" ".join(words) + "\n")
    if os.environ.get("FAKE_UV_FAILS") in words:
        print("no such host")
        return 2
    if words[0] == "venv":
        base = words[words.index("--python") + 1]
        subprocess.run([base, "-m", "venv", "--without-pip", "--clear", words[-1]], check=True)
        return 0
    venv = Path(words[words.index("--python") + 1]).parent.parent
    if words[:2] == ["pip", "sync"]:
        packages = next(venv.glob("lib/python3*/site-packages"))
        (packages / "llama_cpp.py").write_text("", encoding="utf-8")
        (packages / "bin").mkdir(exist_ok=True)
        for name in ("llama-server", "llama-quantize", "llama-bench", "llama-perplexity"):
            put_command(packages / "bin" / name)
    if words[:2] == ["pip", "install"]:
        put_command(venv / "bin" / "tidegate")
    return 0


def put_command(path: Path) -> None:
    path.write_text(COMMAND, encoding="utf-8")
    path.chmod(0o755)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
