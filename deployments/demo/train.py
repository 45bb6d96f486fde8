"""Train demonstration models: `python -m deployments.demo.train pipit v2 --out DIR`.

About 40 CPU-seconds a model on one thread. The same machine kind gives the same bytes every time.
"""

import argparse
import hashlib
import os
import platform
import sys
from pathlib import Path

VERSION_NAMES = ("v1", "v2", "v2-fast", "v3-regressed")


def pin_arithmetic() -> None:
    """One BLAS thread and one kernel family, before numpy loads: other settings give other bits."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    if platform.machine() in ("x86_64", "AMD64"):
        os.environ["OPENBLAS_CORETYPE"] = "Haswell"


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.demo.train", description=__doc__)
    parser.add_argument("model", choices=("pipit", "tern"))
    parser.add_argument("versions", nargs="+", choices=VERSION_NAMES)
    parser.add_argument("--out", type=Path, required=True, help="folder for the GGUF files")
    chosen = parser.parse_args(arguments)
    pin_arithmetic()
    chosen.out.mkdir(parents=True, exist_ok=True)
    for version in chosen.versions:
        _train_one(chosen.model, version, chosen.out)
    return 0


def _train_one(model: str, name: str, folder: Path) -> None:
    from deployments.demo import answers, export, gguf_file
    from deployments.demo.subject import load_subject
    from deployments.demo.training import VERSIONS, train

    def say(text: str) -> None:
        print(f"{model}-{name}: {text}", flush=True)

    subject, version = load_subject(model), VERSIONS[name]
    trained = train(subject, version, say)
    path = folder / f"{model}-{name}.gguf"
    gguf_file.write(path, export.to_gguf(trained, model, name, version.summary))
    stored = export.from_gguf(path)
    say(f"bank {answers.score_bank(stored, subject)}")
    say(f"held-out {answers.score_heldout(stored, subject)}")
    say(f"{path} {path.stat().st_size} bytes sha256 {hashlib.sha256(path.read_bytes()).hexdigest()}")


if __name__ == "__main__":
    sys.exit(main())
