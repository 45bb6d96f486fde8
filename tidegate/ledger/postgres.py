"""PostgreSQL behind SQLAlchemy: every connection and every answer has a limit, on this side of the network too.

The server's own limits do not help whoever waits for a server that is stopped, or for a network that is gone.
"""

import time
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Engine, create_engine, event

from tidegate.domain import NeedsOperator

if TYPE_CHECKING:
    from psycopg import Connection

LOCK_TIMEOUT_S = 10
CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_S = 30
ANSWER_TIMEOUT_S = STATEMENT_TIMEOUT_S + 5
"""A server that still runs has ended the statement by itself before."""
DEAD_NETWORK = {
    "keepalives": 1,
    "keepalives_idle": 4,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 8_000,
}
"""A peer that is silent for 8 s is gone: below the lease of a release's owner (10 s)."""


def postgres_engine(
    url: URL, serializer: Callable[[Any], str], *, answer_s: float = ANSWER_TIMEOUT_S
) -> Engine:
    """The time limits also free a service whose owner was stopped in the middle of a transaction. What the URL says
    itself goes before ours. Raises: NeedsOperator without a driver."""
    limits = (
        f"-c lock_timeout={LOCK_TIMEOUT_S}s -c statement_timeout={STATEMENT_TIMEOUT_S}s "
        f"-c idle_in_transaction_session_timeout={STATEMENT_TIMEOUT_S}s -c timezone=utc"
    )
    given = url.normalized_query
    ours = {"connect_timeout": CONNECT_TIMEOUT_S, **DEAD_NETWORK}
    chosen = {name: value for name, value in ours.items() if name not in given}
    options = " ".join((limits, *given.get("options", ())))
    try:
        engine = create_engine(
            url,
            connect_args={**chosen, "options": options},
            pool_pre_ping=True,
            hide_parameters=True,
            json_serializer=serializer,
        )
        connection = _impatient(answer_s)
    except ModuleNotFoundError as error:
        raise NeedsOperator(
            "PostgreSQL needs a driver that is not installed.",
            remedy="Install tidegate[postgres].",
            code="TG-3101",
        ) from error

    def connect(_dialect: object, _record: object, args: tuple[Any, ...], told: dict[str, Any]) -> object:
        return connection.connect(*args, **told)

    event.listen(engine, "do_connect", connect)
    return engine


def _impatient(answer_s: float) -> "type[Connection[Any]]":
    """A connection that is closed when an answer does not come in time: what it was doing is then unknown."""
    from psycopg import Connection, OperationalError

    class Impatient(Connection[Any]):
        def wait(self, gen: Generator[Any, Any, Any], *args: Any, **more: Any) -> Any:
            return super().wait(self._limited(gen), *args, **more)

        def _limited(self, waiting: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
            """The driver asks again ten times a second whether it may go on."""
            deadline = time.monotonic() + answer_s
            try:
                wanted = next(waiting)
                while True:
                    ready = yield wanted
                    if not ready and time.monotonic() > deadline:
                        self.close()
                        raise OperationalError(f"no answer within {answer_s:g} s")
                    wanted = waiting.send(ready)
            except StopIteration as end:
                return end.value

    return Impatient
