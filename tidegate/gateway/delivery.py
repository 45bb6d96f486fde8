"""One file into a running Envoy, by rename, until Envoy says that it took or refused it."""

import time
from pathlib import Path

from tidegate.domain import Permanent, Transient
from tidegate.gateway.admin import Admin
from tidegate.gateway.config import GatewayConfig
from tidegate.gateway.files import read_bytes, read_json, write_whole
from tidegate.gateway.listener import Json
from tidegate.gateway.render import encode

ACK_POLL_S = 0.003


class Delivery:
    """For one thread; two threads may deliver different files, each with its own `Admin`."""

    def __init__(self, config: GatewayConfig, admin: Admin):
        self._config = config
        self._admin = admin

    def is_new(self, name: str, wanted: Json) -> bool:
        """Whether the file on disk says something else."""
        current = read_json(self._config.path(name))
        return current is None or current.get("resources") != wanted["resources"]

    def push(self, name: str, wanted: Json) -> bool:
        """Bring one file into Envoy; True when it had to change. A refused one is replaced by the former."""
        path = self._config.path(name)
        before = read_bytes(path)
        current = read_json(path)
        if current is not None and current.get("resources") == wanted["resources"]:
            if self._admin.version(name) == current.get("version_info"):
                return False
            wanted = current
        refusals = self._admin.refusals(name)
        log_end = _size(self._config.envoy_log)
        write_whole(path, encode(wanted))
        version = str(wanted["version_info"])
        try:
            self._await_version(name, version, refusals)
        except Permanent:
            self._restore(name, before)
            reason = _refusal_reason(self._config.envoy_log, log_end)
            raise Permanent(
                f"Envoy refused {name} ({version}): {reason}",
                remedy="The former configuration stays live. Correct the route or report a defect.",
            ) from None
        except Transient:
            self._restore(name, before)
            raise
        return True

    def _await_version(self, name: str, version: str, refusals: int) -> None:
        deadline = time.monotonic() + self._config.acknowledge_s
        while self._admin.version(name) != version:
            if self._admin.refusals(name) > refusals:
                raise Permanent(
                    f"Envoy refused {name}.",
                    remedy="Report this with the gateway's log: Tidegate rendered what Envoy does not take.",
                )
            if time.monotonic() > deadline:
                raise Transient(
                    f"Envoy did not take {name} within {self._config.acknowledge_s:g} s.",
                    remedy="It is tried again.",
                )
            time.sleep(ACK_POLL_S)

    def _restore(self, name: str, content: bytes | None) -> None:
        if content is not None:
            write_whole(self._config.path(name), content)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _refusal_reason(log: Path, start: int) -> str:
    """Envoy's own words. Only of a rejection: after a failure to read, the log repeats the file's content."""
    if not log.exists():
        return "see envoy.log"
    with log.open("rb") as file:
        file.seek(start)
        lines = file.read().decode(errors="replace").splitlines()
    reasons = [line.split("rejected:", 1)[1].strip() for line in lines if "rejected:" in line]
    return reasons[-1][:500] if reasons else "see envoy.log"
