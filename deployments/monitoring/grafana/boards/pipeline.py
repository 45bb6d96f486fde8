"""Pipeline and workers: flows, pools, notices, stores, backups, and whether what watches still watches."""

from deployments.monitoring.grafana.expressions import (
    OF_ORG,
    OF_ORG_OR_INSTALLATION,
    age,
    gained,
    highest,
)
from deployments.monitoring.grafana.panel import GREEN, GREY, ORANGE, RED, YELLOW, Board, Panel, Query, Row


def _age(title: str, says: str, metric: str, by: str, page_s: float, *alerts: str, where: str = "") -> Panel:
    return Panel(
        title,
        says,
        (Query(age(metric, by, where), f"{{{{{by}}}}}"),),
        "s",
        least=0,
        steps=((page_s, RED),),
        alerts=alerts,
    )


FLOWS = (
    Panel(
        "Runs that ended, per hour",
        "By flow and how they ended. `failed` and `crashed` are a ticket; a crashed release is finished by the reconciler.",
        (
            Query(
                "round(sum by (flow, state) (increase(tidegate_pipeline_runs_total[1h]))) > 0",
                "{{flow}} {{state}}",
            ),
        ),
        "none",
        look="bars",
        least=0,
        is_stacked=True,
        alerts=("PipelineFailed",),
        when_empty="Nothing ended.",
    ),
    Panel(
        "Runs that have not ended",
        "By flow and state. `pending` that grows is a pool without room.",
        (
            Query(
                "sum by (flow, state) (tidegate_pipeline_active_runs) > 0",
                "{{flow}} {{state}}",
            ),
        ),
        "none",
        least=0,
        is_stacked=True,
        when_empty="Nothing runs.",
    ),
    Panel(
        "Runs take, 90 %",
        "Duration of runs by flow, over a day.",
        (
            Query(
                "histogram_quantile(0.9, sum by (flow, le) "
                "(increase(tidegate_pipeline_run_duration_seconds_bucket[1d]))) >= 0",
                "{{flow}}",
            ),
        ),
        "s",
        least=0,
    ),
    Panel(
        "Last success against the schedule",
        "Time since a flow last completed, in its own intervals. 1 is right; 3 is a ticket.",
        (
            Query(
                "(time() - max by (flow) (tidegate_pipeline_last_success_timestamp_seconds))\n"
                "/ on (flow) max by (flow) (tidegate_pipeline_expected_interval_seconds)",
                "{{flow}}",
            ),
        ),
        "none",
        least=0,
        steps=((3, RED),),
        alerts=("PipelineStale",),
    ),
    Panel(
        "Workers that are there",
        "Workers online in each pool. None is a page: its runs wait until one is back.",
        (Query('sum by (pool) (tidegate_workers{state="online"})', "{{pool}}"),),
        "none",
        least=0,
        alerts=("WorkersGone",),
    ),
    Panel(
        "The oldest run has waited",
        "Seconds that the oldest late run of a pool waits. Ten minutes are a ticket.",
        (Query("time() - min by (pool) (tidegate_queue_oldest_timestamp_seconds)", "{{pool}}"),),
        "s",
        least=0,
        steps=((600, RED),),
        alerts=("QueueOld",),
        when_empty="Nothing waits.",
    ),
)

NOTICES = (
    Panel(
        "Notices, per hour",
        "By channel and result. `suppressed` came again within its window; `dead` was given up.",
        (
            Query(
                f"{gained('tidegate_notifications_total', 'org, channel, result', OF_ORG_OR_INSTALLATION, '1h')} > 0",
                "{{org}} {{channel}} {{result}}",
            ),
        ),
        "none",
        look="bars",
        least=0,
        is_stacked=True,
        when_empty="Nobody had to be told anything.",
    ),
    Panel(
        "Notices that were given up",
        "Dead letters by channel. Whoever should know does not: any is a page.",
        (
            Query(
                highest("tidegate_notifications_dead", "org, channel", OF_ORG_OR_INSTALLATION),
                "{{org}} {{channel}}",
            ),
            Query(
                highest("tidegate_notifications_pending", "org, channel", OF_ORG_OR_INSTALLATION),
                "{{org}} {{channel}} waiting",
            ),
        ),
        "none",
        least=0,
        steps=((1, RED),),
        alerts=("NotificationsFailing",),
        when_empty="There is none.",
    ),
    Panel(
        "The oldest notice has waited",
        "Seconds. Users were promised half a minute; two are a page.",
        (
            Query(
                "time() - min by (org) (tidegate_notifications_oldest_timestamp_seconds"
                f"{{{OF_ORG_OR_INSTALLATION}}})",
                "{{org}}",
            ),
        ),
        "s",
        least=0,
        steps=((120, RED),),
        alerts=("NotificationsLate",),
        when_empty="Nothing waits.",
    ),
)

STORES = (
    Panel(
        "Stores are full to",
        "Share of what each store may hold. Above 90 %, or full within a day at this rate, is a ticket.",
        (
            Query(
                "max by (store) (tidegate_store_used_bytes) / max by (store) (tidegate_store_capacity_bytes > 0)",
                "{{store}}",
            ),
        ),
        "percentunit",
        least=0,
        most=1,
        steps=((0.9, RED),),
        alerts=("StoreNearlyFull",),
    ),
    Panel(
        "Artifacts that are not what their digest names, per hour",
        "Bytes that changed on the way or on the disk. They were refused and carry no traffic; any is a page.",
        (
            Query(
                "round(sum by (source) (increase(tidegate_artifact_verification_failures_total[1h])))",
                "{{source}}",
            ),
        ),
        "none",
        look="bars",
        least=0,
        steps=((1, RED),),
        alerts=("ArtifactCorrupt",),
    ),
    _age(
        "The last backup was, ago",
        "`made` within a day, `verified` by restoring it within a week. Older is a ticket.",
        "tidegate_backup_last_success_timestamp_seconds",
        "step",
        26 * 3600,
        "BackupMissing",
        "BackupUnverified",
    ),
    Panel(
        "Keys and certificates expire in",
        "Seconds until the first of each kind expires. Two weeks are a ticket.",
        (
            Query(
                f"min by (org, kind) (tidegate_expiry_timestamp_seconds{{{OF_ORG_OR_INSTALLATION}}}) - time()",
                "{{org}} {{kind}}",
            ),
        ),
        "s",
        alerts=("KeyExpires",),
        when_empty="Nothing expires.",
    ),
    Panel(
        "The audit log is whole",
        "1 when the last check found the chain unbroken. Broken means that somebody changed what was written.",
        (Query("min(tidegate_audit_chain_intact)", "audit log"),),
        "none",
        look="states",
        texts={1: ("whole", GREEN), 0: ("BROKEN", RED)},
        alerts=("AuditChainBroken",),
        when_empty="Nobody has checked it yet.",
    ),
)

WATCHING = (
    Panel(
        "Health checks",
        "The worst state of each check of `tidegate doctor`: what fails has its remedy there.",
        (
            Query(
                'max by (check) (tidegate_health_check_state{state="ok"})\n'
                '+ 2 * max by (check) (tidegate_health_check_state{state="warning"})\n'
                '+ 3 * max by (check) (tidegate_health_check_state{state="failed"})',
                "{{check}}",
            ),
        ),
        "none",
        look="states",
        height=10,
        texts={0: ("unknown", GREY), 1: ("well", GREEN), 2: ("warns", YELLOW), 3: ("fails", RED)},
        alerts=("HealthCheckFailed", "HealthCheckUnknown"),
    ),
    _age(
        "Health checks last ran, ago",
        "Seconds. After ten minutes an answer says nothing about now.",
        "tidegate_health_check_last_run_timestamp_seconds",
        "check",
        600,
        "HealthChecksStale",
    ),
    _age(
        "Collectors last read, ago",
        "Seconds since the exporter last read each source. What is old here is old on every board.",
        "tidegate_collector_last_success_timestamp_seconds",
        "collector",
        300,
        "CollectorStale",
    ),
    Panel(
        "Collectors take",
        "How long each last look took.",
        (Query("max by (collector) (tidegate_collector_duration_seconds)", "{{collector}}"),),
        "s",
        least=0,
    ),
    Panel(
        "Failures of collectors, per hour",
        "`cardinality` counts label sets beyond a budget: those services are shown as `other`.",
        (
            Query(
                "round(sum by (collector) (increase(tidegate_collector_errors_total[1h])))",
                "{{collector}}",
            ),
        ),
        "none",
        look="bars",
        least=0,
        steps=((1, ORANGE),),
        alerts=("CardinalityExceeded",),
    ),
    Panel(
        "Targets of Prometheus",
        "Whether each answers. Without the exporter every other alert is blind.",
        (Query("min by (job, instance) (up)", "{{job}} {{instance}}"),),
        "none",
        look="states",
        texts={1: ("answers", GREEN), 0: ("silent", RED)},
        alerts=("ExporterDown", "TargetDown"),
    ),
    Panel(
        "Processes of this host",
        "Each process of `tidegate up`, up or down.",
        (Query("min by (process) (tidegate_process_up)", "{{process}}"),),
        "none",
        look="states",
        texts={1: ("runs", GREEN), 0: ("down", RED)},
        alerts=("ProcessDown",),
    ),
    Panel(
        "Errors by code, per hour",
        "docs/errors.md says what each code means and what to do.",
        (Query(gained("tidegate_errors_total", "org, code", OF_ORG, "1h"), "{{org}} {{code}}"),),
        "none",
        look="bars",
        least=0,
        is_stacked=True,
        alerts=("ErrorsRising",),
    ),
    Panel(
        "Versions of Tidegate that run",
        "One line is right; two are an update that is half done.",
        (Query("max by (version) (tidegate_build_info)", "{{version}}"),),
        "none",
        look="states",
        texts={1: ("runs", GREEN)},
    ),
)

PIPELINE = Board(
    "tidegate-pipeline",
    "Tidegate · Pipeline and workers",
    "Flows and their workers, notices, stores and backups, and whether what watches still watches.",
    (
        Row("Flows and workers", FLOWS),
        Row("Notices", NOTICES),
        Row("Stores, backups, keys", STORES),
        Row("What watches", WATCHING),
    ),
    since="now-24h",
)
