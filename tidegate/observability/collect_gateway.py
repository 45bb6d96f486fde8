"""Collector of what gateways on this host refused by themselves: such a request has no set, and is in no batch."""

from collections.abc import Callable, Mapping, Sequence

from tidegate.domain.totals import REJECTED, Gain
from tidegate.observability.ledger_source import TotalsWriter
from tidegate.observability.registry import Readings

Refused = Mapping[tuple[str, str, str], int]
"""(organization, service, reason) -> requests since this Envoy started."""


class GatewayCollector:
    """Envoy's counts fall to zero when it starts anew, and several Envoys serve one service: only what each of them
    gained is added up, in the ledger. What came before the first look is counted by nobody."""

    name = "gateways"
    interval_s = 5.0
    names: Sequence[str] = ()

    def __init__(self, readers: Callable[[], Mapping[str, Callable[[], Refused]]], writer: TotalsWriter):
        self._readers = readers
        self._writer = writer
        self._last: dict[str, Refused] = {}

    def collect(self, into: Readings) -> None:
        gains: list[Gain] = []
        for gateway, read in self._readers().items():
            now = read()
            before = self._last.get(gateway)
            self._last[gateway] = now
            if before is not None:
                gains += [
                    Gain(REJECTED, labels, _gained(count, before.get(labels, 0)))
                    for labels, count in now.items()
                ]
        self._writer.add_totals([gain for gain in gains if gain.amount])


def _gained(now: int, before: int) -> int:
    return now - before if now >= before else now
