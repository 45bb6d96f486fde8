"""What the inside of a pod is asked, through RunPod's HTTP proxy: one host name a pod and port, open to everybody.

The proxy asks for no key, so that the engine does; the account's key is never sent here. Facts of the proxy: it
speaks TLS, streams, and Cloudflare in front of it ends a reply that says nothing for 100 s with a 524.
"""

import ssl
from collections.abc import Mapping
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import httpx

from tidegate import __version__
from tidegate.domain import InvalidInput, Secret, TidegateError
from tidegate.platforms.runpod.addresses import Address, address_at
from tidegate.platforms.runpod.errors import NoWorker, error_of, read_problem
from tidegate.platforms.runpod.transport import Call, read_json, translated

REAL_HOST = "api.runpod.ai"
REAL_PROXY = "https://{pod_id}-{port}.proxy.runpod.net"
EDGE_LIMIT_S = 100.0
CONNECT_TIMEOUT_S = 5.0
FIELDS = ("{pod_id}", "{port}")
GONE = frozenset({404, 502, 503, 504, 520, 521, 522, 523, 524})
"""What the proxy says when the pod, its port or its answer is missing; an engine's own 404 looks the same."""


def proxy_template(data_url: str) -> str:
    """Where pods are reached, from where the data plane is: the real proxy for the real plane, and else a path on the
    same port, which the emulator has. So moving between the two changes two URLs and a key."""
    if urlsplit(data_url).hostname == REAL_HOST:
        return REAL_PROXY
    return f"{data_url.rstrip('/')}/pod/{FIELDS[0]}/{FIELDS[1]}"


class PodProxy:
    """Calls to the ports of pods. Safe to share between threads."""

    def __init__(self, template: str, *, http: httpx.BaseTransport | None = None):
        """`http` replaces the network, for tests. Raises: InvalidInput for a template that keys may not be sent to."""
        self._template = _checked(template)
        self._network = http

    @cached_property
    def _http(self) -> httpx.Client:
        """Made when it is first used: most processes have no pods, and loading certificates takes time."""
        is_tls = self._template.startswith("https:")
        return httpx.Client(
            headers={"User-Agent": f"tidegate/{__version__}"},
            transport=self._network,
            trust_env=False,
            # Following a redirect could carry the key elsewhere.
            follow_redirects=False,
            verify=True if is_tls else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
        )

    def close(self) -> None:
        if "_http" in self.__dict__:
            self._http.close()

    def address(self, pod_id: str, port: int) -> Address:
        """Where a gateway reaches a port of a pod."""
        return address_at(self._url(pod_id, port))

    def ask(
        self,
        pod_id: str,
        port: int,
        path: str,
        key: Secret,
        body: Mapping[str, object] | None = None,
        timeout_s: float = 30.0,
    ) -> Any:
        """One JSON call; without a body it is a GET.

        Raises: NoWorker when nobody answers behind the proxy, Unauthorized when the engine has another key, and what
        the engine says.
        """
        return read_json(self._send(pod_id, port, path, key, body, timeout_s), f"ask pod {pod_id} for {path}")

    def text(self, pod_id: str, port: int, path: str, key: Secret, timeout_s: float = 10.0) -> str:
        """A page that is no JSON. Raises: as `ask`."""
        return self._send(pod_id, port, path, key, None, timeout_s).text

    def _send(
        self,
        pod_id: str,
        port: int,
        path: str,
        key: Secret,
        body: Mapping[str, object] | None,
        timeout_s: float,
    ) -> httpx.Response:
        call = Call("GET" if body is None else "POST", path, f"ask pod {pod_id} for {path}")
        with translated(call):
            response = self._http.request(
                call.method,
                self._url(pod_id, port) + path,
                json=body,
                headers={"Authorization": f"Bearer {key.reveal()}"},
                timeout=httpx.Timeout(min(timeout_s, EDGE_LIMIT_S), connect=CONNECT_TIMEOUT_S),
            )
        if not response.is_success:
            raise _error(response, call.what, key)
        return response

    def _url(self, pod_id: str, port: int) -> str:
        return self._template.replace(FIELDS[0], pod_id).replace(FIELDS[1], str(port))


def _error(response: httpx.Response, what: str, key: Secret) -> TidegateError:
    # A proxy may echo what it was sent.
    problem = read_problem(response.status_code, response.content.replace(key.reveal().encode(), b"***"))
    if response.status_code in GONE:
        return NoWorker(
            f"Nobody answered behind RunPod's proxy ({response.status_code}) to '{what}'.",
            remedy="Wait until the pod serves; a reply that says nothing for 100 s is cut: stream it.",
            status=response.status_code,
        )
    error = error_of(problem, what)
    if response.status_code == 401:
        error.remedy = (
            "The engine has another key than the organization's engine keys give: make the set again."
        )
    return error


def _checked(template: str) -> str:
    parts = urlsplit(template)
    is_loopback = parts.hostname in {"127.0.0.1", "localhost", "::1"}
    is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback)
    if not is_safe or any(field not in template for field in FIELDS):
        raise InvalidInput(
            f"'{template}' is no address of pods that a key may be sent to.",
            remedy="Use https (http on this machine only), with {pod_id} and {port} in it.",
            field="runpod_pod_url",
        )
    return template
