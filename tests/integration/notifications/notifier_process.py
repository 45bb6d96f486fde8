"""A notifier in a process of its own that stops at one instruction, says so, and waits to be killed.

`before`: it has claimed the messages and sent nothing. `after`: every channel has its message, and no row says so yet.
"""

import sys
import threading

from tidegate import notifying
from tidegate.access import SecretStore
from tidegate.observability.notifications import Courier, Notifier
from tidegate.settings import load_settings


class Paused:
    """A real sender that stops before or after its work."""

    def __init__(self, real, point: str, reached: threading.Semaphore):
        self._real = real
        self._point = point
        self._reached = reached

    def send(self, post, begin):
        if self._point == "after":
            self._real.send(post, begin)
        self._reached.release()
        threading.Event().wait()


def main(point: str, messages: int) -> None:
    reached = threading.Semaphore(0)
    senders = {kind: Paused(real, point, reached) for kind, real in notifying.senders().items()}
    settings, found = load_settings(), notifying.load()
    secrets = SecretStore(settings.secrets_dir, {})
    courier = Courier(found.ledger, found.organizations, secrets, senders, notifying.utc_now)
    notifier = Notifier(found.ledger, courier, found.organizations, notifying.utc_now)
    threading.Thread(target=notifier.run, args=(threading.Event(), 0.02), daemon=True).start()
    for _ in range(messages):
        reached.acquire()
    print("reached", flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
