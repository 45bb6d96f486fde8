"""GPUs and engines: what sets run on, how full it is, and how platforms behave."""

from deployments.monitoring.grafana.expressions import (
    OF_SERVICE,
    SET_NAME,
    highest,
    share,
    speed,
)
from deployments.monitoring.grafana.panel import ORANGE, RED, YELLOW, Board, Column, Panel, Query, Row

BY_SET = "org, service, set"
BY_GPU = "org, service, set, gpu"
GPU_NAME = "{{service}} {{set}} GPU {{gpu}}"
NO_GPU = "No platform in use tells of a GPU."

SETS = Panel(
    "Sets: what runs, where and in which state",
    "Each set with its version, platform and engine, its state, its memory and what it did. A set that is not ready in the "
    "stable slot hurts; one that is not ready in the candidate slot only waits.",
    (
        Query(
            f"max by ({BY_SET}, platform, engine, model, version, slot) (tidegate_set_info{{{OF_SERVICE}}})"
        ),
        Query(f"max by ({BY_SET}, state) (tidegate_set_state{{{OF_SERVICE}}} == 1)"),
        Query(highest("tidegate_set_memory_bytes", BY_SET), "Memory"),
        Query(
            f"round(sum by ({BY_SET}) (increase(tidegate_set_requests_total{{{OF_SERVICE}}}[1h])))",
            "Requests, 1 h",
        ),
        Query(
            f"round(sum by ({BY_SET}) (increase(tidegate_set_restarts_total{{{OF_SERVICE}}}[1d])))",
            "Restarts, 24 h",
        ),
    ),
    "none",
    look="table",
    width=24,
    height=8,
    columns=(
        Column("org"),
        Column("service", leads=("release",)),
        Column("set"),
        Column("slot", width=90),
        Column("state", width=90),
        Column("model"),
        Column("version"),
        Column("platform"),
        Column("engine"),
        Column("Memory", unit="bytes"),
        Column("Requests, 1 h", unit="none"),
        Column("Restarts, 24 h", unit="none", steps=((1, ORANGE),)),
    ),
)

GPUS = (
    Panel(
        "GPU utilization",
        'Share of time in which some kernel ran. It says "not idle", not "busy": a full GPU may do little.',
        (Query(highest("tidegate_gpu_utilization_ratio", BY_GPU), GPU_NAME),),
        "percentunit",
        least=0,
        most=1,
        when_empty=NO_GPU,
    ),
    Panel(
        "GPU memory in use",
        "Share of each GPU's memory. Above 95 % the next long prompt may end the engine.",
        (
            Query(
                f"max by ({BY_GPU}) (\n"
                f"  tidegate_gpu_memory_used_bytes{{{OF_SERVICE}}} / (tidegate_gpu_memory_total_bytes{{{OF_SERVICE}}} > 0)\n)",
                GPU_NAME,
            ),
        ),
        "percentunit",
        least=0,
        most=1,
        steps=((0.95, RED),),
        alerts=("GpuMemoryPressure",),
        when_empty=NO_GPU,
    ),
    Panel(
        "GPU faults, per hour",
        "What the driver told: `xid`, `ecc`, `row_remap`. Answers of such a GPU may be wrong; its set should leave.",
        (
            Query(
                f"round(sum by ({BY_SET}, kind) (increase(tidegate_gpu_faults_total{{{OF_SERVICE}}}[1h])))",
                f"{SET_NAME} {{{{kind}}}}",
            ),
        ),
        "none",
        look="bars",
        least=0,
        steps=((1, RED),),
        alerts=("GpuFault",),
        when_empty=NO_GPU,
    ),
    Panel(
        "GPU temperature",
        "Most data centre cards slow down from 83 to 90 °C.",
        (Query(highest("tidegate_gpu_temperature_celsius", BY_GPU), GPU_NAME),),
        "celsius",
        steps=((85, ORANGE),),
        when_empty=NO_GPU,
    ),
    Panel(
        "GPU power",
        "Watts. A card far below its limit under load waits for something else than itself.",
        (Query(speed("tidegate_gpu_energy_joules_total", BY_GPU), GPU_NAME),),
        "watt",
        least=0,
        when_empty=NO_GPU,
    ),
    Panel(
        "GPU seconds of work per request",
        "Utilization over requests: what one request costs in GPU time. A rise after a release is the new version's price.",
        (
            Query(
                "sum by (org, service) (avg_over_time(tidegate_gpu_utilization_ratio"
                f"{{{OF_SERVICE}}}[5m]))\n"
                f"/ on (org, service) ({speed('tidegate_requests_total', window='5m')} > 0)",
                "{{org}}/{{service}}",
            ),
        ),
        "s",
        least=0,
        when_empty=NO_GPU,
    ),
)

ENGINES_ROW = (
    Panel(
        "Key-value cache in use",
        "Share of the cache, the mean of ten minutes. When it is full, requests wait, and first tokens come late.",
        (
            Query(
                f"max by ({BY_SET}) (avg_over_time(tidegate_kv_cache_utilization_ratio{{{OF_SERVICE}}}[10m]))",
                SET_NAME,
            ),
        ),
        "percentunit",
        least=0,
        most=1,
        steps=((0.95, RED),),
        alerts=("KvCacheFull",),
    ),
    Panel(
        "Prompt tokens found in the cache",
        "Share of prompt tokens that the engine did not have to read again.",
        (
            Query(
                share(
                    speed("tidegate_prefix_cache_tokens_total", BY_SET, f'{OF_SERVICE}, result="hit"', "15m"),
                    speed("tidegate_prefix_cache_tokens_total", BY_SET, window="15m"),
                ),
                SET_NAME,
            ),
        ),
        "percentunit",
        least=0,
        most=1,
    ),
    Panel(
        "Memory of engines",
        "Resident memory of each engine's process. A line that only rises is a leak.",
        (Query(highest("tidegate_set_memory_bytes", BY_SET), SET_NAME),),
        "bytes",
        least=0,
    ),
    Panel(
        "Engines that had to be started again, per half hour",
        "Restarts, and deaths for want of memory where a platform tells of them. Three deaths in half an hour are a page.",
        (
            Query(
                f"round(sum by ({BY_SET}) (increase(tidegate_set_restarts_total{{{OF_SERVICE}}}[30m])))",
                f"{SET_NAME} restarts",
            ),
            Query(
                f"round(sum by ({BY_SET}) (increase(tidegate_engine_oom_total{{{OF_SERVICE}}}[30m])))",
                f"{SET_NAME} out of memory",
            ),
        ),
        "none",
        least=0,
        steps=((3, RED),),
        alerts=("EngineMemoryLoop",),
    ),
    Panel(
        "Loading a model, 90 %",
        "From the start of an engine until its model was loaded, over a day.",
        (
            Query(
                "histogram_quantile(0.9, sum by (platform, engine, le) "
                "(increase(tidegate_set_load_duration_seconds_bucket[1d]))) >= 0",
                "{{platform}} {{engine}}",
            ),
        ),
        "s",
        least=0,
        when_empty="No set was started within a day.",
    ),
    Panel(
        "A new set is ready after, 90 %",
        "From its creation until it was first ready, over six hours. Twice as long as yesterday is a ticket.",
        (Query("platform:set_ready_p90:seconds6h >= 0", "{{platform}}"),),
        "s",
        least=0,
        alerts=("SlowStarts",),
        when_empty="No set was created within six hours.",
    ),
)

PLATFORMS = (
    Panel(
        "Operations on sets, per hour",
        "What was asked of platforms, and how it ended.",
        (
            Query(
                "round(sum by (platform, operation, result) (increase(tidegate_set_operations_total[1h]))) > 0",
                "{{platform}} {{operation}} {{result}}",
            ),
        ),
        "none",
        look="bars",
        least=0,
        is_stacked=True,
        when_empty="Nothing was asked.",
    ),
    Panel(
        "Operations on sets take, 90 %",
        "From the accepted call until the set was in its final state, over six hours.",
        (
            Query(
                "histogram_quantile(0.9, sum by (platform, operation, le) "
                "(increase(tidegate_set_operation_duration_seconds_bucket[6h]))) >= 0",
                "{{platform}} {{operation}}",
            ),
        ),
        "s",
        least=0,
        when_empty="Nothing was asked within six hours.",
    ),
    Panel(
        "Calls to platforms that fail",
        "Share of calls to each control plane over a quarter of an hour. What runs goes on; new sets may not start.",
        (Query("platform:api_errors:ratio15m", "{{platform}}"),),
        "percentunit",
        least=0,
        steps=((0.2, RED),),
        alerts=("PlatformErrors",),
        when_empty="No platform is called over the network.",
    ),
    Panel(
        "Calls to platforms take, 95 %",
        "Duration of calls to each control plane, over a quarter of an hour.",
        (
            Query(
                "histogram_quantile(0.95, sum by (platform, le) "
                "(rate(tidegate_platform_api_request_duration_seconds_bucket[15m]))) >= 0",
                "{{platform}}",
            ),
        ),
        "s",
        least=0,
        when_empty="No platform is called over the network.",
    ),
    Panel(
        "Things that nobody owns",
        "They may cost money. The sweep removes what is surely ours; half an hour of any is a ticket.",
        (Query("sum by (platform, kind) (tidegate_orphan_resources) > 0", "{{platform}} {{kind}}"),),
        "none",
        look="bars",
        least=0,
        alerts=("OrphanResources",),
        when_empty="There is none.",
    ),
)

HOST = (
    Panel(
        "This host",
        "Share of processor, memory and disk in use. A full disk stops the ledger: 95 % is a page.",
        (Query("max by (resource) (tidegate_host_utilization_ratio)", "{{resource}}"),),
        "percentunit",
        least=0,
        most=1,
        steps=((0.95, RED),),
        alerts=("DiskNearlyFull",),
    ),
    Panel(
        "GPUs of this host",
        "Use and memory of the GPUs that an exporter with `--gpus` or `--gpu-host` sees.",
        (
            Query(
                "max by (instance, gpu) (tidegate_host_gpu_utilization_ratio)", "{{instance}} GPU {{gpu}} use"
            ),
            Query(
                "max by (instance, gpu) (tidegate_host_gpu_memory_used_bytes / (tidegate_host_gpu_memory_total_bytes > 0))",
                "{{instance}} GPU {{gpu}} memory",
            ),
        ),
        "percentunit",
        least=0,
        most=1,
        steps=((0.95, YELLOW),),
        when_empty="No exporter sees a GPU.",
    ),
    Panel(
        "Temperature of GPUs of this host",
        "Most data centre cards slow down from 83 to 90 °C.",
        (
            Query(
                "max by (instance, gpu) (tidegate_host_gpu_temperature_celsius)", "{{instance}} GPU {{gpu}}"
            ),
        ),
        "celsius",
        steps=((85, ORANGE),),
        when_empty="No exporter sees a GPU.",
    ),
    Panel(
        "Power of GPUs of this host",
        "Watts. A card far below its limit under load waits for something else than itself.",
        (
            Query(
                "sum by (instance, gpu) (rate(tidegate_host_gpu_energy_joules_total[$__rate_interval]))",
                "{{instance}} GPU {{gpu}}",
            ),
        ),
        "watt",
        least=0,
        when_empty="No exporter sees a GPU.",
    ),
    Panel(
        "Faults of GPUs of this host, per hour",
        "What the driver told since the exporter started.",
        (
            Query(
                "round(sum by (instance, kind) (increase(tidegate_host_gpu_faults_total[1h])))",
                "{{instance}} {{kind}}",
            ),
        ),
        "none",
        look="bars",
        least=0,
        steps=((1, RED),),
        when_empty="No exporter sees a GPU.",
    ),
)

ENGINES = Board(
    "tidegate-engines",
    "Tidegate · GPUs and engines",
    "What sets run on and how full it is; how platforms and this host behave.",
    (
        Row("", (SETS,)),
        Row("GPUs of sets", GPUS),
        Row("Engines", ENGINES_ROW),
        Row("Platforms", PLATFORMS),
        Row("This host", HOST),
    ),
)
