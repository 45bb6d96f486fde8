"""One JSON object a line on standard output: what the platform's log viewers can filter.

Standard library only, and the same keys as every other process of Tidegate (docs/logging.md).
"""

import json
import os
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

from tidegate_worker.redaction import Redactor, secrets_of

PROCESS = "worker"


class JsonLog:
    """Safe to use from several threads. `common` fields (set, release, digest) stand on every line."""

    def __init__(
        self,
        common: Mapping[str, object],
        stream: TextIO | None = None,
        environment: Mapping[str, str] = os.environ,
    ):
        self._common = {name: value for name, value in common.items() if value != ""}
        self._stream = stream or sys.stdout
        self._lock = threading.Lock()
        self._redactor = Redactor(secrets_of(environment))

    def info(self, event: str, **fields: object) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        head = {"ts": now, "level": level, "event": event, "process": PROCESS}
        # What the engine says, and what an address holds, was written by others.
        line = json.dumps({**head, **self._redactor.value({**self._common, **fields})}, default=str)
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()
