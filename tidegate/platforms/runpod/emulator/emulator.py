"""The parts of one emulator, put together once and handed to every route."""

from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tidegate.platforms.runpod.emulator.accounts import Accounts
from tidegate.platforms.runpod.emulator.billing import Meter
from tidegate.platforms.runpod.emulator.catalog import Catalog
from tidegate.platforms.runpod.emulator.clock import Clock
from tidegate.platforms.runpod.emulator.faults import FaultBoard
from tidegate.platforms.runpod.emulator.images import VOLUME_PATH, Images, rewritten_paths
from tidegate.platforms.runpod.emulator.jobs import JobBoard
from tidegate.platforms.runpod.emulator.logs import LogBook
from tidegate.platforms.runpod.emulator.persistence import Documents
from tidegate.platforms.runpod.emulator.ports import Ports
from tidegate.platforms.runpod.emulator.problems import Problem, not_found
from tidegate.platforms.runpod.emulator.state import Endpoint, Json, Pod, PodStatus, Resource, as_json
from tidegate.platforms.runpod.emulator.timings import Timings

TEMPLATE, VOLUME, REGISTRY, DELEGATION, SSH_KEYS = "template", "volume", "registry", "delegation", "ssh_keys"


@dataclass
class Emulator:
    """State and parts. `data_url` is known once the ports are bound."""

    home: Path
    timings: Timings
    clock: Clock
    documents: Documents
    accounts: Accounts
    catalog: Catalog
    images: Images
    meter: Meter
    faults: FaultBoard
    jobs: JobBoard
    session: aiohttp.ClientSession
    ports: Ports = field(default_factory=Ports)
    data_url: str = ""
    told_data_url: str = ""
    """What callers are told instead, where something stands between them and us; our own workers need no detour."""
    api_url: str = ""
    endpoints: dict[str, Endpoint] = field(default_factory=dict[str, Endpoint])
    pods: dict[str, Pod] = field(default_factory=dict[str, Pod])
    resources: dict[str, dict[str, Resource]] = field(default_factory=dict[str, dict[str, Resource]])

    def load(self) -> None:
        """What the emulator before this one has left."""
        for row in self.documents.load("endpoint"):
            self.endpoints[row["id"]] = Endpoint(**row)
        for row in self.documents.load("pod"):
            row["status"] = PodStatus(row["status"])
            self.pods[row["id"]] = Pod(**row)
        for kind in (TEMPLATE, VOLUME, REGISTRY, DELEGATION, SSH_KEYS):
            rows = [Resource(**row) for row in self.documents.load(kind)]
            self.resources[kind] = {row.id: row for row in rows}
        for folder in ("logs", "workers", "volumes"):
            (self.home / folder).mkdir(mode=0o700, parents=True, exist_ok=True)

    def save_endpoint(self, endpoint: Endpoint) -> None:
        self.endpoints[endpoint.id] = endpoint
        self.documents.save("endpoint", endpoint.id, as_json(endpoint))

    def save_pod(self, pod: Pod) -> None:
        self.pods[pod.id] = pod
        self.documents.save("pod", pod.id, as_json(pod))

    def save_resource(self, kind: str, resource: Resource) -> None:
        self.resources[kind][resource.id] = resource
        self.documents.save(kind, resource.id, as_json(resource))

    def delete_resource(self, kind: str, resource: Resource) -> None:
        self.resources[kind].pop(resource.id, None)
        self.documents.delete(kind, resource.id)

    def endpoint_of(self, organization: str, identifier: str) -> Endpoint:
        """Raises: Problem 404 when it is unknown or another organization's."""
        endpoint = self.endpoints.get(identifier)
        if endpoint is None or endpoint.organization != organization:
            raise not_found("endpoint", identifier)
        return endpoint

    def pod_of(self, organization: str, identifier: str) -> Pod:
        """Raises: Problem 404 when it is unknown or another organization's."""
        pod = self.pods.get(identifier)
        if pod is None or pod.organization != organization:
            raise not_found("pod", identifier)
        return pod

    def resource_of(self, kind: str, organization: str, identifier: str) -> Resource:
        """Raises: Problem 404 when it is unknown or another organization's."""
        resource = self.resources[kind].get(identifier)
        if resource is None or resource.organization != organization:
            raise not_found(kind, identifier)
        return resource

    def resources_of(self, kind: str, organization: str) -> list[Resource]:
        """Newest first."""
        rows = [row for row in self.resources[kind].values() if row.organization == organization]
        return sorted(rows, key=lambda row: -row.created_at)

    def template_for(self, organization: str, identifier: str | None, *, is_serverless: bool) -> Json | None:
        """The template that a create or PATCH copies from.

        Raises:
            Problem: 404 when there is none, 422 when it is one of the other kind.
        """
        if not identifier:
            return None
        body = self.resource_of(TEMPLATE, organization, identifier).body
        if body["serverless"] != is_serverless:
            kind = "serverless" if is_serverless else "pod"
            raise Problem(
                422, f"template is not a {kind} template", errors=[f"$.templateId: not a {kind} template"]
            )
        return body

    def volume_folder(self, identifier: str) -> Path:
        """Where the files of a network volume lie here."""
        folder = self.home / "volumes" / identifier
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder

    def on_volumes(self, env: dict[str, str], volumes: list[str], mount: str = VOLUME_PATH) -> dict[str, str]:
        """The environment with paths of the first volume as they are here."""
        return rewritten_paths(env, mount, self.volume_folder(volumes[0]) if volumes else None)

    def log_book(self, identifier: str) -> LogBook:
        return LogBook(self.home / "logs" / f"{identifier}.log", self.clock)

    def balance_usd(self, organization: str) -> float:
        """What is left of the credit; a fault may say otherwise."""
        told = self.faults.read("balance_usd", organization)
        if told is not None:
            return float(told)
        return self.accounts.organizations[organization].credit_usd - self.meter.spent_usd(organization)

    def request_urls(self, endpoint: Endpoint) -> dict[str, str]:
        """Where an endpoint answers; callers use these instead of composing their own."""
        told = self.told_data_url or self.data_url
        if endpoint.type == "LOAD_BALANCER":
            base = f"{told}/lb/{endpoint.id}"
            return {"base": base, "health": f"{base}{endpoint.env.get('HEALTH_CHECK_PATH', '/ping')}"}
        base = f"{told}/v2/{endpoint.id}"
        urls = {name: f"{base}/{name}/{{job_id}}" for name in ("status", "stream", "cancel", "retry")}
        return {
            "run": f"{base}/run",
            "runSync": f"{base}/runsync",
            **urls,
            "purgeQueue": f"{base}/purge-queue",
            "health": f"{base}/health",
        }
