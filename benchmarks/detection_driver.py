"""Asks one tool about many files, each in a process of its own with limits. Runs in the tool's environment.

    python detection_driver.py TOOL < paths        (one JSON line for each)

Knows nothing of Tidegate's code but what the tool `tidegate` imports: rivals are not in its environment.
"""

import json
import os
import resource
import signal
import sys
import time
from collections.abc import Callable

SECONDS = 30
MEMORY_BYTES = 4 * 1024**3
REFUSED = 10


def _tidegate() -> Callable[[str], bool]:
    from tidegate.domain import Policy
    from tidegate.validation import validate_artifact
    from tidegate.validation.report import ValidationStatus

    # The files of the corpus are far smaller than a model that anyone releases.
    policy = Policy.model_validate({"artifact": {"min_bytes": 0}})

    def refuses(path: str) -> bool:
        report = validate_artifact(path, policy, expected_digest=None, context_tokens=512, parallel=1)
        bad = (ValidationStatus.FAILED, ValidationStatus.ERROR)
        return any(result.status in bad for result in report.results)

    return refuses


def _gguf_reader() -> Callable[[str], bool]:
    from gguf import GGUFReader

    def refuses(path: str) -> bool:
        try:
            GGUFReader(path)
        except Exception:  # noqa: BLE001 - it has no error class of its own; whatever it raises is its refusal
            return True
        return False

    return refuses


def _llama(*, check_tensors: bool) -> Callable[[str], bool]:
    import llama_cpp

    def refuses(path: str) -> bool:
        llama_cpp.llama_backend_init()
        settings = llama_cpp.llama_model_default_params()
        settings.n_gpu_layers, settings.check_tensors = 0, check_tensors
        return not llama_cpp.llama_model_load_from_file(path.encode(), settings)

    return refuses


def _by_exit_code(main: Callable[[], object], *arguments: str) -> Callable[[str], bool]:
    """A command line whose exit code is 0 for what it lets pass."""

    def refuses(path: str) -> bool:
        sys.argv = ["tool", *arguments, path]
        try:
            return bool(main())
        except SystemExit as end:
            return end.code not in (0, None)
        except Exception:  # noqa: BLE001 - the command would end with a traceback and code 1
            return True

    return refuses


def _modelaudit() -> Callable[[str], bool]:
    import modelaudit.cli
    import modelaudit.scanners.gguf_scanner
    from modelaudit.__main__ import _run

    assert modelaudit.cli  # imported before the first file, so that no file pays for it

    return _by_exit_code(_run, "scan", "--quiet", "--no-cache")


def _glyphhound() -> Callable[[str], bool]:
    from glyphhound.cli import main

    return _by_exit_code(lambda: main(sys.argv[1:]), "scan")


def _pillar() -> Callable[[str], bool]:
    from pillar_gguf_scanner.cli import main

    return _by_exit_code(lambda: main(sys.argv[1:]), "--no-pillar", "--json")


TOOLS: dict[str, Callable[[], Callable[[str], bool]]] = {
    "tidegate": _tidegate,
    "modelaudit": _modelaudit,
    "glyphhound": _glyphhound,
    "pillar-gguf-scanner": _pillar,
    "gguf": _gguf_reader,
    "llama.cpp": lambda: _llama(check_tensors=False),
    "llama.cpp, check_tensors": lambda: _llama(check_tensors=True),
}


def main(tool: str) -> int:
    refuses = TOOLS[tool]()
    for line in sys.stdin:
        path = line.rstrip("\n")
        began = time.monotonic()
        print(
            json.dumps({"path": path, "answer": _ask(refuses, path), "seconds": time.monotonic() - began}),
            flush=True,
        )
    return 0


def _ask(refuses: Callable[[str], bool], path: str) -> str:
    pid = os.fork()
    if pid == 0:
        silent = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silent, descriptor)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
        signal.alarm(SECONDS)
        code = 3
        try:
            code = REFUSED if refuses(path) else 0
        finally:
            os._exit(code)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    if status == -signal.SIGALRM:
        return "hung"
    return {0: "passed", REFUSED: "refused"}.get(status, "died")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
