"""Whom `tidegate bench` asks: any OpenAI-compatible URL, or a service of this installation by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tidegate.cli.bench_options import Access, bad
from tidegate.domain import InvalidInput, Refused, Secret, ServiceRef, Transient

if TYPE_CHECKING:
    from tidegate.benchmark import Arm

KNOWN_ENDINGS = ("/chat/completions", "/completions", "/run", "/runsync")
ASK_TIMEOUT_S = 5.0
MAX_REPLY_BYTES = 1024**2


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
            option, f"'{_shown(text)}' is neither a URL nor a service nor a sub-command.",
            "Write http://HOST:PORT/v1, or ORGANIZATION/SERVICE, or see: tidegate bench --help.",
        ) from None  # fmt: skip
    return _service(ref, access, model)


def base_url(text: str, option: str = "URL", *, is_queue: bool = False) -> str:
    """Ends where `/chat/completions` is appended. A bare host gets `/v1`."""
    from urllib.parse import urlsplit

    how = "Write it as http://HOST:PORT/v1."
    try:
        parts = urlsplit(text.strip())
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise bad(option, "This URL cannot be read.", how) from None
    if not is_usable:
        raise bad(option, f"'{_shown(text)}' is no URL of HTTP.", how)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise bad(
            option, "The URL holds a user, a password or a query, which everyone who lists processes can see.",
            "Leave them out; give a key with --key-env or --key-file.",
        )  # fmt: skip
    path = parts.path.rstrip("/")
    ending = next((one for one in KNOWN_ENDINGS if path.endswith(one)), "")
    path = path.removesuffix(ending)
    if not path and not is_queue:
        path = "/v1"
    return f"{parts.scheme}://{parts.netloc}{path}"


def _shown(text: str) -> str:
    """Of a mistyped URL nothing that may be a credential is repeated."""
    from tidegate.benchmark.record import clean_url

    return clean_url(text)[:120]


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
    import httpx

    headers = dict(target.headers)
    if target.key.reveal():
        headers["authorization"] = f"Bearer {target.key.reveal()}"
    try:
        with (
            httpx.Client(timeout=ASK_TIMEOUT_S, trust_env=False, follow_redirects=False) as client,
            client.stream("GET", f"{target.base_url}/models", headers=headers) as reply,
        ):
            status, body = reply.status_code, b""
            for piece in reply.iter_bytes():
                body += piece
                if len(body) > MAX_REPLY_BYTES:
                    break
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Transient(
            f"{target.base_url} cannot be reached: {type(error).__name__}.",
            remedy="Check that the server runs and that host, port and scheme are right.",
            field="URL",
        ) from None
    if status in (401, 403):
        raise Refused(
            f"{target.base_url} does not take this key (HTTP {status}).",
            remedy="Give the right one with --key-env NAME or --key-file FILE.",
            field="--key-env",
        )
    return _offered(body) if status == 200 else []


def _offered(body: bytes) -> list[Offered]:
    import json

    try:
        found: Any = json.loads(body)
        return [Offered(str(one["id"]), str(one.get("owned_by") or "")) for one in found["data"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
