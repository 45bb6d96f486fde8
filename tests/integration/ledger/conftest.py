"""Ledgers on both databases, each test with an empty one of its own."""

import importlib.util
import itertools
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from sqlalchemy import create_engine, text

import tidegate
from tidegate.ledger import Ledger


class Clock:
    """Noon, until a test moves it."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 26, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def _load(name: str) -> ModuleType:
    """A module beside this file: test folders are no packages."""
    spec = importlib.util.spec_from_file_location(f"ledger_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def postgres():
    server = _load("postgres_server").PostgresServer.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ledger") / "template.sqlite3"
    Ledger.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def postgres_url(postgres) -> str:
    """Tests take turns with one database, which is far quicker to empty than to make."""
    url = postgres.create_database("ledger")
    Ledger.open(url).close()
    return url


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    return itertools.count(1)


@pytest.fixture(params=["sqlite", "postgresql"])
def backend(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a database with the present schema and no rows."""
    if backend == "sqlite":
        path = tmp_path / "ledger.sqlite3"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    yield request.getfixturevalue("postgres_url")
    request.getfixturevalue("postgres").empty("ledger")


@pytest.fixture
def empty_url(backend: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Of a database without any table."""
    if backend == "sqlite":
        yield f"sqlite:///{tmp_path / 'new' / 'ledger.sqlite3'}"
        return
    server, name = request.getfixturevalue("postgres"), f"ledger_{next(request.getfixturevalue('numbers'))}"
    yield server.create_database(name)
    server.drop_database(name)


@pytest.fixture
def open_ledger(url: str) -> Iterator[Callable[..., Ledger]]:
    opened: list[Ledger] = []

    def open_one(**options: object) -> Ledger:
        opened.append(Ledger.open(url, **options))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()


@pytest.fixture
def ledger(open_ledger: Callable[..., Ledger]) -> Ledger:
    return open_ledger()


class Rivals:
    """Runs jobs of `rivals.py` in processes that all start at one moment."""

    def __init__(self) -> None:
        program = str(Path(__file__).with_name("rivals.py"))
        self._process = subprocess.Popen(
            [sys.executable, program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(tidegate.__file__).parents[1])},
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    def run(self, url: str, *jobs: list[Any], kill: tuple[int, float] | None = None) -> list[dict[str, Any]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if url.startswith("sqlite:"):
            # What is lost is asked here, not how long the last of eight writers waits for its turn.
            url += "?timeout=120"
        command = {"url": url, "jobs": jobs, "kill": kill}
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def results(self, url: str, *jobs: list[Any]) -> list[Any]:
        """What each job returned; none may fail."""
        told = self.run(url, *jobs)
        assert all("result" in one for one in told), told
        return [one["result"] for one in told]

    def stop(self) -> None:
        self._process.communicate()


@pytest.fixture(scope="session")
def rivals() -> Iterator[Rivals]:
    started = Rivals()
    yield started
    started.stop()


@pytest.fixture(scope="session")
def revision_of() -> Callable[[str], str]:
    """The schema that a database says it has."""

    def read(url: str) -> str:
        engine = create_engine(url)
        with engine.connect() as connection:
            revision = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one()
        engine.dispose()
        return revision

    return read
