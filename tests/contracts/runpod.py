"""Checks HTTP requests and replies against RunPod's own OpenAPI document.

`Contract.check_request` refuses what RunPod would refuse, `Contract.check_reply` what RunPod would never
answer. Only the control plane (`/v2/...` at api.runpod.io) is described there; the job plane is not.
"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
from openapi_core import Config, OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from werkzeug.datastructures import Headers, ImmutableMultiDict

DOCUMENT = Path(__file__).parents[1] / "data" / "runpod" / "openapi-v2.json"
SERVER = "https://api.runpod.io"

# Query parameters that RunPod added after the document was written (September 2026).
SEPTEMBER_QUERY = {
    "/v2/pods": {"cursor", "limit"},
    "/v2/serverless": {"cursor", "limit"},
    "/v2/templates": {"cursor", "limit"},
}


class Breach(AssertionError):
    """A request or reply that the document does not allow."""


class Contract:
    """RunPod's document, ready to check with. Loading it takes a second: use `contract()`."""

    def __init__(self, document: Path = DOCUMENT):
        self.document: dict[str, Any] = json.loads(document.read_text(encoding="utf-8"))
        media = {"application/problem+json": json.loads, "text/event-stream": bytes.decode}
        self._openapi = OpenAPI.from_dict(self.document, config=Config(extra_media_type_deserializers=media))

    def check_request(self, request: httpx.Request) -> None:
        """Raises: Breach, naming every rule that is broken."""
        try:
            self._openapi.validate_request(_Request(request))
        except OpenAPIError as error:
            raise Breach(_describe(request, error)) from error
        self._check_query(request)

    def check_reply(self, request: httpx.Request, reply: httpx.Response) -> None:
        """The request is only used to find its operation: it may be one that RunPod refuses. Raises: Breach."""
        try:
            self._openapi.validate_response(_Request(request), _Reply(reply))
        except OpenAPIError as error:
            raise Breach(f"{reply.status_code} to {_describe(request, error)}") from error

    def operation(self, request: httpx.Request) -> str:
        """The operation that answers this request, as `GET /v2/pods/{id}`. Raises: Breach when there is none."""
        path = _raw_path(request)
        for template in sorted(self.document["paths"], key=lambda one: one.count("{")):
            if _fits(template, path) and request.method.lower() in self.document["paths"][template]:
                return f"{request.method} {template}"
        raise Breach(f"{request.method} {path}: the document has no such operation")

    def operations(self) -> set[str]:
        """Every operation of the document."""
        methods = {"get", "put", "post", "patch", "delete"}
        return {
            f"{method.upper()} {path}"
            for path, item in self.document["paths"].items()
            for method in item
            if method in methods
        }

    def _check_query(self, request: httpx.Request) -> None:
        """RunPod ignores unknown query parameters, so that a misspelled filter would go unseen."""
        method, template = self.operation(request).split(" ", 1)
        item = self.document["paths"][template]
        declared = {
            parameter["name"]
            for entry in [*item.get("parameters", []), *item[method.lower()].get("parameters", [])]
            if (parameter := self._resolve(entry))["in"] == "query"
        }
        unknown = set(request.url.params) - declared - SEPTEMBER_QUERY.get(template, set())
        if unknown:
            raise Breach(f"{method} {template}: unknown query parameters {sorted(unknown)}")

    def _resolve(self, entry: Mapping[str, Any]) -> Mapping[str, Any]:
        name = str(entry.get("$ref", "")).rpartition("/")[2]
        return self.document["components"]["parameters"][name] if name else entry


@functools.cache
def contract() -> Contract:
    """The one contract of a test run."""
    return Contract()


class _Request:
    """An httpx request as openapi-core reads it. The host is the document's, whoever is asked."""

    def __init__(self, request: httpx.Request):
        self._request = request
        self.parameters = RequestParameters(
            query=ImmutableMultiDict(request.url.params.multi_items()),
            header=Headers(list(request.headers.items())),
            cookie=ImmutableMultiDict(),
        )

    @property
    def host_url(self) -> str:
        return SERVER

    @property
    def path(self) -> str:
        return _raw_path(self._request)

    @property
    def method(self) -> str:
        return self._request.method.lower()

    @property
    def body(self) -> bytes | None:
        return self._request.read() or None

    @property
    def content_type(self) -> str:
        return self._request.headers.get("content-type", "")


class _Reply:
    """An httpx response as openapi-core reads it."""

    def __init__(self, reply: httpx.Response):
        self._reply = reply

    @property
    def data(self) -> bytes | None:
        return self._reply.read() or None

    @property
    def status_code(self) -> int:
        return self._reply.status_code

    @property
    def content_type(self) -> str:
        return self._reply.headers.get("content-type", "").partition(";")[0]

    @property
    def headers(self) -> Headers:
        return Headers(list(self._reply.headers.items()))


def _raw_path(request: httpx.Request) -> str:
    """Kept encoded: an id with a slash in it must not look like a deeper path."""
    return request.url.raw_path.decode().partition("?")[0]


def _fits(template: str, path: str) -> bool:
    wanted, given = template.split("/"), path.split("/")
    return len(wanted) == len(given) and all(
        one.startswith("{") or one == other for one, other in zip(wanted, given, strict=True)
    )


def _describe(request: httpx.Request, error: OpenAPIError) -> str:
    causes: list[str] = []
    current: BaseException | None = error
    while current is not None:
        causes.append(f"{type(current).__name__}: {current}")
        causes.extend(f"  {item}" for item in getattr(current, "schema_errors", ()))
        current = current.__cause__
    return f"{request.method} {request.url.raw_path.decode()}\n" + "\n".join(causes)
