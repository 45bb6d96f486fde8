"""Makes `.venv` ready to run Tidegate: `make setup` calls this. Standard library only.

This file parses on any Python 3, because its first job is to say that a Python is too old.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys

OLDEST_PYTHON = (3, 11)
NEWER_NAMES = ("python3.13", "python3.12", "python3.11", "python3")
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def newer_python(which=shutil.which, oldest=OLDEST_PYTHON):
    """Path of an installed Python that is new enough, or None. Shims that refuse to start do not count."""
    proof = f"import sys; sys.exit(sys.version_info < {oldest!r})"
    for name in NEWER_NAMES:
        path = which(name)
        if path and subprocess.call([path, "-c", proof], stderr=subprocess.DEVNULL) == 0:
            return path
    return None


def too_old_message(version):
    """What to tell somebody whose Python is too old."""
    return (
        f"Tidegate needs Python 3.11 or newer; this is {version[0]}.{version[1]}.\n"
        "Install one (Debian/Ubuntu: sudo apt-get install python3.11 python3.11-venv; Fedora: sudo dnf install "
        "python3.12; macOS: brew install python@3.12) and name it: make setup PYTHON=python3.12"
    )


def parse_arguments(argv):
    """Options of the command line."""
    parser = argparse.ArgumentParser(prog="bootstrap", description="Makes .venv ready to run Tidegate.")
    parser.add_argument("--dev", action="store_true", help="also install what tests and checks need")
    parser.add_argument("--check", action="store_true", help="say what is missing and change nothing")
    parser.add_argument("--lock", action="store_true", help="write the lock files anew instead")
    parser.add_argument("--upgrade", action="store_true", help="with --lock: newest allowed versions")
    parser.add_argument(
        "--portable", action="store_true", help="build the engine for any processor of this kind"
    )
    return parser.parse_args(argv)


def main(argv=None):
    """Entry point; returns the exit status."""
    arguments = parse_arguments(argv)
    if sys.version_info < OLDEST_PYTHON:
        newer = newer_python()
        if newer is None:
            print(too_old_message(sys.version_info), file=sys.stderr)
            return 1
        os.execv(newer, [newer, os.path.abspath(__file__)] + (sys.argv[1:] if argv is None else argv))
    sys.path[0] = ROOT
    from deployments.setup import installation

    # A terminated set-up takes its compilers with it.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    try:
        return installation.run(arguments, ROOT)
    except KeyboardInterrupt:
        print("\nSet-up was interrupted; running it again goes on from what is finished.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
