"""What Prefect's own processes log comes out in our shape, in the file and at its server, without secrets."""

import json
import subprocess
import sys
from pathlib import Path

from tests.unit.observability.planted import PLANTED
from tidegate.observability.log_keys import NAMES
from tidegate.settings import SOURCE_ROOT

PROGRAM = """
import json, logging, sys
from prefect.logging.configuration import setup_logging
from prefect.logging.handlers import APILogHandler
setup_logging()
planted = json.loads(sys.argv[1])
handler = next(one for one in logging.getLogger("prefect.flow_runs").handlers if isinstance(one, APILogHandler))
shown = []
for text in planted:
    run = {"flow_run_id": "run-1", "flow_run_name": "r", "flow_name": "f"}
    for name in ("prefect.worker", "uvicorn.error", "tidegate.release", "prefect.task_runs", "httpx"):
        logging.getLogger(name).warning("told %s", text, extra=run)
    try:
        raise ValueError(text)
    except ValueError:
        logging.getLogger("prefect.server").exception("Encountered exception")
        record = logging.LogRecord("prefect.flow_runs", 40, "", 0, "Finished: %s", (text,), sys.exc_info())
        shown.append(handler.format(record))
logging.getLogger("tidegate.release").info("an ordinary line")
print(json.dumps(shown))
"""


def test_lines_of_prefect_uvicorn_and_our_flows_have_one_shape_and_hold_no_secret(tmp_path: Path):
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "PREFECT_HOME": str(tmp_path),
        "PREFECT_LOGGING_SETTINGS_PATH": str(SOURCE_ROOT / "deployments" / "logging" / "prefect.yaml"),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "tidegate",
        # No server is asked here; what would be sent is looked at instead.
        "PREFECT_LOGGING_TO_API_ENABLED": "false",
        "PREFECT_API_AUTH_STRING": "tidegate:swordfish-of-any-shape",
        "TIDEGATE_PROCESS": "worker-control",
        "DO_NOT_TRACK": "1",
    }
    texts = json.dumps([text for text, _ in PLANTED.values()])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, texts],
        env=environment,
        cwd=SOURCE_ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]

    assert len(lines) == 6 * len(PLANTED) + 1
    assert {line["process"] for line in lines} == {"worker-control"}
    assert {line["event"] for line in lines} == {"told %s", "Encountered exception", "an ordinary line"}
    assert all(list(line)[:2] == ["ts", "level"] for line in lines)
    assert {line.get("flow_run_id") for line in lines if line["event"] == "told %s"} == {"run-1"}
    assert {"error.type", "error.stack"} <= set(lines[5]) & set(NAMES)
    found = [kind for kind, (_, secret) in PLANTED.items() if secret in done.stderr or secret in done.stdout]
    assert found == []
    assert len(json.loads(done.stdout)) == len(PLANTED)
