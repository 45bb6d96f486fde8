"""Files of logs: opened for appending, renamed when they are large, forgotten when they are old, read, and told.

Rotation is by renaming: whoever writes goes on into the renamed file, so nothing is lost, and moves to the new one as
soon as it looks (`OwnLog`; Envoy when it is told). Nobody copies and cuts, which loses what is written in between.
"""

import json
import os
import re
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self, cast

MAX_LOG_BYTES = 8 * 1024**2
KEPT_ROTATIONS = 4
KEPT_S = 14 * 86_400.0
TAIL_BLOCK_BYTES = 64 * 1024
READ_BYTES = 1024**2
LOG_FILE_VARIABLE = "TIDEGATE_LOG_FILE"
"""Tells a process which file its standard output and error go to."""
PROCESS_VARIABLE = "TIDEGATE_PROCESS"
"""Tells a process its name in the stack."""
WATCH_VARIABLE = "TIDEGATE_LOG_WATCH"
"""Set for a process that passes on what others say: then a thread looks whether its log was renamed."""


def open_log(path: Path) -> IO[bytes]:
    """A private file that a process may write to after its supervisor is gone."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return os.fdopen(_open(path), "ab")


def _open(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)


def rotate(path: Path, max_bytes: int = MAX_LOG_BYTES, kept: int = KEPT_ROTATIONS) -> bool:
    """Rename the log when it has grown too large, and begin an empty one. Only one process may rotate a file."""
    try:
        if path.stat().st_size <= max_bytes:
            return False
    except FileNotFoundError:
        return False
    for number in range(kept, 1, -1):
        older = _numbered(path, number - 1)
        if older.exists():
            older.replace(_numbered(path, number))
    path.replace(_numbered(path, 1))
    os.close(_open(path))
    return True


def forget_old(
    path: Path, kept: int = KEPT_ROTATIONS, kept_s: float = KEPT_S, now: float | None = None
) -> list[Path]:
    """Remove what was renamed long ago, or stands beyond the number that is kept; the log itself stays."""
    now = time.time() if now is None else now
    removed: list[Path] = []
    for number, found in older_parts(path):
        try:
            is_old = now - found.stat().st_mtime > kept_s
        except FileNotFoundError:
            continue
        if is_old or number > kept:
            found.unlink(missing_ok=True)
            removed.append(found)
    return removed


def bound_logs(folder: Path, max_bytes: int = MAX_LOG_BYTES) -> None:
    """Rename what is large and forget what is old, for every log of a folder. Its writers follow by themselves."""
    for path in log_files(folder):
        rotate(path, max_bytes)
        forget_old(path)


def older_parts(path: Path) -> list[tuple[int, Path]]:
    """Renamed parts of a log, the youngest (number 1) first."""
    found = [
        (int(number), part)
        for part in path.parent.glob(f"{path.name}.*")
        if (number := part.name[len(path.name) + 1 :]).isdecimal()
    ]
    return sorted(found)


def _numbered(path: Path, number: int) -> Path:
    return path.with_name(f"{path.name}.{number}")


@dataclass
class OwnLog:
    """The file that this process's standard output and error go to. `follow` moves them to the new file of that name.

    Only descriptors that pointed to that file are moved: a run that was given a pipe keeps its pipe.
    """

    path: Path
    descriptors: tuple[int, ...]
    identity: tuple[int, int]

    @classmethod
    def here(cls, path: str | Path, descriptors: tuple[int, ...] = (1, 2)) -> Self | None:
        """None when none of the descriptors is a plain file of that name, or of a part of it that was just renamed."""
        named = {_identity(part) for part in (Path(path), _numbered(Path(path), 1))}
        ours = tuple(one for one in descriptors if _identity(one) in named - {None})
        identity = _identity(ours[0]) if ours else None
        return cls(Path(path), ours, identity) if identity is not None else None

    def follow(self) -> bool:
        """Whether the output was moved. Cheap enough for every line: two questions to the kernel."""
        if _identity(self.path) == self.identity:
            return False
        mine = [one for one in self.descriptors if _identity(one) == self.identity]
        if not mine or not self.path.parent.is_dir():
            # A forked run was given another output, or the whole home is gone.
            return False
        opened = _open(self.path)
        try:
            for descriptor in mine:
                os.dup2(opened, descriptor)
            self.identity = _identity(opened) or self.identity
        finally:
            os.close(opened)
        return True

    def watch(self, every_s: float) -> None:
        """Follow for ever: for a process that writes what others say, past its own loggers."""
        while True:
            time.sleep(every_s)
            self.follow()


def _identity(file: Path | int) -> tuple[int, int] | None:
    """Which plain file this is; None for what is missing or no plain file."""
    try:
        found = os.stat(file)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else None


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a log; none when it does not exist."""
    if lines <= 0:
        return []
    try:
        with path.open("rb") as file:
            position = file.seek(0, os.SEEK_END)
            block = b""
            while position > 0 and block.count(b"\n") <= lines:
                step = min(TAIL_BLOCK_BYTES, position)
                position = file.seek(position - step)
                block = file.read(step) + block
                file.seek(position)
    except FileNotFoundError:
        return []
    return block.decode("utf-8", errors="replace").splitlines()[-lines:]


def read_new(path: Path, offset: int) -> tuple[str, int]:
    """Whole lines written after `offset`, and the next offset; starts over when the log was renamed."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(offset if offset <= size else 0)
            start = file.tell()
            block = file.read()
    except FileNotFoundError:
        return "", 0
    end = block.rfind(b"\n") + 1
    return block[:end].decode("utf-8", errors="replace"), start + end


def whole_lines(path: Path) -> Iterator[str]:
    """Every line of one file, in its order; none when it is gone."""
    try:
        with path.open("rb") as file:
            for line in file:
                if line.endswith(b"\n"):
                    yield line.decode("utf-8", errors="replace").rstrip("\r\n")
    except FileNotFoundError:
        return


class Following:
    """Whole lines of a log as they come, each once, across rotations: the renamed part is read to its end first."""

    def __init__(self, path: Path, *, from_end: bool):
        self._path = path
        self._rest = b""
        self._file: IO[bytes] | None = None
        self._open()
        if self._file is not None and from_end:
            self._file.seek(0, os.SEEK_END)

    def read(self) -> Iterator[str]:
        """What was not read yet, little by little: a log may be larger than memory. Take all of it, or no more at all."""
        yield from self._read()
        present = _identity(self._path)
        if self._file is None or (present is not None and present != _identity(self._file.fileno())):
            if self._file is not None and _is_empty(self._path):
                # Nobody has moved to the new file yet: the writer may still be in the old one.
                return
            yield from self._read()
            self.close()
            self._open()
            yield from self._read()

    def is_at(self, path: Path) -> bool:
        """Whether this is the very file that is being read."""
        return self._file is not None and _identity(self._file.fileno()) == _identity(path)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file, self._rest = None, b""

    def _open(self) -> None:
        try:
            self._file = self._path.open("rb")
        except FileNotFoundError:
            self._file = None

    def _read(self) -> Iterator[str]:
        while self._file is not None and (block := self._file.read(READ_BYTES)):
            *whole, self._rest = (self._rest + block).split(b"\n")
            for line in whole:
                yield line.decode("utf-8", errors="replace").rstrip("\r")


def _is_empty(path: Path) -> bool:
    try:
        return not path.stat().st_size
    except FileNotFoundError:
        return True


def log_files(folder: Path) -> Iterator[Path]:
    """Current logs of a folder, by name."""
    yield from sorted(folder.glob("*.log"))


_SHOWN_APART = frozenset({
    "ts", "level", "event", "message", "process", "logger", "org", "service", "error.type", "error.code", "error.message",
    "error.stack", "trace_id", "span_id",
})  # fmt: skip


_SHOWN_OF_OTHERS = frozenset({"release_id", "set", "platform", "flow_run_id", "task_run_id", "request_id"})
"""Prefect puts a dozen names of its own on each of its lines."""


@dataclass(frozen=True)
class Line:
    """One line of one log. `data` is None for what a library printed as it liked."""

    text: str
    data: dict[str, Any] | None

    @property
    def at(self) -> str:
        """UTC as text: sorts by time."""
        return str(self.data.get("ts", "")) if self.data else ""


def read_line(text: str) -> Line:
    if not text.startswith("{"):
        return Line(text, None)
    try:
        data: object = json.loads(text)
    except (ValueError, RecursionError):
        # What somebody else printed, who may have meant to break who reads it.
        return Line(text, None)
    return Line(text, cast("dict[str, Any]", data) if isinstance(data, dict) else None)


_UNSEEN = re.compile(
    r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def visible(text: str) -> str:
    """What others wrote, for a terminal: what would colour, move or turn it around is shown as JSON would write it."""
    return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _indented(text: str) -> str:
    """Several lines as one entry: none of them can be taken for another entry."""
    return "\n    ".join(map(visible, text.split("\n")))


def told(line: Line) -> str:
    """A line for people: when, how bad, who, what; then what else it knows, and its error."""
    data = line.data
    if data is None:
        return visible(line.text)
    head = (
        f"{visible(line.at)}  {visible(str(data.get('level', 'info'))):<7}  {visible(str(data.get('process', ''))):<16}  "
        f"{_indented(_what(data))}"
    )
    is_ours = str(data.get("logger", "tidegate")).startswith("tidegate")
    more = " ".join(
        visible(f"{name}={_short(value)}")
        for name, value in data.items()
        if name not in _SHOWN_APART and value not in ("", None) and (is_ours or name in _SHOWN_OF_OTHERS)
    )
    return "\n".join([f"{head}  {more}".rstrip(), *_error_lines(data)])


def _what(data: dict[str, Any]) -> str:
    where = "/".join(str(data[name]) for name in ("org", "service") if data.get(name))
    said = str(data.get("message") or data.get("event", ""))
    return f"[{where}] {said}" if where else said


def _error_lines(data: dict[str, Any]) -> list[str]:
    if not data.get("error.type"):
        return []
    code = f" [{data['error.code']}]" if data.get("error.code") else ""
    told_error = f"{data['error.type']}{code}: {data.get('error.message', '')}"
    stack = str(data.get("error.stack", "")).rstrip()
    return [f"    {_indented(one)}" for one in (told_error, stack) if one]


def _short(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
