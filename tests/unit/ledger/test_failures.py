"""Errors of the drivers become the domain's, by code, and never show a password."""

import sqlite3
import traceback

import pytest
from sqlalchemy.exc import IntegrityError, InterfaceError, OperationalError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tidegate.domain import InvalidInput, NeedsOperator, Permanent, Transient
from tidegate.ledger import Ledger
from tidegate.ledger.failures import Place, translate

PLACE = Place("postgresql://db/ledger", ("hunter2",))


class DriverError(Exception):
    """As psycopg's and sqlite3's: the code is an attribute."""

    def __init__(self, text: str = "it failed", *, sqlstate: str | None = None, sqlite: int | None = None):
        super().__init__(text)
        self.sqlstate = sqlstate
        if sqlite is not None:
            self.sqlite_errorcode = sqlite


@pytest.mark.parametrize(
    ("origin", "expected", "code"),
    [
        (DriverError(sqlite=sqlite3.SQLITE_BUSY), Transient, "TG-1100"),
        (DriverError(sqlite=sqlite3.SQLITE_BUSY_SNAPSHOT), Transient, "TG-1100"),
        (DriverError(sqlite=sqlite3.SQLITE_LOCKED), Transient, "TG-1100"),
        (DriverError(sqlite=sqlite3.SQLITE_IOERR_FSYNC), Transient, "TG-1101"),
        (DriverError(sqlite=sqlite3.SQLITE_FULL), Transient, "TG-1101"),
        (DriverError(sqlite=sqlite3.SQLITE_CANTOPEN), Transient, "TG-1101"),
        (DriverError(sqlite=sqlite3.SQLITE_CORRUPT), NeedsOperator, "TG-3100"),
        (DriverError(sqlite=sqlite3.SQLITE_NOTADB), NeedsOperator, "TG-3100"),
        (DriverError(sqlite=sqlite3.SQLITE_READONLY), NeedsOperator, "TG-3100"),
        (DriverError(sqlite=sqlite3.SQLITE_ERROR), Permanent, "TG-2100"),
        (DriverError(sqlstate="40P01"), Transient, "TG-1100"),
        (DriverError(sqlstate="55P03"), Transient, "TG-1100"),
        (DriverError(sqlstate="57P01"), Transient, "TG-1101"),
        (DriverError(sqlstate="08006"), Transient, "TG-1101"),
        (DriverError(sqlstate="53300"), Transient, "TG-1101"),
        (DriverError(sqlstate=None), Transient, "TG-1101"),
        (DriverError(sqlstate="28P01"), NeedsOperator, "TG-3100"),
        (DriverError(sqlstate="42P01"), NeedsOperator, "TG-3100"),
    ],
)
def test_a_code_of_the_driver_decides(origin, expected, code):
    told = translate(OperationalError("SELECT 1", {}, origin), PLACE)
    assert type(told) is expected
    assert told.code == code
    assert told.remedy


def test_what_the_database_forbids_is_a_defect():
    for kind in (IntegrityError, ProgrammingError):
        told = translate(kind("INSERT", {}, DriverError(sqlstate="23505")), PLACE)
        assert (type(told), told.code) == (Permanent, "TG-2100")


def test_a_connection_that_broke_without_a_code_is_unreachable():
    told = translate(InterfaceError("SELECT 1", {}, DriverError()), PLACE)
    assert told.code == "TG-1101"


def test_no_free_connection_is_busy():
    assert translate(PoolTimeout("limit reached"), PLACE).code == "TG-1100"


def test_a_password_that_the_driver_quotes_is_hidden():
    error = OperationalError("SELECT 1", {}, DriverError("no entry for hunter2 at db"))
    told = translate(error, PLACE)
    assert "no entry for *** at db" in str(told)
    assert PLACE.exposes(error)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("hunter2", "cannot be read"),
        ("postgresql+psycopg://me:hunter2@db:port/x", "cannot be read"),
        ("mysql://me:hunter2@db/x", "'mysql'"),
        ("postgresql+asyncpg://me:hunter2@db/x", "'postgresql\\+asyncpg'"),
        ("sqlite://", "memory"),
        ("sqlite:///:memory:", "memory"),
    ],
)
def test_an_url_that_cannot_hold_a_ledger_is_refused_without_its_password(url, message):
    with pytest.raises(InvalidInput, match=message) as caught:
        Ledger.open(url)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in str(caught.value.as_dict())
