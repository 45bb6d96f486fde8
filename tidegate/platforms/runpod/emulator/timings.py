"""How long things take on the platform: documented values as defaults, all of them settable for tests."""

from dataclasses import dataclass, fields, replace

from tidegate.domain import InvalidInput


@dataclass(frozen=True)
class Timings:
    """Seconds, unless the name says otherwise. Names without a source in the vendor's texts are ours."""

    tick_s: float = 0.25
    init_timeout_s: float = 420.0
    image_pull_s: float = 0.2
    restart_backoff_s: float = 1.0
    restart_backoff_cap_s: float = 30.0
    stop_grace_s: float = 10.0
    drain_limit_s: float = 330.0
    health_interval_s: float = 2.0
    starting_health_interval_s: float = 0.25
    health_timeout_s: float = 5.0
    take_hold_s: float = 15.0
    stop_hold_s: float = 20.0
    ping_interval_s: float = 10.0
    lease_lost_s: float = 40.0
    unacknowledged_s: float = 20.0
    scale_step_s: float = 1.0
    stream_hold_s: float = 10.0
    edge_limit_s: float = 100.0
    runsync_wait_s: float = 90.0
    async_retention_s: float = 1800.0
    sync_retention_s: float = 60.0
    job_ttl_s: float = 86400.0
    execution_timeout_s: float = 600.0
    webhook_gap_s: float = 10.0
    lb_wait_s: float = 120.0
    lb_request_limit_s: float = 330.0
    log_retention_s: float = 300.0
    shrink_after_s: float = 3 * 86400.0
    park_after_s: float = 7 * 86400.0
    rate_minute: int = 60
    rate_hour: int = 3000
    rate_day: int = 50000
    data_rate_factor: float = 1.0

    def with_texts(self, texts: dict[str, str]) -> "Timings":
        """A copy with the named values replaced.

        Raises:
            InvalidInput: for an unknown name, or a value that is no number of that kind.
        """
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        changes: dict[str, float] = {}
        for name, text in texts.items():
            if name not in known:
                raise InvalidInput(
                    f"No timing is called '{name}'.", remedy=f"Known: {', '.join(sorted(known))}."
                )
            try:
                changes[name] = int(text) if isinstance(known[name], int) else float(text)
            except ValueError as error:
                raise InvalidInput(
                    f"Timing '{name}' is not a number: '{text}'.", remedy="Give a number of seconds."
                ) from error
        return replace(self, **changes)
