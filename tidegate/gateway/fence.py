"""The highest generation and epochs that this gateway ever saw. It never goes back below them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tidegate.domain import Fenced, Route, ServiceRef
from tidegate.gateway.files import read_json, write_whole


class Fence:
    """Remembers across restarts; forget it only by removing its file, as a deliberate act of an operator."""

    def __init__(self, path: Path):
        self._path = path
        stored: dict[str, Any] = read_json(path) or {}
        self.generation = int(stored.get("generation", 0))
        self._seen: dict[str, tuple[int, int]] = {
            service: (int(epoch), int(generation))
            for service, (epoch, generation) in stored.get("seen", {}).items()
        }

    def check_generation(self, generation: int) -> None:
        """Raises: Fenced when the source is behind what this gateway already saw."""
        if generation < self.generation:
            raise Fenced(
                f"The source offers generation {generation}, but {self.generation} was seen before.",
                remedy=f"If the ledger was restored on purpose, stop the gateway and remove {self._path}.",
                offered=generation,
                seen=self.generation,
            )

    def refusals(self, routes: Sequence[Route]) -> dict[ServiceRef, str]:
        """Services whose route is older than one seen before, and why."""
        refused: dict[ServiceRef, str] = {}
        for route in routes:
            ref = ServiceRef(route.org, route.service)
            epoch, generation = self._seen.get(str(ref), (0, 0))
            if route.epoch < epoch:
                refused[ref] = f"epoch {route.epoch} is older than {epoch}"
            elif route.generation < generation:
                refused[ref] = f"generation {route.generation} is older than {generation}"
        return refused

    def remember(self, routes: Sequence[Route], generation: int) -> None:
        """Raise the marks; written before the routes are used, so that a crash cannot lower them."""
        before = (self.generation, dict(self._seen))
        self.generation = max(self.generation, generation)
        for route in routes:
            key = str(ServiceRef(route.org, route.service))
            epoch, seen = self._seen.get(key, (0, 0))
            self._seen[key] = (max(epoch, route.epoch), max(seen, route.generation))
        if (self.generation, self._seen) != before:
            write_whole(self._path, json.dumps({"generation": self.generation, "seen": self._seen}).encode())
