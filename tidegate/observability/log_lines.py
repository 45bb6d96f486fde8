"""One JSON object a line from whatever a process logs: our own records, structlog's, and those of libraries.

The only module that knows structlog. Rooms log through the standard library, so that none of them depends on this one;
`extra=` gives a line further keys. What this does to a record: names its keys, adds what is bound
(`tidegate.correlation`), tells its error without values of variables, and takes secrets out, last.
"""

import json
import logging
import time
import traceback
from collections.abc import Callable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, cast

import structlog

from tidegate.correlation import current
from tidegate.observability.log_keys import ORDER
from tidegate.observability.redaction import Redactor

Event = MutableMapping[str, Any]
_MOST_STACK_CHARS = 12_000
_INNER = frozenset({"_record", "_from_structlog", "exc_info", "stack_info", "color_message", "extra"})
"""What bridges and libraries leave on a record for themselves."""


def json_formatter(process: Callable[[], str], known: tuple[str, ...] = ()) -> logging.Formatter:
    """A formatter for any handler of the standard library. `known`: values that must never be written."""
    redactor = Redactor(known)
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder()],
        processors=[
            _named(process),
            _with_error(redactor),
            _with_bound,
            lambda logger, name, event: redactor.value(event),
            _as_json,
        ],
        use_get_message=False,
        pass_foreign_args=True,
    )


def use_structlog() -> None:
    """Loggers of structlog write through the standard library, and so come out in the same shape."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.contextvars.merge_contextvars,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )


def timestamp(seconds: float) -> str:
    """UTC with milliseconds."""
    whole = int(seconds)
    thousandths = min(999, int((seconds - whole) * 1000))
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{thousandths:03d}Z"


def _named(process: Callable[[], str]) -> Callable[[Any, str, Event], Event]:
    def name(logger: Any, method: str, event: Event) -> Event:
        record: logging.LogRecord = event["_record"]
        told, values = event.pop("event", ""), event.pop("positional_args", None)
        texts = {"event": str(told)} if event["_from_structlog"] else _texts_of(record, values)
        event.update(
            {
                "ts": timestamp(record.created),
                "level": record.levelname.lower(),
                "process": process(),
                "logger": record.name,
                **texts,
            }
        )
        return event

    return name


def _texts_of(record: logging.LogRecord, values: Any) -> dict[str, str]:
    """The fixed text of a record, and what it says with its values where it has some."""
    template = str(record.msg).rstrip()
    if not values:
        return {"event": template}
    try:
        return {"event": template, "message": template % values}
    except Exception as error:  # noqa: BLE001
        # A wrong number of values is a defect of the caller; its values still must not be printed raw.
        return {"event": template, "message": f"values that do not fit: {type(error).__name__}"}


def _with_error(redactor: Redactor) -> Callable[[Any, str, Event], Event]:
    def tell(logger: Any, method: str, event: Event) -> Event:
        error = _error_of(event.get("exc_info"))
        if error is not None:
            event["error.type"] = type(error).__name__
            event["error.message"] = _message_of(error)
            event["error.stack"] = redactor.end_of(_stack_of(error), _MOST_STACK_CHARS)
            code = getattr(error, "code", None)
            if isinstance(code, str):
                event["error.code"] = code
        stack = event.get("stack_info")
        if stack:
            event["stack"] = str(stack)
        for name in _INNER & event.keys():
            del event[name]
        return event

    return tell


def _error_of(exc_info: object) -> BaseException | None:
    if isinstance(exc_info, BaseException):
        return exc_info
    if isinstance(exc_info, tuple):
        _, error, _ = cast(
            "tuple[type[BaseException] | None, BaseException | None, TracebackType | None]", exc_info
        )
        return error
    return None


def _message_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # noqa: BLE001
        return f"<an error that cannot be told: {type(broken).__name__}>"


def _stack_of(error: BaseException) -> str:
    """The calls and the causes. Never `capture_locals`: a frame holds whatever a function was given."""
    return "".join(traceback.TracebackException.from_exception(error, capture_locals=False).format())


def _with_bound(logger: Any, method: str, event: Event) -> Event:
    for name, value in current().items():
        # Prefect's own loggers carry the run on the record, and know it better than anybody.
        if event.get(name) in (None, ""):
            event[name] = value
    return event


def _as_json(logger: Any, method: str, event: Mapping[str, Any]) -> str:
    ordered = sorted(event, key=lambda name: (ORDER.get(name, len(ORDER)), name))
    # Escaped to ASCII: no line separator, control character or lone surrogate can end a line or break a reader.
    return json.dumps({name: event[name] for name in ordered}, default=str)
