"""Lines of a pod in the log of its flow run, without those that Prefect has sent already, and without credentials."""

import logging
import re
from collections.abc import Iterable

from deployments.runpod_worker.watching import END_MARK
from tidegate.platforms.runpod.replies import LogLine

# What Prefect's engine prints it also sends to the server itself.
PREFECT_LINE = re.compile(r"^\d{2}:\d{2}:\d{2}\.\d{3} \| [A-Z]+ +\| ")
MAX_LINE_CHARS = 2000
HIDDEN = "***"
TAIL_LINES = 20


class PodReport:
    """Tells a run's log what its pod says, and keeps the last lines as evidence."""

    def __init__(self, log: "logging.Logger | logging.LoggerAdapter[logging.Logger]", secrets: Iterable[str]):
        self._log = log
        self._secrets = sorted({secret for secret in secrets if secret}, key=len, reverse=True)
        self._tail: list[str] = []

    def tell(self, lines: Iterable[LogLine]) -> None:
        for line in lines:
            text = self._clean(line.line)
            if not text or END_MARK in text:
                continue
            self._tail = [*self._tail[-TAIL_LINES + 1 :], text]
            if not PREFECT_LINE.match(text):
                self._log.info("%s: %s", line.source or "pod", text)

    def failed(self, pod_id: str, why: str) -> None:
        """Why a pod did not do its work, with what it said last."""
        said = "\n".join(self._tail) or "(nothing)"
        self._log.error("Pod %s %s. It said last:\n%s", pod_id, why, said)

    def _clean(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text[:MAX_LINE_CHARS]
