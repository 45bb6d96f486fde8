"""What to probe: one set behind one URL, with the credential that opens it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate.domain import Secret


@dataclass(frozen=True)
class ProbeTarget:
    """`model` is the name that clients send, `expected_digest` what must answer to it.

    `headers` pin a set that has no live traffic (`x-tidegate-pin`); `context_tokens` is the context length
    that one sequence was promised.
    """

    base_url: str
    key: Secret
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    model: str = field(kw_only=True)
    context_tokens: int = field(kw_only=True)
    expected_digest: str = field(kw_only=True)
    expected_release: str | None = field(default=None, kw_only=True)
