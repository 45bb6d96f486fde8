"""An error that ended a command is kept in the ledger, when there is one: after it was told, and whatever comes of it."""

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Generator

    from tidegate.ledger import Ledger

LEDGER_URL_OF_A_FILE = "sqlite:///"
log = logging.getLogger(__name__)


def note_error(error: Exception, place: str) -> None:
    """Never raises. A command that failed makes no ledger, and waits for none that does not answer."""
    try:
        _note(error, place)
    except Exception as problem:  # noqa: BLE001 - the error was told already; this one would hide it
        log.debug("not kept: %s", type(problem).__name__)


@contextmanager
def existing_ledger() -> "Generator[Ledger | None]":
    """The ledger of this installation; None where there is none yet, which nothing here makes."""
    from pathlib import Path

    from tidegate.settings import load_settings

    url = load_settings().ledger_url
    if url.startswith(LEDGER_URL_OF_A_FILE) and not Path(url.removeprefix(LEDGER_URL_OF_A_FILE)).is_file():
        yield None
        return
    from tidegate.ledger import Ledger

    with Ledger.open(url) as ledger:
        yield ledger


def _note(error: Exception, place: str) -> None:
    from tidegate.domain import TidegateError
    from tidegate.observability.concealing import conceal
    from tidegate.observability.error_recorder import LEDGER_TROUBLE, ErrorRecorder

    if isinstance(error, TidegateError) and error.code in LEDGER_TROUBLE:
        return
    with existing_ledger() as ledger:
        if ledger is not None:
            ErrorRecorder(ledger, conceal)(error, place)
