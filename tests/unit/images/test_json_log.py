"""The worker's log: the keys of every process, and no secret, with nothing but the standard library."""

import io
import json
import re
from pathlib import Path
from types import ModuleType

import pytest

from tests.unit.observability.planted import PLANTED
from tidegate.access import secret_shapes
from tidegate.correlation import identifiers
from tidegate.observability import redaction
from tidegate.observability.log_keys import LEVELS, NAMES
from tidegate_worker import identifiers as copied_identifiers
from tidegate_worker import redaction as copied_redaction
from tidegate_worker import secret_shapes as copied_shapes
from tidegate_worker.json_log import JsonLog

ENVIRONMENT = {"RUNPOD_SECRET_TOKEN": "swordfish-of-any-shape"}


@pytest.mark.parametrize(
    ("ours", "copied"),
    [
        (redaction, copied_redaction),
        (secret_shapes, copied_shapes),
        (identifiers, copied_identifiers),
    ],
)
def test_the_worker_takes_out_secrets_as_every_other_process_does(ours: ModuleType, copied: ModuleType):
    """Its image holds no `tidegate`, so that it holds copies, which differ in where they import from."""
    text = re.sub(
        r"tidegate\.(access|observability|correlation)\.(?=secret_shapes|redaction|identifiers)",
        "tidegate_worker.",
        Path(str(ours.__file__)).read_text(),
    )
    assert Path(str(copied.__file__)).read_text() == text


def test_a_line_begins_with_the_keys_of_every_process():
    stream = io.StringIO()
    JsonLog({"set": "a--b--c", "release_id": "r-1", "flow_run_id": ""}, stream, {}).warning(
        "draining", limit_s=3
    )
    line = json.loads(stream.getvalue())

    assert list(line)[:6] == ["ts", "level", "event", "process", "set", "release_id"]
    assert set(line) - {"limit_s"} <= set(NAMES)
    assert line["level"] in LEVELS
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["ts"])


@pytest.mark.parametrize("kind", PLANTED)
def test_no_planted_secret_is_in_a_worker_s_line(kind: str):
    text, secret = PLANTED[kind]
    stream = io.StringIO()
    log = JsonLog({"worker": text}, stream, ENVIRONMENT)
    log.info("engine_said", line=text)
    log.error("failed", engine_tail=[text, text.encode()], context={"a": {text: 1}})

    assert secret not in stream.getvalue()
    assert len(stream.getvalue().splitlines()) == 2
