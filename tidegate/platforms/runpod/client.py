"""The face of the RunPod client: one object per key, with both planes."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx

from tidegate.domain import Secret
from tidegate.platforms.runpod.account import Account
from tidegate.platforms.runpod.control import ControlPlane
from tidegate.platforms.runpod.jobs import JobPlane
from tidegate.platforms.runpod.key_source import KeySource
from tidegate.platforms.runpod.load_balancer import LoadBalancer
from tidegate.platforms.runpod.pace import Pace
from tidegate.platforms.runpod.pod_proxy import PodProxy, proxy_template
from tidegate.platforms.runpod.transport import OnCall, Retries, Transport


class RunPodClient:
    """RunPod with one key. Moving to the emulator changes the two URLs and the key, and nothing else."""

    def __init__(
        self,
        api_url: str,
        data_url: str,
        key: Secret,
        *,
        read_key: Callable[[], Secret | None] | None = None,
        pod_url: str | None = None,
        http: httpx.BaseTransport | None = None,
        pace: Pace | None = None,
        retries: Retries | None = None,
        on_call: OnCall | None = None,
    ):
        """`read_key` gives the key that is stored now: a replaced one is used without a restart. `pod_url` is where pods are
        reached, when it does not follow from the other two. `http` replaces the network, for tests. `on_call` hears of
        each call to the control plane. Raises: InvalidInput (a URL), Refused (a key that is none)."""
        keys = KeySource(key, read_key, pace)
        self._api = Transport(api_url, keys, http=http, pace=pace, retries=retries, on_call=on_call)
        self._data = Transport(data_url, keys, http=http, pace=pace, retries=retries)
        self.control = ControlPlane(self._api)
        self.account = Account(self._api)
        self.jobs = JobPlane(self._data)
        self.load_balancer = LoadBalancer(self._data)
        self.pods = PodProxy(pod_url or proxy_template(data_url), http=http)

    @property
    def api(self) -> Transport:
        """The control plane's transport, for its rate limits."""
        return self._api

    @property
    def data(self) -> Transport:
        """The job plane's transport, for its rate limits."""
        return self._data

    def close(self) -> None:
        self._api.close()
        self._data.close()
        self.pods.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
