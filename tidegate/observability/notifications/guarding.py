"""Watches the connections that Apprise's plugins make: each goes to an address that was looked at, and ends in time.

A plugin asks for the name of its host anew, follows redirects, and reads an answer for as long as bytes come. All that
goes through one function of urllib3, which nothing else of the notifier uses.
"""

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies

from tidegate.observability.notifications.network import Resolver, Talk, pin, talk
from tidegate.observability.notifications.sending import SendFailed


class Guard:
    """What holds for the connections of one message."""

    def __init__(self, resolver: Resolver, limited: Talk, *, allow_private: bool):
        self._resolver = resolver
        self._limited = limited
        self._allow_private = allow_private
        self.refusal: SendFailed | None = None

    def connect(self, address: tuple[str, int], make: Any, *args: Any, **options: Any) -> Any:
        host, port = address
        made = make((self._pinned(host, port), port), *args, **options)
        self._limited.watch(made)
        return made

    def _pinned(self, host: str, port: int) -> str:
        if host.strip("[]").lower() in _proxies():
            return host
        try:
            return pin(host, port, allow_private=self._allow_private, resolver=self._resolver)
        except SendFailed as error:
            # Plugins say yes or no: the reason goes past them.
            self.refusal = error
            raise


_GUARD: ContextVar[Guard | None] = ContextVar("guard", default=None)


@contextmanager
def guarded(resolver: Resolver, seconds: float, *, allow_private: bool) -> Generator[Guard]:
    """Every connection of urllib3 that this thread makes within the block."""
    _install()
    with talk(seconds) as limited:
        guard = Guard(resolver, limited, allow_private=allow_private)
        token = _GUARD.set(guard)
        try:
            yield guard
        finally:
            _GUARD.reset(token)


@cache
def _install() -> None:
    """Once a process. Whoever uses urllib3 elsewhere has no guard, and notices nothing."""
    from urllib3.util import connection

    real: Any = connection.create_connection

    def create_connection(address: tuple[str, int], *args: Any, **options: Any) -> Any:
        guard = _GUARD.get()
        if guard is None:
            return real(address, *args, **options)
        return guard.connect(address, real, *args, **options)

    connection.create_connection = create_connection


def _proxies() -> set[str]:
    """What whoever runs the notifier has put between it and the world."""
    return {(urlsplit(url).hostname or "").lower() for url in getproxies().values() if "://" in url} - {""}
