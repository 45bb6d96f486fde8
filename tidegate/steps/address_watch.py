"""Keeps the addresses of sets in their routes, as a loop."""

import logging
import threading

from tidegate.domain import ServiceRef, TidegateError
from tidegate.steps.ports import Ports
from tidegate.steps.repairs import assert_addresses

log = logging.getLogger(__name__)
INTERVAL_S = 0.5


def publish_addresses(ports: Ports, stop: threading.Event, interval_s: float = INTERVAL_S) -> None:
    """Until `stop` is set. Neither a ledger that is away for a moment nor a defect over one service may end it: the
    gateway would go on sending requests to where nobody listens any more."""
    while not stop.wait(interval_s):
        try:
            routes = ports.ledger.list_routes()
        except TidegateError as error:
            log.warning("addresses: %s", error)
            ports.note_error(error, "addresses")
            continue
        for route in routes:
            ref = ServiceRef(route.org, route.service)
            try:
                assert_addresses(ports, ref)
            except Exception as error:
                log.warning("addresses of %s: %s", ref, error, exc_info=not isinstance(error, TidegateError))
                ports.note_error(error, "addresses", ref=ref)
