"""Sets played by processes of `fake_upstream.py`."""

import json
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidegate.domain import Upstream

FAKE_UPSTREAM = Path(__file__).with_name("fake_upstream.py")
DEADLINE_S = 60.0


@dataclass(frozen=True, eq=False)
class FakeSet:
    """A process that plays one set."""

    name: str
    process: subprocess.Popen[str]
    port: int
    is_secure: bool = False
    address: dict[str, Any] = field(default_factory=dict)
    """What differs from a plain set on this host."""

    @property
    def upstream(self) -> Upstream:
        usual = {
            "set_name": self.name,
            "host": "127.0.0.1",
            "port": self.port,
            "digest": "a" * 64,
            "release_id": f"rel-{self.name}",
        }
        return Upstream.model_validate({**usual, **self.address})

    def behave(self, mode: str) -> list[str]:
        """Change what it does; returns the paths that it was asked for so far."""
        scheme = "https" if self.is_secure else "http"
        # Its name is not what this talk is about.
        trusting = ssl._create_unverified_context()
        url = f"{scheme}://127.0.0.1:{self.port}/control?mode={mode}"
        with urllib.request.urlopen(url, data=b"", context=trusting) as reply:
            return json.load(reply)["asked"]

    def kill(self) -> None:
        self.process.kill()
        self.end()

    def end(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()
        self.process.wait(DEADLINE_S)


def start_fake_set(name: str, port: int = 0, certificate: Sequence[Path] = (), **address: Any) -> FakeSet:
    process = subprocess.Popen(
        [sys.executable, str(FAKE_UPSTREAM), name, str(port), *map(str, certificate)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return FakeSet(name, process, int(process.stdout.readline()), bool(certificate), address)
