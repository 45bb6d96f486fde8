"""PromQL that boards share. Two traps are answered here once, so that no panel has to think of them.

A bad series that does not exist yet is nothing, not 0: `share` puts a zero there. Without traffic a ratio and a quantile
are no number: both leave such a service out.
"""

OF_SERVICE = 'org=~"$org", service=~"$service"'
"""What the variables of a board choose."""
OF_ORG = 'org=~"$org"'
OF_ORG_OR_INSTALLATION = 'org=~"$org|_installation"'
"""Alerts about the installation itself belong to no organization and are everybody's trouble."""
BY_SERVICE = "org, service"
BY_SLOT = "org, service, slot"
WINDOW = "$__rate_interval"
"""Grafana's: the shortest window that holds enough samples at the chosen zoom."""
NOT_SHADOW = f'{OF_SERVICE}, slot!="shadow"'
"""Answers of shadow sets reach no client."""
FAILED = 'code_class=~"5xx|timeout"'
FIRING = 'alertstate="firing"'
ABOUT_SERVICE = f'{OF_SERVICE}, service!=""'
"""Of alerts: one about the whole organization has no service, and `.*` would let it in."""
TO_A_PERSON = 'severity=~"page|ticket"'

SERVICE_NAME = "{{org}}/{{service}}"
SLOT_NAME = "{{org}}/{{service}} {{slot}}"
SET_NAME = "{{service}} {{set}}"


def chosen(metric: str, where: str = OF_SERVICE) -> str:
    """A metric of what the variables choose."""
    return f"{metric}{{{where}}}"


def speed(metric: str, by: str = BY_SERVICE, where: str = OF_SERVICE, window: str = WINDOW) -> str:
    """Of a counter, per second."""
    return f"sum by ({by}) (rate({metric}{{{where}}}[{window}]))"


def gained(metric: str, by: str = BY_SERVICE, where: str = OF_SERVICE, window: str = "1d") -> str:
    """Of a counter, in whole numbers: Prometheus guesses fractions at the ends of a window."""
    grouping = f" by ({by}) " if by else ""
    return f"round(sum{grouping}(increase({metric}{{{where}}}[{window}])))"


def highest(metric: str, by: str = BY_SERVICE, where: str = OF_SERVICE) -> str:
    """Of a gauge; two exporters of one ledger count once."""
    return f"max by ({by}) ({metric}{{{where}}})"


def age(metric: str, by: str = "", where: str = "") -> str:
    """Seconds since the moment that a gauge names."""
    grouping = f" by ({by})" if by else ""
    return f"time() - max{grouping} ({metric}{{{where}}})" if where else f"time() - max{grouping} ({metric})"


def moment(expr: str) -> str:
    """A moment in milliseconds, as Grafana wants it."""
    return f"1000 * {expr}"


def share(part: str, whole: str) -> str:
    """Part of whole; 0 where there is no part, nothing where there is no whole."""
    return f"({part} or 0 * {whole}) / ({whole} > 0)"


def quantile(q: float, metric: str, by: str = BY_SLOT, where: str = OF_SERVICE, window: str = WINDOW) -> str:
    """Of a histogram. A comparison with "no number" is false, so the idle fall out."""
    return f"histogram_quantile({q}, sum by ({by}, le) (rate({metric}_bucket{{{where}}}[{window}]))) >= 0"


def count_or_zero(expr: str) -> str:
    """How many series; 0 when there is none."""
    return f"count({expr}) or vector(0)"


def named(expr: str, into: str, *labels: str) -> str:
    """The series with one more label that joins others: `live` is `pipit:v4`."""
    quoted = ", ".join(f'"{label}"' for label in labels)
    return f'max by ({BY_SERVICE}, {into}) (label_join({expr}, "{into}", ":", {quoted}))'
