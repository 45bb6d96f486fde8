"""Translates what the database driver raises into the domain's errors, once, by code and never by text.

TG-1100 the database is locked or busy         TG-1101 it cannot be reached, or lacks room
TG-2100 it refused a statement (a defect)      TG-3100 its file or schema is not usable as it is
"""

from dataclasses import dataclass

from sqlalchemy.exc import InterfaceError, OperationalError, StatementError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tidegate.domain import NeedsOperator, Permanent, TidegateError, Transient

# https://www.sqlite.org/rescode.html, primary codes
SQLITE_BUSY = {5, 6, 9}  # busy, locked, stopped because it took too long
SQLITE_UNREACHABLE = {10, 13, 14}  # input/output error, disk full, cannot open
SQLITE_UNUSABLE = {3, 8, 11, 26}  # no permission, read only, corrupt, not a database
# https://www.postgresql.org/docs/current/errcodes-appendix.html
POSTGRES_BUSY = {"40001", "40P01", "55P03", "57014", "25P03"}
POSTGRES_UNREACHABLE_CLASSES = {"08", "53", "57", "58"}
POSTGRES_UNUSABLE_CLASSES = {"28", "3D", "42", "XX", "25"}


@dataclass(frozen=True)
class Place:
    """Where the ledger is, as it may be shown, and the texts that may not."""

    text: str
    secrets: tuple[str, ...] = ()

    def scrub(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text

    def exposes(self, error: BaseException) -> bool:
        return any(secret in str(error) for secret in self.secrets)


def translate(error: Exception, place: Place) -> TidegateError:
    """The domain's error for one of SQLAlchemy or of a driver."""
    origin = error.orig if isinstance(error, StatementError) and error.orig is not None else error
    said = place.scrub(str(origin).strip().partition("\n")[0])
    if _is_busy(error, origin):
        return Transient(
            f"The ledger at {place.text} is busy: {said}.",
            remedy="Try again; if it lasts, look for a process that holds a transaction open.",
            code="TG-1100",
        )
    if _is_unusable(origin):
        return NeedsOperator(
            f"The ledger at {place.text} cannot be used: {said}.",
            remedy="Check its permissions and credentials, or restore it from a backup.",
            code="TG-3100",
        )
    if _is_unreachable(error, origin):
        return Transient(
            f"The ledger at {place.text} cannot be reached: {said}.",
            remedy="Check that the database runs and has room, and its address and credentials in TIDEGATE_LEDGER_URL.",
            code="TG-1101",
        )
    return Permanent(
        f"The ledger at {place.text} refused a statement: {said}.",
        remedy="This is a defect of Tidegate or of the schema; report it with this message.",
        code="TG-2100",
    )


def _is_busy(error: Exception, origin: BaseException) -> bool:
    return (
        isinstance(error, PoolTimeout)
        or _sqlite_code(origin) in SQLITE_BUSY
        or _sqlstate(origin) in POSTGRES_BUSY
    )


def _is_unusable(origin: BaseException) -> bool:
    return _sqlite_code(origin) in SQLITE_UNUSABLE or _sqlstate(origin)[:2] in POSTGRES_UNUSABLE_CLASSES


def _is_unreachable(error: Exception, origin: BaseException) -> bool:
    if _sqlite_code(origin) in SQLITE_UNREACHABLE or _sqlstate(origin)[:2] in POSTGRES_UNREACHABLE_CLASSES:
        return True
    # A server that never answered gave no code. SQLite always gives one.
    has_no_code = _sqlite_code(origin) is None and not _sqlstate(origin)
    return has_no_code and isinstance(error, OperationalError | InterfaceError)


def _sqlite_code(origin: BaseException) -> int | None:
    """The primary code: extended ones keep it in their low byte."""
    code = getattr(origin, "sqlite_errorcode", None)
    return code & 0xFF if isinstance(code, int) else None


def _sqlstate(origin: BaseException) -> str:
    return getattr(origin, "sqlstate", None) or ""
