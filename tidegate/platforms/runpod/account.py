"""Who a key belongs to and what the account can spend: the one thing that REST v2 cannot tell.

RunPod has announced the end of GraphQL for 2027, so that its absence is an answer ("not known"), no error.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import cast

from tidegate.platforms.runpod.errors import Missing, Retired, Unauthorized, Unexpected
from tidegate.platforms.runpod.replies import Reply
from tidegate.platforms.runpod.transport import Call, Transport, parse

QUERY = "query { myself { id clientBalance currentSpendPerHr spendLimit } }"


class AccountState(Reply):
    """Balance in USD, what all resources cost per hour now, and the most that they may cost per hour."""

    id: str
    client_balance: Decimal | None = None
    current_spend_per_hr: Decimal | None = None
    spend_limit: Decimal | None = None


class Account:
    """Asks RunPod about the account of the key."""

    def __init__(self, transport: Transport):
        self._transport = transport

    def state(self) -> AccountState | None:
        """None when RunPod does not tell (any more). Raises: Unauthorized when the key is not accepted."""
        call = Call("POST", "/graphql", "read the account", body={"query": QUERY}, is_repeatable=True)
        try:
            data: object = self._transport.json(call)
        except (Missing, Retired, Unexpected):
            return None
        fields = _object(data)
        inner = _object(fields.get("data"))
        if fields.get("errors") or "myself" not in inner:
            return None
        myself = inner["myself"]
        if myself is None:
            raise Unauthorized(
                "RunPod does not know the key.",
                remedy="Check the secret that holds the organization's RunPod key, or make a new key.",
            )
        return parse(AccountState, myself, call.what)


def _object(data: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", data) if isinstance(data, Mapping) else {}
