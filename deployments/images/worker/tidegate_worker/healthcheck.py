"""The image's HEALTHCHECK: asks the worker's own health port. A worker that still gets ready is a healthy one."""

import http.client
import os
import sys

TIMEOUT_S = 8.0
GOOD = frozenset({200, 204})


def main() -> int:
    port = os.environ.get("PORT_HEALTH")
    if not port:
        # A queue worker may go without; RunPod knows it by its heartbeat.
        return 0
    path = os.environ.get("HEALTH_CHECK_PATH") or "/ping"
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        return 0 if connection.getresponse().status in GOOD else 1
    except (OSError, http.client.HTTPException):
        return 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main())
