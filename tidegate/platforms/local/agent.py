"""The loop that keeps sets running: the body of a supervisor process. It may die and be started at any time."""

import logging
import threading
from collections.abc import Callable

from tidegate.platforms.local.platform import LocalPlatform

log = logging.getLogger(__name__)

HEAL_INTERVAL_S = 0.5


def run_agent(
    platform: LocalPlatform,
    stop: threading.Event,
    interval_s: float = HEAL_INTERVAL_S,
    on_error: Callable[[Exception], None] = lambda error: None,
) -> None:
    """Resume what `stop_all` suspended, then heal until `stop` is set. Sets outlive the agent. `on_error` is told what
    ended a round."""
    platform.resume_all()
    while not stop.is_set():
        try:
            platform.heal()
        except OSError as error:
            # The disk may be full for a while: the agent must be there when it is not any more.
            log.exception("a round of healing failed")
            on_error(error)
        stop.wait(interval_s)
