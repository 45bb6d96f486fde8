"""Where a gateway reaches the OpenAI routes of an endpoint. Pure."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from tidegate.platforms.runpod.jobs import openai_base
from tidegate.platforms.runpod.load_balancer import base_of
from tidegate.platforms.runpod.replies import Endpoint
from tidegate.platforms.runpod.wire import EndpointKind


@dataclass(frozen=True)
class Address:
    """Host, port and the path before `/v1/...`."""

    host: str
    port: int
    tls: bool
    path_prefix: str


def address_of(endpoint: Endpoint) -> Address:
    """From the URLs that RunPod told. Raises: BadReply when it told none."""
    if endpoint.type == EndpointKind.QUEUE:
        url = openai_base(endpoint).removesuffix("/v1")
    else:
        url = base_of(endpoint)
    return address_at(url)


def address_at(url: str) -> Address:
    """The parts of a base URL."""
    parts = urlsplit(url)
    is_tls = parts.scheme == "https"
    return Address(
        host=parts.hostname or "",
        port=parts.port or (443 if is_tls else 80),
        tls=is_tls,
        path_prefix=parts.path.rstrip("/"),
    )
