"""The command answers at once: what help imports is counted, never timed."""

import json
import subprocess
import sys

import pytest

HEAVY = ("prefect", "sqlalchemy", "numpy", "scipy", "httpx", "aiohttp", "yaml", "psutil", "rich")
PROGRAM = """
import json, sys
sys.argv = ["tidegate", *sys.argv[1:]]
from tidegate.cli import main
try:
    main()
except SystemExit as end:
    code = end.code
print(json.dumps({"code": code, "modules": sorted(sys.modules)}), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["release", "--help"],
        ["models", "register", "-h"],
        ["bench", "--help"],
        ["--version"],
        ["no-such-command"],
    ],
)
def test_help_and_mistakes_import_nothing_heavy(arguments: list[str]):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=120
    )

    seen = json.loads(done.stderr.splitlines()[-1])
    assert [name for name in HEAVY if name in seen["modules"]] == []
    assert seen["code"] == (2 if arguments == ["no-such-command"] else 0)


def test_the_first_help_needs_no_models():
    """Half of its time was pydantic's, for one name. Help of a command needs it: typer reads parameters with it."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "--help"], capture_output=True, text=True, timeout=120
    )

    assert "pydantic" not in json.loads(done.stderr.splitlines()[-1])["modules"]


def test_the_command_never_imports_prefect():
    program = "import sys, tidegate.cli.checkup, tidegate.cli.following, tidegate.stack.bootstrap; print('prefect' in sys.modules)"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)

    assert done.stdout.strip() == "False", done.stderr


def test_a_header_is_judged_without_what_only_the_confined_process_needs():
    """The command waits for a process that reads the file; numpy, templates and HTTP clients are not its own."""
    model, service = "deployments/demo/models/pipit-v2.gguf", "swaggystacks/support-chat"
    arguments = ["validate", model, "--service", service, "--profile", "quick", "--json"]

    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=120
    )

    modules = json.loads(done.stderr.splitlines()[-1])["modules"]
    assert json.loads(done.stdout)[0]["report"]["model"]["architecture"] == "llama"
    unwanted = {*HEAVY, "jinja2"} - {"yaml", "rich"}
    assert unwanted.intersection(modules) == set()
