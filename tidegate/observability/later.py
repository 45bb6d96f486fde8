"""Names that are reserved and that nothing measures yet, each with why. A test holds them to the declarations."""

from collections.abc import Mapping
from types import MappingProxyType

WHY_LATER: Mapping[str, str] = MappingProxyType(
    {
        "tidegate_cold_start_duration_seconds": "No platform in use starts a set from zero copies by a request.",
        "tidegate_queue_duration_seconds": "llama-server tells no time that a request waited for a slot.",
        "tidegate_adapters_loaded": "No engine in use serves LoRA adapters.",
        "tidegate_adapter_load_duration_seconds": "No engine in use serves LoRA adapters.",
        "tidegate_canary_score_ratio": "Live answers are not scored; quality is judged before a release, and by night.",
        "tidegate_shadow_comparisons_total": "Replayed pairs are judged together; nobody keeps a row for each pair.",
        "tidegate_feedback_total": "Clients have no way yet to say what they think of an answer.",
        "tidegate_task_retries_total": "Prefect tells retries only run by run; asking for every task would cost more than it tells.",
        "tidegate_artifact_transfer_bytes_total": "The store takes local files only.",
        "tidegate_artifact_transfer_duration_seconds": "The store takes local files only.",
        "tidegate_store_evictions_total": "The store removes nothing yet.",
        "tidegate_lock_wait_duration_seconds": "Nobody waits for the lock of a service: a release that finds it taken is told so at once.",
    }
)
