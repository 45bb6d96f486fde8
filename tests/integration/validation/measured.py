"""Runs the real confined child over the files named on the command line and says what each cost.

A process of its own, because the kernel keeps the peak memory of children for their parent as a whole.
"""

import json
import os
import resource
import sys

from tidegate.validation.artifact import child_limits
from tidegate.validation.confinement import run_confined

REQUEST = {"context_tokens": 4096, "parallel": 4, "is_on_gpu": False, "is_header_only": False, "parts": {}}


def main(paths: list[str]) -> int:
    for path in paths:
        # Each in a process of its own, so that one peak does not hide the next.
        pid = os.fork()
        if pid == 0:
            _measure(path)
            os._exit(0)
        os.waitpid(pid, 0)
    return 0


def _measure(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    limits = child_limits(os.fstat(descriptor).st_size)
    request = {**REQUEST, "name": "model", "descriptor": descriptor}
    outcome = run_confined("tidegate.validation.child", request, limits, inherit=(descriptor,))
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(json.dumps({
        "path": path, "peak_kib": used.ru_maxrss, "cpu_s": used.ru_utime + used.ru_stime,
        "cpu_limit_s": limits.cpu_s, "problem": outcome.problem,
        "findings": len(outcome.result["findings"]) if outcome.result else 0,
    }), flush=True)  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
