"""Whom `tidegate bench` asks: any OpenAI-compatible URL, or a service of this installation by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidegate.cli.bench_options import Access
from tidegate.cli.endpoint_access import bad, base_url, shown_url
from tidegate.domain import InvalidInput, Refused, Secret, ServiceRef, Transient

if TYPE_CHECKING:
    from tidegate.benchmark import Arm
    from tidegate.benchmark.exchange import Exchange

ASK_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Target:
    """One endpoint, and what of this installation it is, where it is any."""

    base_url: str
    key: Secret
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    model: str = ""
    ref: ServiceRef | None = None
    digest: str | None = None

    def arm(self, name: str) -> "Arm":
        from tidegate.benchmark import Arm

        return Arm(name=name, base_url=self.base_url, key=self.key, headers=self.headers, model=self.model)


def find_target(
    text: str, access: Access, model: str, *, is_queue: bool = False, option: str = "URL"
) -> Target:
    """Raises: InvalidInput for what is neither a URL nor a service."""
    if "://" in text:
        return Target(base_url(text, option, is_queue=is_queue), access.key, access.headers, model)
    try:
        ref = ServiceRef.parse(text)
    except InvalidInput:
        raise bad(
            option, f"'{shown_url(text)}' is neither a URL nor a service nor a sub-command.",
            "Write http://HOST:PORT/v1, or ORGANIZATION/SERVICE, or see: tidegate bench --help.",
        ) from None  # fmt: skip
    return _service(ref, access, model)


def _service(ref: ServiceRef, access: Access, model: str) -> Target:
    """Through the gateway as its clients come, with the key that this installation keeps for itself."""
    from tidegate import wiring
    from tidegate.access import api_key_name
    from tidegate.steps.targets import service_url

    ports = wiring.load()
    ports.service(ref)
    champion = ports.ledger.get_alias(ref, "champion")
    key = access.key if access.key.reveal() else ports.secrets.get(api_key_name(ref.org))
    if key is None:
        raise Refused(
            f"This installation holds no key of {ref.org}.",
            remedy="Give one with --key-env or --key-file, or start the stack once: tidegate up.",
            field="--key-env",
        )
    digest = champion.digest if champion else None
    return Target(service_url(ports, ref), key, access.headers, model or "default", ref, digest)


@dataclass(frozen=True)
class Offered:
    """A model of `GET /models`, and who the server says made it: engines name themselves there."""

    name: str
    owner: str


def ask_models(target: Target) -> list[Offered]:
    """What `GET /models` names; empty where the server does not say. The first talk with it, so that a wrong address
    or key is told before a load is made.

    Raises: Transient when nothing answers, Refused for a key that is not taken.
    """
    import asyncio

    headers = dict(target.headers)
    if target.key.reveal():
        headers["authorization"] = f"Bearer {target.key.reveal()}"
    reply = asyncio.run(_get(f"{target.base_url}/models", headers))
    if reply.error and reply.status is None:
        raise Transient(
            f"{target.base_url} cannot be reached: {reply.error[:200]}.",
            remedy="Check that the server runs and that host, port and scheme are right.",
            field="URL",
        )
    status = reply.status
    if status in (401, 403):
        raise Refused(
            f"{target.base_url} does not take this key (HTTP {status}).",
            remedy="Give the right one with --key-env NAME or --key-file FILE.",
            field="--key-env",
        )
    return _offered(reply.body) if status == 200 else []


async def _get(url: str, headers: Mapping[str, str]) -> "Exchange":
    """By the reader that measures: what it cannot talk to is told before a load is made."""
    from tidegate.benchmark.wire import open_wire

    async with open_wire(keep_alive=False) as wire:
        return await wire.get(url, headers, ASK_TIMEOUT_S)


def _offered(body: bytes) -> list[Offered]:
    import json

    try:
        found: Any = json.loads(body)
        return [Offered(str(one["id"]), str(one.get("owned_by") or "")) for one in found["data"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
