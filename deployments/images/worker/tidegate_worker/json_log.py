"""One JSON object a line on standard output: what the platform's log viewers can filter."""

import json
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO


class JsonLog:
    """Safe to use from several threads. `common` fields (set, release, digest) stand on every line."""

    def __init__(self, common: Mapping[str, object], stream: TextIO | None = None):
        self._common = dict(common)
        self._stream = stream or sys.stdout
        self._lock = threading.Lock()

    def info(self, event: str, **fields: object) -> None:
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: Mapping[str, object]) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        line = json.dumps({"ts": now, "level": level, "event": event, **self._common, **fields}, default=str)
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()
