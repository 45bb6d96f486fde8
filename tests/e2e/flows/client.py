"""One client of a service, which asks it as long as a test wants."""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
from stack_client import SUPPORT, Stack

from tidegate.access import api_key_name

ANSWER_TOKENS = 8


@contextmanager
def a_client(stack: Stack) -> Iterator[None]:
    """Asks the service again and again, as long as this lasts."""
    url = f"{stack.ports.gateway_url()}/{SUPPORT.org}/{SUPPORT.service}/v1/chat/completions"
    body = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": ANSWER_TOKENS, "stream": True}
    key = stack.ports.secrets.get(api_key_name(SUPPORT.org))
    assert key is not None
    headers = {"Authorization": f"Bearer {key.reveal()}"}
    answered: Counter[int] = Counter()
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(timeout=60) as client:
            while not stop.wait(0.1):
                with suppress(httpx.HTTPError):  # what a client sees of a release is judged elsewhere
                    answered[client.post(url, json=body, headers=headers).status_code] += 1

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        yield
    finally:
        stop.set()
        asking.join()
    assert answered[200], answered
