"""Organizations, their keys with scopes, their balance and their request budgets.

Keys are stored hashed; the clear text of the first key of an organization lies in a 0600 file beside the state.
"""

import hashlib
import os
import secrets
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from tidegate.domain import Secret
from tidegate.platforms.runpod.emulator.persistence import Documents
from tidegate.platforms.runpod.emulator.problems import Problem
from tidegate.platforms.runpod.emulator.state import as_json, new_id

API_READ, API_WRITE, SERVERLESS = "api:read", "api:write", "serverless"
ALL_SCOPES = (API_READ, API_WRITE, SERVERLESS)
OPERATOR = "operator"


@dataclass
class Organization:
    """A tenant. The balance falls by what billing counts."""

    name: str
    user_id: str
    credit_usd: float
    spend_limit_usd_per_h: float = 80.0


@dataclass(frozen=True)
class ApiKey:
    """What a key may do; `digest` is its SHA-256."""

    digest: str
    organization: str
    scopes: tuple[str, ...]


def digest_of(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


class Accounts:
    """Who may call. The operator's key opens `/emulator/...` and nothing else."""

    def __init__(self, documents: Documents, keys_dir: Path):
        self._documents = documents
        self._keys_dir = keys_dir
        keys_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.organizations = {row["name"]: Organization(**row) for row in documents.load("organization")}
        rows = documents.load("key")
        self._keys = {
            row["digest"]: ApiKey(row["digest"], row["organization"], tuple(row["scopes"])) for row in rows
        }
        self._budgets: dict[str, Budget] = {}

    def ensure(self, name: str, credit_usd: float) -> None:
        """An organization with one key that may do everything; nothing changes when it exists."""
        if name not in self.organizations:
            made = Organization(name=name, user_id=f"user_{new_id(24)}", credit_usd=credit_usd)
            self.organizations[name] = made
            self._documents.save("organization", name, as_json(made))
        self._ensure_file(name, ALL_SCOPES)

    def ensure_operator(self) -> None:
        self._ensure_file(OPERATOR, (OPERATOR,))

    def add_key(self, organization: str, scopes: tuple[str, ...], value: str | None = None) -> Secret:
        """A further key; its clear text is told once."""
        value = value or f"rpa_{secrets.token_urlsafe(32)}"
        key = ApiKey(digest_of(value), organization, scopes)
        self._keys[key.digest] = key
        self._documents.save("key", key.digest, as_json(key))
        return Secret(value)

    def revoke(self, value: str) -> bool:
        """From now on the key is unknown; says whether it was known."""
        digest = digest_of(value)
        self._documents.delete("key", digest)
        return self._keys.pop(digest, None) is not None

    def key_of(self, authorization: str | None) -> ApiKey:
        """The key behind an `Authorization` header, with or without the word Bearer.

        Raises:
            Problem: 401.
        """
        words = (authorization or "").split()
        value = words[-1] if words and (len(words) == 1 or words[0].lower() == "bearer") else ""
        if not value:
            raise Problem(401, "missing bearer token", headers={"WWW-Authenticate": "Bearer"})
        key = self._keys.get(digest_of(value))
        if key is None:
            raise Problem(401, "invalid api key", headers={"WWW-Authenticate": "Bearer"})
        return key

    def budget(self, key: ApiKey, limits: tuple[int, int, int]) -> "Budget":
        return self._budgets.setdefault(key.digest, Budget(limits))

    def _ensure_file(self, name: str, scopes: tuple[str, ...]) -> None:
        path = self._keys_dir / f"{name}.key"
        if path.exists():
            value = path.read_text().strip()
            if digest_of(value) not in self._keys:
                self.add_key(name, scopes, value)
            return
        secret = self.add_key(name, scopes)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secret.reveal())


def require_scope(key: ApiKey, scope: str) -> None:
    """Raises: Problem 403 when the key does not have it."""
    if scope not in key.scopes:
        raise Problem(403, f"this api key lacks the scope '{scope}'")


class Budget:
    """Requests of one key per minute, hour and day, as told in the RateLimit headers."""

    WINDOWS_S = (60, 3600, 86400)
    NAMES = ("minute", "hour", "day")

    def __init__(self, limits: tuple[int, int, int]):
        self._limits = limits
        self._calls: tuple[deque[float], ...] = (deque(), deque(), deque())

    def spend(self, now: float) -> float | None:
        """Count one request; the seconds to wait when a window is full (the request is not counted then)."""
        for calls, window in zip(self._calls, self.WINDOWS_S, strict=True):
            while calls and calls[0] <= now - window:
                calls.popleft()
        for calls, window, limit in zip(self._calls, self.WINDOWS_S, self._limits, strict=True):
            if len(calls) >= limit:
                return max(1.0, calls[0] + window - now)
        for calls in self._calls:
            calls.append(now)
        return None

    def headers(self, now: float) -> dict[str, str]:
        left: list[str] = []
        policy: list[str] = []
        for name, calls, window, limit in zip(
            self.NAMES, self._calls, self.WINDOWS_S, self._limits, strict=True
        ):
            reset = round(calls[0] + window - now) if calls else window
            left.append(f'"{name}";r={max(0, limit - len(calls))};t={max(0, reset)}')
            policy.append(f'"{name}";q={limit};w={window}')
        return {"RateLimit": ", ".join(left), "RateLimit-Policy": ", ".join(policy)}
