"""What cost, runs, stores, notices, health and the exporter itself are measured by. Declarations only."""

from tidegate.observability import labels as by
from tidegate.observability.edges import CALL_S, OPERATION_S, PIPELINE_S
from tidegate.observability.metric import Metric, counter, gauge, histogram

RUNNING: tuple[Metric, ...] = (
    counter(
        "cost_usd_total",
        "Cost of sets so far, from their time and rate.",
        (by.ORG, by.SERVICE, by.PLATFORM),
        unit="usd",
    ),
    gauge(
        "cost_usd_per_hour",
        "What a service's sets cost per hour now.",
        (by.ORG, by.SERVICE, by.PLATFORM),
        unit="usd_per_hour",
        source="platform",
    ),
    gauge(
        "cost_billed_usd",
        "What a platform billed for a period.",
        (by.ORG, by.PLATFORM, by.PERIOD),
        unit="usd",
        source="platform",
    ),
    gauge("budget_usd", "What an organization may spend in a period.", (by.ORG, by.PERIOD), unit="usd"),
    gauge("budget_spent_usd", "What an organization has spent in a period.", (by.ORG, by.PERIOD), unit="usd"),
    counter(
        "pipeline_runs_total", "Flow runs that ended, by state.", (by.FLOW, by.RUN_STATE), source="prefect"
    ),
    histogram(
        "pipeline_run_duration_seconds", "Duration of flow runs.", (by.FLOW,), PIPELINE_S, source="prefect"
    ),
    gauge(
        "pipeline_last_success_timestamp_seconds",
        "When a flow last completed.",
        (by.FLOW,),
        unit="seconds",
        source="prefect",
    ),
    gauge(
        "pipeline_expected_interval_seconds",
        "How often a scheduled flow should complete.",
        (by.FLOW,),
        unit="seconds",
        source="prefect",
    ),
    gauge(
        "pipeline_active_runs", "Flow runs that have not ended.", (by.FLOW, by.RUN_STATE), source="prefect"
    ),
    counter(
        "task_retries_total", "Times a task was tried again.", (by.FLOW, by.TASK), ceiling=600, source="later"
    ),
    gauge("workers", "Workers of a pool by state.", (by.POOL, by.WORKER_STATE), source="prefect"),
    gauge(
        "queue_oldest_timestamp_seconds",
        "Since when the oldest late run of a pool waits; absent while none does.",
        (by.POOL,),
        unit="seconds",
        source="prefect",
    ),
    counter(
        "artifact_transfer_bytes_total",
        "Bytes of artifacts moved.",
        (by.TRANSFER_SOURCE, by.DIRECTION),
        unit="bytes",
        source="later",
    ),
    histogram(
        "artifact_transfer_duration_seconds",
        "Duration of moving one artifact.",
        (by.TRANSFER_SOURCE,),
        OPERATION_S,
        source="later",
    ),
    counter(
        "artifact_verification_failures_total",
        "Artifacts whose bytes were not those that their digest names.",
        (by.TRANSFER_SOURCE,),
        source="store",
    ),
    counter(
        "store_evictions_total",
        "Artifacts that were removed to make room.",
        (by.STORE, by.EVICTION),
        source="later",
    ),
    gauge("store_used_bytes", "Bytes in a store.", (by.STORE,), unit="bytes", source="store"),
    gauge("store_capacity_bytes", "Bytes that a store may hold.", (by.STORE,), unit="bytes", source="store"),
    histogram(
        "lock_wait_duration_seconds",
        "Time that somebody waited for a lock.",
        (by.LOCK,),
        CALL_S,
        source="later",
    ),
    counter("notifications_total", "Notices by how they ended.", (by.CHANNEL, by.ORG, by.DELIVERY)),
    gauge("notifications_pending", "Notices that are not delivered yet.", (by.CHANNEL, by.ORG)),
    gauge("notifications_dead", "Notices that were given up: dead letters.", (by.CHANNEL, by.ORG)),
    gauge(
        "notifications_oldest_timestamp_seconds",
        "Since when the oldest undelivered notice waits; absent while none does.",
        (by.ORG,),
        unit="seconds",
    ),
    counter("errors_total", "Errors by their stable code.", (by.ORG, by.ERROR_CODE), ceiling=1000),
    gauge(
        "health_check_state",
        "1 for the present state of a health check, 0 for the others.",
        (by.CHECK, by.HEALTH),
    ),
    gauge(
        "health_check_last_run_timestamp_seconds",
        "When a health check last ran.",
        (by.CHECK,),
        unit="seconds",
    ),
    gauge(
        "backup_last_success_timestamp_seconds",
        "When a backup was last made, and last verified by restoring it.",
        (by.BACKUP_STEP,),
        unit="seconds",
    ),
    gauge(
        "expiry_timestamp_seconds",
        "When the first key or certificate of a kind expires.",
        (by.ORG, by.EXPIRING),
        unit="seconds",
    ),
    gauge(
        "audit_chain_intact",
        "1 when the last check of the audit log found its chain whole.",
        (),
    ),
    gauge(
        "host_utilization_ratio",
        "Share of this host's resource in use.",
        (by.RESOURCE,),
        unit="ratio",
        source="host",
    ),
    gauge(
        "host_gpu_memory_used_bytes",
        "Memory of a GPU of this host in use.",
        (by.HOST_GPU,),
        unit="bytes",
        source="host",
    ),
    gauge(
        "host_gpu_memory_total_bytes",
        "Memory of a GPU of this host.",
        (by.HOST_GPU,),
        unit="bytes",
        source="host",
    ),
    gauge(
        "host_gpu_utilization_ratio",
        "Share of time in which a GPU of this host ran some kernel.",
        (by.HOST_GPU,),
        unit="ratio",
        source="host",
    ),
    gauge(
        "host_gpu_temperature_celsius",
        "Temperature of a GPU of this host.",
        (by.HOST_GPU,),
        unit="celsius",
        source="host",
    ),
    counter(
        "host_gpu_energy_joules_total",
        "Energy of a GPU of this host; its rate is watts.",
        (by.HOST_GPU,),
        unit="joules",
        source="host",
    ),
    counter("host_gpu_faults_total", "Faults of the GPUs of this host.", (by.FAULT_KIND,), source="host"),
    gauge("process_up", "1 while a process of the stack runs.", (by.PROCESS,), source="host"),
    gauge("build_info", "Always 1: the version of Tidegate.", (by.VERSION,), source="exporter", ceiling=5),
    gauge(
        "collector_last_success_timestamp_seconds",
        "When a collector of the exporter last succeeded.",
        (by.COLLECTOR,),
        unit="seconds",
        source="exporter",
    ),
    gauge(
        "collector_duration_seconds",
        "How long a collector took last.",
        (by.COLLECTOR,),
        unit="seconds",
        source="exporter",
    ),
    counter(
        "collector_errors_total",
        "Failures of a collector; `cardinality` counts label sets beyond a budget.",
        (by.COLLECTOR,),
        source="exporter",
    ),
)
