"""A database that goes silent: nobody who waits for it waits for ever, and what it answers later is not mixed up."""

import json
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError

from tidegate.domain import Transient
from tidegate.ledger.failures import Place, translate
from tidegate.ledger.postgres import DEAD_NETWORK, postgres_engine


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def test_an_answer_that_does_not_come_is_an_error_and_the_next_question_has_a_connection_of_its_own(
    postgres_url,
):
    engine = postgres_engine(make_url(postgres_url), json.dumps, answer_s=0.2)
    with engine.connect() as connection:
        backend = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with stopped(backend), pytest.raises(OperationalError, match="no answer within") as told:
            connection.execute(text("SELECT 1"))
    assert isinstance(translate(told.value, Place("here")), Transient)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT pg_backend_pid()")).scalar_one() != backend
    engine.dispose()


def test_a_long_answer_that_comes_in_time_is_taken(postgres_url):
    engine = postgres_engine(make_url(postgres_url), json.dumps, answer_s=30)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT 1 FROM pg_sleep(0.3)")).scalar_one() == 1
    engine.dispose()


@pytest.mark.parametrize(
    ("said", "idle_s"), [({}, DEAD_NETWORK["keepalives_idle"]), ({"keepalives_idle": "77"}, 77)]
)
def test_a_network_that_is_gone_ends_a_connection_by_itself_and_the_url_may_say_when(
    postgres_url, said, idle_s
):
    engine = postgres_engine(make_url(postgres_url).update_query_dict(said), json.dumps)
    with engine.connect() as connection:
        number = connection.connection.dbapi_connection.fileno()
        with socket.socket(fileno=os.dup(number)) as opened:
            assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            idle = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE)
            unheard = opened.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT)
    assert (idle, unheard) == (idle_s, DEAD_NETWORK["tcp_user_timeout"])
    engine.dispose()
