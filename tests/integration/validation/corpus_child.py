"""A confined process that inspects every file of a folder, for `test_process_limits.py`.

One process for two thousand files: what a file leaves behind counts against the next.
"""

import os
import resource
import sys

from tidegate.safetensors import inspect_artifact
from tidegate.validation.confinement import confine, limits_from_argv, peak_memory_bytes, say


def main(argv: list[str]) -> int:
    limits, request = limits_from_argv(argv)
    confine(limits)
    slowest, most, flooding = (0.0, ""), (0, ""), (0, "")
    names = sorted(os.listdir(request["folder"]))
    for name in names:
        descriptor = os.open(name, os.O_RDONLY, dir_fd=request["folder"])
        before = resource.getrusage(resource.RUSAGE_SELF)
        seen = inspect_artifact(descriptor, "model.gguf")
        after = resource.getrusage(resource.RUSAGE_SELF)
        os.close(descriptor)
        slowest = max(slowest, (after.ru_utime - before.ru_utime, name))
        most = max(most, (peak_memory_bytes(), name))
        flooding = max(flooding, (len(seen.findings), name))
    say({"files": len(names), "slowest": slowest, "most": most, "flooding": flooding})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
