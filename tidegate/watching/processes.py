"""Sees the processes of this host: what the supervisor wrote of them, and what each says of itself."""

from collections.abc import Iterator

import httpx

from tidegate.domain.health import Health, Judgement, Part
from tidegate.observability.health.endpoint import SUFFIX, Answered, ask, socket_of
from tidegate.settings import Settings
from tidegate.stack.launching import running_stack
from tidegate.stack.record import ProcessRecord, StackRecord
from tidegate.stack.specification import SATISFIED

ASK_TIMEOUT_S = 5.0
TOLD_BY_URL = frozenset({"console", "exporter"})
"""They answer HTTP anyway, and tell of themselves there."""


def judge_processes(settings: Settings) -> Judgement:
    """Of the embedded stack, and whatever else of ours answers on a socket of this home."""
    record = running_stack(settings.home)
    parts = list(_of_stack(settings, record)) if record else []
    named = {part.name for part in parts}
    parts += [
        _said(ask(path, path.name.removesuffix(SUFFIX)))
        for path in sorted(settings.runtime_dir.glob(f"*{SUFFIX}"))
        if path.name.removesuffix(SUFFIX) not in named
    ]
    if not parts:
        return Judgement(Health.UNKNOWN, "no process of this home runs", "Run: tidegate up.")
    return Judgement.of(parts, {"ready": float(sum(part.health is Health.OK for part in parts))})


def _of_stack(settings: Settings, record: StackRecord) -> Iterator[Part]:
    for process in record.processes:
        if process.status not in SATISFIED:
            text = f"{process.status.value}, last exit: {process.last_exit or 'none'}"
            yield Part(process.name, Health.FAILED, text, f"See: tidegate logs {process.name}.")
            continue
        socket = socket_of(settings.runtime_dir, process.name)
        url = record.urls.get(process.name)
        if socket.exists():
            yield _said(ask(socket, process.name))
        elif process.name in TOLD_BY_URL and url:
            yield _said(_ask_url(process.name, url))
        else:
            yield _by_record(process)


def _by_record(process: ProcessRecord) -> Part:
    """It says nothing of itself: Prefect's own processes, and tasks that have ended."""
    return Part(process.name, Health.OK, process.status.value)


def _ask_url(name: str, url: str) -> Answered:
    try:
        said = httpx.get(f"{url}/readyz", timeout=ASK_TIMEOUT_S, trust_env=False).json()
        return Answered(name, is_alive=True, reasons=tuple(str(one) for one in said["reasons"]))
    except (httpx.HTTPError, ValueError, KeyError, TypeError) as error:
        return Answered(name, is_alive=False, reasons=(f"it does not answer ({type(error).__name__})",))


def _said(answered: Answered) -> Part:
    if not answered.reasons:
        return Part(answered.process, Health.OK, "alive, and may do its work")
    text = "; ".join(answered.reasons)
    return Part(answered.process, Health.FAILED, text, f"See: tidegate logs {answered.process}.")
