"""Where the lines of a process go: its standard output or error, followed when its log file is renamed under it."""

import io
import json
import logging
import os
import re
import sys
import threading
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from typing import IO, Any

from tidegate.domain import InvalidInput
from tidegate.log_files import LOG_FILE_VARIABLE, PROCESS_VARIABLE, WATCH_VARIABLE, OwnLog, read_line
from tidegate.observability.log_keys import LEVELS
from tidegate.observability.log_lines import json_formatter, timestamp, use_structlog
from tidegate.observability.redaction import Redactor, secrets_of

LEVEL_VARIABLE = "TIDEGATE_LOG_LEVEL"
OTLP_ENDPOINT_VARIABLE = "OTEL_EXPORTER_OTLP_ENDPOINT"
_WATCH_S = 1.0
_LONGEST_PRINTED = 65_536
_PEM_BEGIN, _PEM_END = re.compile(r"-----BEGIN [A-Z0-9 ]{1,60}-----(?!.*-----END )"), "-----END "
_PEM_LINE = re.compile(
    r"\s*(?:[A-Za-z0-9+/=]{1,80}|[A-Za-z-]{1,40}: .{1,200}|-----END [A-Z0-9 ]{1,60}-----.*)?\s*"
)
"""Between its first and last line: base64, a header such as `DEK-Info: ...`, or nothing."""
# One line per request of ours would bury what matters.
_NOISY = ("httpx", "httpcore", "aiohttp.access", "alembic", "apprise")


class LogOutput(logging.StreamHandler[IO[str]]):
    """Writes to the standard output or error that there is now, one whole line at a time."""

    def __init__(
        self,
        stream: str = "stdout",
        own_log: OwnLog | None = None,
        process: Callable[[], str] = str,
        known: tuple[str, ...] = (),
    ):
        super().__init__((sys.__stdout__ if stream == "stdout" else sys.__stderr__) or sys.stderr)
        self._own_log = own_log
        self._redactor = Redactor(known)
        self.setFormatter(json_formatter(process, known))

    def say(self, event: str, logger: str = "tidegate") -> None:
        """A line that must be there whatever level is asked for: others wait for it."""
        self.handle(logging.LogRecord(logger, logging.INFO, "", 0, event, (), None))

    def pass_on(self, line: str) -> None:
        """A line that somebody printed. One in our shape keeps it; it is cleaned all the same."""
        data = read_line(line).data if line.startswith('{"ts":') else None
        if data is None:
            self.say(line.rstrip(), "printed")
            return
        with self.lock or nullcontext():
            self._follow()
            self.stream.write(json.dumps(self._redactor.value(data)) + self.terminator)
            self.flush()

    def emit(self, record: logging.LogRecord) -> None:
        self._follow()
        super().emit(record)

    def _follow(self) -> None:
        if self._own_log is not None:
            self._own_log.follow()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the standard library's name
        """The standard library would print the record's values as they are, past every redaction."""
        error = sys.exc_info()[0]
        line = {
            "ts": timestamp(record.created),
            "level": "error",
            "event": "a line could not be written",
            "logger": record.name,
            "error.type": error.__name__ if error else "",
        }
        try:
            self.stream.write(json.dumps(line) + "\n")
            self.flush()
        except (OSError, ValueError):
            # Nobody is left to be told: the output is closed or its disk is full.
            return


class PrintedLines(io.TextIOBase):
    """Stands where standard output was: what somebody prints becomes lines of the log, in its shape and cleaned.

    A worker passes on what its runs wrote; those lines have the shape already, and stay as they are.
    """

    encoding = "utf-8"

    def __init__(self, output: LogOutput, descriptor: int):
        self._output = output
        self._descriptor = descriptor
        self._lock = threading.RLock()
        self._rest = ""
        self._is_in_pem = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, text: str) -> int:
        with self._lock:
            *whole, self._rest = (self._rest + text).split("\n")
            if len(self._rest) > _LONGEST_PRINTED:
                whole, self._rest = [*whole, self._rest], ""
            for line in whole:
                if not self._is_of_pem(line) and line.strip():
                    self._output.pass_on(line)
        return len(text)

    def _is_of_pem(self, line: str) -> bool:
        """A key that is printed comes line by line: the first tells that it is one, and the others are left out."""
        if self._is_in_pem:
            is_inside = _PEM_LINE.fullmatch(line) is not None
            self._is_in_pem = is_inside and _PEM_END not in line
            return is_inside
        self._is_in_pem = _PEM_BEGIN.search(line) is not None
        return False

    def flush(self) -> None:
        self._output.flush()


class RedactedText(logging.Formatter):
    """A record as text for people, without secrets: for the pages of runs at Prefect's server."""

    def __init__(self) -> None:
        super().__init__("%(message)s")
        self._redactor = Redactor(secrets_of(os.environ))

    def format(self, record: logging.LogRecord) -> str:
        # A traceback that another formatter kept on the record is not taken: it was not cleaned by us.
        text = super().format(logging.makeLogRecord({**record.__dict__, "exc_text": None}))
        return self._redactor.text(text)


def error_line(process: str, event: str, error: BaseException, environment: Mapping[str, str]) -> str:
    """One line about an error, for a file that is no logger's."""
    record = logging.LogRecord(
        "tidegate", logging.ERROR, "", 0, event, (), (type(error), error, error.__traceback__)
    )
    return json_formatter(lambda: process, tuple(secrets_of(environment))).format(record)


def log_as_json(process: str, environment: Mapping[str, str], *, stream: str = "stdout") -> LogOutput:
    """Every logger of this process writes JSON lines from now on; what was set up before is replaced."""
    output = _output(lambda: process, environment, stream)
    root = logging.getLogger()
    for handler in list(root.handlers):
        root.removeHandler(handler)
    root.addHandler(output)
    root.setLevel(_level(environment))
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    use_structlog()
    sys.excepthook = _told_as_line
    threading.excepthook = _told_of_thread
    return output


def _level(environment: Mapping[str, str]) -> int:
    """Raises: InvalidInput."""
    name = environment.get(LEVEL_VARIABLE) or "info"
    if name.lower() not in LEVELS:
        raise InvalidInput(
            f"{LEVEL_VARIABLE} is {name!r}.",
            remedy=f"Give one of: {', '.join(LEVELS)}.",
            field=LEVEL_VARIABLE,
        )
    return logging.getLevelNamesMapping()[name.upper()]


def say_always(line: str) -> None:
    """A line in this process's log whatever its level; on standard output where no log was set up."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, LogOutput):
            handler.say(line)
            return
    print(line, flush=True)


def export_spans_when_asked(process: str, environment: Mapping[str, str]) -> bool:
    """Whether somebody collects spans. Without an endpoint nothing of OpenTelemetry is loaded."""
    if not environment.get(OTLP_ENDPOINT_VARIABLE):
        return False
    from tidegate.observability.tracing import export_spans

    export_spans(process)
    return True


def prefect_output() -> LogOutput:
    """The same for Prefect's processes, whose logging is set up by a file: deployments/logging/prefect.yaml."""
    use_structlog()
    # Asked at each line: a run is forked from a host that was set up under its own name.
    return _output(lambda: os.environ.get(PROCESS_VARIABLE, "prefect"), os.environ, "stderr")


def _output(process: Callable[[], str], environment: Mapping[str, str], stream: str) -> LogOutput:
    path = environment.get(LOG_FILE_VARIABLE)
    own_log = OwnLog.here(path) if path else None
    if own_log is not None and environment.get(WATCH_VARIABLE):
        threading.Thread(target=own_log.watch, args=(_WATCH_S,), name="log-watch", daemon=True).start()
    output = LogOutput(stream, own_log, process, tuple(secrets_of(environment)))
    if own_log is not None:
        # In the stack, where nobody but a program reads it. A terminal keeps what people print to it.
        sys.stdout, sys.stderr = PrintedLines(output, 1), PrintedLines(output, 2)
    return output


def _told_as_line(kind: type[BaseException], error: BaseException, trace: Any) -> None:
    """What ends a process is a line like any other, and redacted like any other."""
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("tidegate").critical("ended by an error", exc_info=(kind, error, trace))


def _told_of_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None and not isinstance(told.exc_value, SystemExit):
        name = told.thread.name if told.thread else ""
        logging.getLogger("tidegate").error(
            "thread %s was ended by an error",
            name,
            exc_info=(told.exc_type, told.exc_value, told.exc_traceback),
        )
