"""RunPod's control plane (REST v2): endpoints, workers, pods, templates, volumes, registries.

RunPod has no idempotency keys: when the answer to a create is lost, the resource is looked for by its name
and adopted. Names of ours are deterministic, and only then is this right.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, TypeVar
from urllib.parse import quote

from tidegate.domain import TidegateError
from tidegate.platforms.runpod.billing import Billing
from tidegate.platforms.runpod.catalog import Catalog
from tidegate.platforms.runpod.errors import AMBIGUOUS, BadReply, Missing
from tidegate.platforms.runpod.logs import LogBounds, LogSource, read_log
from tidegate.platforms.runpod.pace import wait_for
from tidegate.platforms.runpod.replies import (
    Endpoint,
    LogLine,
    NetworkVolume,
    Pagination,
    Pod,
    Registry,
    ReleaseList,
    Reply,
    Template,
    WorkerList,
)
from tidegate.platforms.runpod.resources import (
    CreateRegistry,
    CreateTemplate,
    CreateVolume,
    UpdateTemplate,
    UpdateVolume,
)
from tidegate.platforms.runpod.transport import Call, Transport, entries, parse
from tidegate.platforms.runpod.wire import (
    Ask,
    CreateEndpoint,
    CreatePod,
    PodAction,
    UpdateEndpoint,
    UpdatePod,
)

PAGE_LIMIT = 1000
MAX_PAGES = 100
ADOPTION_TIMEOUT_S = 15.0
Item = TypeVar("Item", bound=Reply)
Found = TypeVar("Found", Endpoint, Pod, Template, NetworkVolume, Registry)


class ControlPlane:
    """Every operation of REST v2 that Tidegate uses, one method each."""

    def __init__(self, transport: Transport):
        self._transport = transport
        self.catalog = Catalog(transport)
        self.billing = Billing(transport)

    # Endpoints

    def list_endpoints(self) -> list[Endpoint]:
        return self._list("/v2/serverless", "endpoints", Endpoint)

    def endpoint(self, endpoint_id: str) -> Endpoint:
        """Raises: Missing."""
        return self._transport.model(_get(_endpoint(endpoint_id), f"read endpoint {endpoint_id}"), Endpoint)

    def create_endpoint(self, ask: CreateEndpoint) -> Endpoint:
        """Create it, or adopt the one of its name when the answer is lost. Raises: NoCapacity, and others."""
        return self._create("/v2/serverless", ask, ask.name, "endpoint", Endpoint, self.list_endpoints)

    def update_endpoint(
        self, endpoint_id: str, ask: UpdateEndpoint, *, is_repeatable: bool = False
    ) -> Endpoint:
        """`is_repeatable` for a change that does the same when it is done twice, such as worker bounds."""
        what = f"change endpoint {endpoint_id}"
        call = Call("PATCH", _endpoint(endpoint_id), what, body=ask.body(), is_repeatable=is_repeatable)
        return self._transport.model(call, Endpoint)

    def delete_endpoint(self, endpoint_id: str) -> None:
        """No error when it is gone already."""
        self._delete(_endpoint(endpoint_id), f"delete endpoint {endpoint_id}")

    def workers(self, endpoint_id: str) -> WorkerList:
        return self._transport.model(
            _get(f"{_endpoint(endpoint_id)}/workers", f"read workers of endpoint {endpoint_id}"), WorkerList
        )

    def releases(self, endpoint_id: str) -> ReleaseList:
        return self._transport.model(
            _get(f"{_endpoint(endpoint_id)}/releases", f"read versions of endpoint {endpoint_id}"),
            ReleaseList,
        )

    def worker_log(
        self,
        endpoint_id: str,
        worker_id: str,
        *,
        source: LogSource | None = None,
        tail: int | None = None,
        since: datetime | None = None,
        after: str | None = None,
        bounds: LogBounds | None = None,
    ) -> Iterator[LogLine]:
        return read_log(
            self._transport,
            f"{_endpoint(endpoint_id)}/workers/{quote(worker_id, safe='')}/logs",
            f"read log of worker {worker_id}",
            source=source,
            tail=tail,
            since=since,
            after=after,
            bounds=bounds,
        )

    # Pods

    def list_pods(self) -> list[Pod]:
        return self._list("/v2/pods", "pods", Pod)

    def pod(self, pod_id: str) -> Pod:
        """Raises: Missing."""
        return self._transport.model(_get(_pod(pod_id), f"read pod {pod_id}"), Pod)

    def create_pod(self, ask: CreatePod) -> Pod:
        """Create it, or adopt the one of its name when the answer is lost. Raises: NoCapacity, and others."""
        return self._create("/v2/pods", ask, ask.name, "pod", Pod, self.list_pods)

    def update_pod(self, pod_id: str, ask: UpdatePod, *, is_repeatable: bool = False) -> Pod:
        """`is_repeatable` for a change that does the same when it is done twice, such as other marks."""
        what = f"change pod {pod_id}"
        call = Call("PATCH", _pod(pod_id), what, body=ask.body(), is_repeatable=is_repeatable)
        return self._transport.model(call, Pod)

    def act_on_pod(self, pod_id: str, action: PodAction) -> Pod | None:
        """The pod afterwards; None when it was terminated.

        Raises: Conflict when its status forbids it, NoCapacity when its machine has no room to start it.
        """
        what = f"{action.value} pod {pod_id}"
        call = Call(
            "POST",
            f"{_pod(pod_id)}/action",
            what,
            body={"action": action.value},
            is_create=action is PodAction.START,
        )
        response = self._transport.send(call)
        return None if response.status_code == 204 else parse(Pod, response.json(), what)

    def delete_pod(self, pod_id: str) -> None:
        """No error when it is gone already."""
        self._delete(_pod(pod_id), f"delete pod {pod_id}")

    def pod_log(
        self,
        pod_id: str,
        *,
        source: LogSource | None = None,
        tail: int | None = None,
        since: datetime | None = None,
        after: str | None = None,
        bounds: LogBounds | None = None,
    ) -> Iterator[LogLine]:
        return read_log(
            self._transport,
            f"{_pod(pod_id)}/logs",
            f"read log of pod {pod_id}",
            source=source,
            tail=tail,
            since=since,
            after=after,
            bounds=bounds,
        )

    # Templates, volumes, registries

    def list_templates(self) -> list[Template]:
        return self._list("/v2/templates", "templates", Template)

    def template(self, template_id: str) -> Template:
        return self._transport.model(_get(_template(template_id), f"read template {template_id}"), Template)

    def create_template(self, ask: CreateTemplate) -> Template:
        return self._create("/v2/templates", ask, ask.name, "template", Template, self.list_templates)

    def update_template(self, template_id: str, ask: UpdateTemplate) -> Template:
        what = f"change template {template_id}"
        return self._transport.model(Call("PATCH", _template(template_id), what, body=ask.body()), Template)

    def delete_template(self, template_id: str) -> None:
        self._delete(_template(template_id), f"delete template {template_id}")

    def list_volumes(self) -> list[NetworkVolume]:
        return self._list("/v2/network-volumes", "networkVolumes", NetworkVolume, is_paged=False)

    def volume(self, volume_id: str) -> NetworkVolume:
        return self._transport.model(_get(_volume(volume_id), f"read volume {volume_id}"), NetworkVolume)

    def create_volume(self, ask: CreateVolume) -> NetworkVolume:
        return self._create("/v2/network-volumes", ask, ask.name, "volume", NetworkVolume, self.list_volumes)

    def update_volume(self, volume_id: str, ask: UpdateVolume) -> NetworkVolume:
        what = f"change volume {volume_id}"
        return self._transport.model(Call("PATCH", _volume(volume_id), what, body=ask.body()), NetworkVolume)

    def delete_volume(self, volume_id: str) -> None:
        self._delete(_volume(volume_id), f"delete volume {volume_id}")

    def list_registries(self) -> list[Registry]:
        return self._list("/v2/registries", "registries", Registry, is_paged=False)

    def create_registry(self, ask: CreateRegistry) -> Registry:
        return self._create("/v2/registries", ask, ask.name, "registry", Registry, self.list_registries)

    def delete_registry(self, registry_id: str) -> None:
        self._delete(f"/v2/registries/{quote(registry_id, safe='')}", f"delete registry {registry_id}")

    def _list(self, path: str, envelope: str, kind: type[Item], *, is_paged: bool = True) -> list[Item]:
        """All pages. The August generation of the API ignores `limit` and answers with one page.

        Raises: BadReply for an item that cannot be read: hiding one could hide what costs money.
        """
        what = f"list {envelope}"
        found: list[Item] = []
        query = {"limit": str(PAGE_LIMIT)} if is_paged else {}
        for _ in range(MAX_PAGES):
            data: Any = self._transport.json(Call("GET", path, what, query=query))
            found += [parse(kind, item, what) for item in entries(data, envelope, what)]
            page = parse(Pagination, data.get("pagination") or {}, what)
            if not is_paged or not page.has_next_page or not page.next_cursor:
                return found
            query = query | {"cursor": page.next_cursor}
        raise BadReply(f"RunPod's pages of '{what}' do not end.", remedy="Report this.", asked=what)

    def _create(
        self,
        path: str,
        ask: Ask,
        name: str,
        noun: str,
        kind: type[Found],
        listing: Callable[[], list[Found]],
    ) -> Found:
        what = f"create {noun} {name}"
        call = Call("POST", path, what, body=ask.body(), is_create=True, timeout_s=60.0)
        try:
            data: Any = self._transport.json(call)
            return parse(kind, data, what)
        except AMBIGUOUS:
            adopted = self._look_for(name, listing)
            if adopted is None:
                raise
            return adopted

    def _look_for(self, name: str, listing: Callable[[], list[Found]]) -> Found | None:
        """A list may lag behind a create: ask for some seconds. None also when the list cannot be read."""

        def first() -> Found | None:
            try:
                return first_named(listing(), name)
            except TidegateError:
                return None

        return wait_for(
            first,
            lambda found: found is not None,
            timeout_s=ADOPTION_TIMEOUT_S,
            pace=self._transport.pace,
        )

    def _delete(self, path: str, what: str) -> None:
        try:
            self._transport.send(Call("DELETE", path, what))
        except Missing:
            return


def first_named(found: list[Found], name: str) -> Found | None:
    """The one of this name. Of several, always the same: names at RunPod need not be unique."""
    return min((one for one in found if one.name == name), key=_age, default=None)


def _age(one: Endpoint | Pod | Template | NetworkVolume | Registry) -> tuple[str, str]:
    created: object = getattr(one, "created_at", None)
    return (created.isoformat() if isinstance(created, datetime) else "", one.id)


def _get(path: str, what: str) -> Call:
    return Call("GET", path, what)


def _endpoint(endpoint_id: str) -> str:
    return f"/v2/serverless/{quote(endpoint_id, safe='')}"


def _pod(pod_id: str) -> str:
    return f"/v2/pods/{quote(pod_id, safe='')}"


def _template(template_id: str) -> str:
    return f"/v2/templates/{quote(template_id, safe='')}"


def _volume(volume_id: str) -> str:
    return f"/v2/network-volumes/{quote(volume_id, safe='')}"
