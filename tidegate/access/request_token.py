"""Request tokens: short-lived proof of who asks for what. Pure: keys, time and chance are handed in.

    tg1.<key id>.<claims, base64url JSON>.<HMAC-SHA256 over everything before, base64url>

A token binds organization, service, artifact, parameters, action, identity, role, expiry and a nonce. It says
nothing about whether it was used: the ledger spends the nonce, once. No error holds a token or a key.
"""

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from pydantic import ValidationError

from tidegate.access.request_keys import RequestKey
from tidegate.domain import Refused
from tidegate.domain.request_proof import Action, RequestProof

VERSION = "tg1"
MAX_LIFETIME = timedelta(hours=1)
CLOCK_SKEW = timedelta(seconds=60)
"""A token of a host whose clock is this far ahead is still taken; expiry is exact."""
MAX_CHARS = 4096
REMEDY = "Issue a new one: tidegate token issue ORG/SERVICE MODEL:VERSION --as WHO."
# Claims by the short names that they have in a token.
_SHORT = {
    "org": "o", "service": "s", "action": "a", "digest": "d", "parameters": "p", "identity": "i", "role": "r",
    "issued_at": "t", "expires_at": "e", "nonce": "n",
}  # fmt: skip
_LONG = {short: name for name, short in _SHORT.items()}
_TIMES = ("issued_at", "expires_at")


@dataclass(frozen=True)
class Expected:
    """What the request in hand is about. None means that this is not known yet, and is not compared."""

    org: str
    service: str
    action: Action
    digest: str | None = None
    parameters: str | None = None
    identity: str | None = None


def sign(claims: RequestProof, key: RequestKey) -> str:
    """The token for these claims. Its key id is the key's, whatever the claims say."""
    said = {short: _plain(getattr(claims, name)) for name, short in _SHORT.items()}
    body = json.dumps(said, sort_keys=True, separators=(",", ":")).encode()
    signed = f"{VERSION}.{key.id}.{_encode(body)}"
    return f"{signed}.{_encode(_mac(signed, key))}"


def verify(
    token: str,
    keys: Sequence[RequestKey],
    expected: Expected,
    now: datetime,
    spent: Collection[str] = (),
) -> RequestProof:
    """The claims of a token that is ours, in time, and about exactly what is expected.

    `spent` are nonces that were used in time for the very release that goes on now: those may have expired.

    Raises:
        Refused: otherwise; `context["problem"]` says why in a word.
    """
    claims = _claims(token, keys, expected.org)
    if claims.issued_at > now + CLOCK_SKEW:
        raise _refused("early", f"was issued in the future ({claims.issued_at:%H:%M:%S} UTC)")
    if claims.expires_at - claims.issued_at > MAX_LIFETIME:
        raise _refused("lifetime", f"is valid for longer than {MAX_LIFETIME}")
    if now >= claims.expires_at and claims.nonce not in spent:
        raise _refused("expired", f"expired at {claims.expires_at:%Y-%m-%d %H:%M:%S} UTC")
    _compare(claims, expected)
    return claims


def _claims(token: str, keys: Sequence[RequestKey], org: str) -> RequestProof:
    """Nothing in a token is read before its signature was checked, except which key to check it with."""
    parts = token.strip().split(".")
    if len(token) > MAX_CHARS or len(parts) != 4 or parts[0] != VERSION:
        raise _refused("malformed", "is no request token of this version")
    key = next((key for key in keys if key.id == parts[1]), None)
    if key is None:
        raise _refused("unknown_key", f"is not signed with a present key of {org}")
    signed, _, signature = token.strip().rpartition(".")
    # Texts are compared, so that no other spelling of the same bytes is taken.
    if not hmac.compare_digest(_encode(_mac(signed, key)).encode(), signature.encode()):
        raise _refused("signature", f"is not signed by {org}, or was altered")
    return _parse(parts[2], key.id)


def _parse(body: str, key_id: str) -> RequestProof:
    try:
        said = cast("dict[str, Any]", json.loads(_decode(body)))
        fields = {_LONG[short]: value for short, value in said.items()}
        times = {name: datetime.fromtimestamp(int(fields[name]), UTC) for name in _TIMES}
        return RequestProof.model_validate(fields | times | {"key_id": key_id})
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, binascii.Error, ValidationError):
        # The cause would quote the claims.
        raise _refused("malformed", "holds claims that this version cannot read") from None


def _compare(claims: RequestProof, expected: Expected) -> None:
    for name in ("org", "service", "action", "digest", "parameters", "identity"):
        wanted, said = getattr(expected, name), getattr(claims, name)
        if wanted is not None and said != wanted:
            shown = (str(said)[:12], str(wanted)[:12]) if name in ("digest", "parameters") else (said, wanted)
            raise _refused(name, f"is for {name} '{shown[0]}', not '{shown[1]}'")
    if claims.role is not claims.action.role:
        raise _refused("role", f"claims the role {claims.role} for what needs {claims.action.role}")


def _refused(problem: str, what: str) -> Refused:
    return Refused(f"The request token {what}.", remedy=REMEDY, problem=problem)


def _plain(value: Any) -> str | int:
    return int(value.timestamp()) if isinstance(value, datetime) else str(value)


def _mac(signed: str, key: RequestKey) -> bytes:
    return hmac.new(key.secret.reveal().encode(), signed.encode(), hashlib.sha256).digest()


def _encode(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
