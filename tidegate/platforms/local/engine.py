"""What the local platform asks of an engine. `tidegate.engines.llama_server.LlamaServer` fits it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from tidegate.domain import SetSpec


class Report(Protocol):
    """What an engine says of itself."""

    @property
    def is_ready(self) -> bool: ...

    @property
    def alias(self) -> str | None: ...

    @property
    def message(self) -> str: ...


class Engine(Protocol):
    """A kind of inference engine. Holds no state of any set."""

    def command(self, spec: SetSpec, host: str, port: int) -> list[str]:
        """Command line that serves the set; the digest must stand in it. Raises: NotFound when not installed."""
        ...

    def environment(self, home: Path) -> dict[str, str]:
        """The whole environment of the process."""
        ...

    def probe(self, host: str, port: int, timeout_s: float = ...) -> Report:
        """Health and identity, without raising."""
        ...

    def died_of_memory(self, last_words: str) -> bool:
        """Whether the last lines of its log say that it wanted memory that it did not get."""
        ...

    def metrics(self, host: str, port: int, timeout_s: float = ...) -> dict[str, float]: ...

    def post(
        self, host: str, port: int, path: str, body: Mapping[str, object], timeout_s: float
    ) -> dict[str, object]: ...
