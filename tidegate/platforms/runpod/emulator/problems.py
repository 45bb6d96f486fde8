"""What the control plane answers when it says no: `application/problem+json`, raised from anywhere below."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

CAPACITY_DETAIL = "There are no longer any instances available with the requested specifications. Please refresh and try again."

HOST_DETAIL = "There are not enough free GPUs on the host machine to start this pod."


class Problem(Exception):
    """One refusal in the vendor's shape; the server turns it into a reply."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})

    def body(self) -> dict[str, Any]:
        """`title`, `status`, `detail`, and one text per broken rule of the schema."""
        body: dict[str, Any] = {
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = list(self.errors)
        return body


def not_found(noun: str, identifier: str) -> Problem:
    """Unknown and not owned look the same: who asks must not learn that others have it."""
    return Problem(404, f"{noun} not found: {identifier[:64]}")
