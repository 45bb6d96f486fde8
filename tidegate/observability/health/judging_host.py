"""From what was seen of this host, its GPUs, its store and its backups to a judgement. Pure."""

from dataclasses import dataclass
from datetime import datetime

from tidegate.domain.health import BackupMark, Health, Judgement, Part
from tidegate.domain.standing import Finding
from tidegate.observability.health.thresholds import (
    GIBIBYTE,
    BackupLimits,
    GpuLimits,
    HostLimits,
)


@dataclass(frozen=True)
class HostSeen:
    load_1m: float
    cpus: int
    memory_free_bytes: int
    memory_total_bytes: int
    disk_free_bytes: int
    disk_total_bytes: int
    folder: str


def judge_host(seen: HostSeen, limits: HostLimits) -> Judgement:
    free_ratio = seen.memory_free_bytes / max(1, seen.memory_total_bytes)
    per_cpu = seen.load_1m / max(1, seen.cpus)
    parts = (
        _above("cpu", per_cpu, limits.load_per_cpu_warning, None, f"load {seen.load_1m:.1f} on {seen.cpus} processors",
               "Stop what need not run here, or move services to another host."),
        _below("memory", free_ratio, limits.memory_warning_ratio, limits.memory_failed_ratio,
               f"{seen.memory_free_bytes / GIBIBYTE:.1f} of {seen.memory_total_bytes / GIBIBYTE:.1f} GiB free",
               "Retire sets that are no longer needed, or lower `max_memory_bytes` of services."),
        _below("disk", seen.disk_free_bytes, limits.disk_warning_bytes, limits.disk_failed_bytes,
               f"{seen.disk_free_bytes / GIBIBYTE:.1f} of {seen.disk_total_bytes / GIBIBYTE:.1f} GiB free at {seen.folder}",
               "Free some, or move TIDEGATE_HOME to a larger disk."),
    )  # fmt: skip
    disk_ratio = seen.disk_free_bytes / max(1, seen.disk_total_bytes)
    return Judgement.of(
        parts, {"load_per_cpu": per_cpu, "memory_free_ratio": free_ratio, "disk_free_ratio": disk_ratio}
    )


@dataclass(frozen=True)
class Gpu:
    name: str
    memory_used_bytes: int
    memory_total_bytes: int
    temperature_celsius: float | None
    utilization_ratio: float | None
    uncorrected_errors: int | None


@dataclass(frozen=True)
class GpusSeen:
    """`error` when there is a driver that did not answer as it should."""

    has_driver: bool
    gpus: tuple[Gpu, ...] = ()
    error: str = ""


def judge_gpus(seen: GpusSeen, limits: GpuLimits) -> Judgement:
    """No driver and none expected is evidence that there is none; a driver that says nothing is evidence of nothing."""
    if seen.error:
        remedy = "Try: nvidia-smi. After an error of the driver the host may have to be restarted."
        health = Health.FAILED if limits.expected else Health.UNKNOWN
        return Judgement(health, f"the driver does not answer: {seen.error}", remedy)
    if len(seen.gpus) < limits.expected:
        text = f"{len(seen.gpus)} GPUs seen, {limits.expected} expected"
        return Judgement(Health.FAILED, text, "Try: nvidia-smi; look for a GPU that fell off the bus: dmesg.")
    if not seen.has_driver:
        return Judgement(Health.OK, "this host has no NVIDIA GPU; engines use the processor")
    if not seen.gpus:
        return Judgement(Health.UNKNOWN, "there is a driver, and it names no GPU", "Try: nvidia-smi.")
    return Judgement.of(_gpu(number, gpu, limits) for number, gpu in enumerate(seen.gpus))


def _gpu(number: int, gpu: Gpu, limits: GpuLimits) -> Part:
    name = f"gpu {number}"
    used = gpu.memory_used_bytes / max(1, gpu.memory_total_bytes)
    text = f"{gpu.name}: {used:.0%} of {gpu.memory_total_bytes / GIBIBYTE:.0f} GiB in use"
    if gpu.uncorrected_errors:
        remedy = "Move sets away from it and restart the host; replace it when they come again."
        return Part(
            name, Health.FAILED, f"{text}, {gpu.uncorrected_errors} memory errors not corrected", remedy
        )
    if gpu.temperature_celsius is None:
        return Part(name, Health.UNKNOWN, f"{text}, no temperature told", "Try: nvidia-smi.")
    text += f", {gpu.temperature_celsius:.0f} °C"
    if gpu.temperature_celsius >= limits.temperature_warning_celsius:
        is_worst = gpu.temperature_celsius >= limits.temperature_failed_celsius
        return Part(name, Health.FAILED if is_worst else Health.WARNING, text, "Look at fans and air flow.")
    if used >= limits.memory_warning_ratio:
        return Part(name, Health.WARNING, text, "Retire a set, or shorten the context of its service.")
    return Part(name, Health.OK, text)


@dataclass(frozen=True)
class StoreSeen:
    folder: str
    is_writable: bool
    free_bytes: int
    largest_live_bytes: int
    live: tuple[tuple[str, str, bool], ...] = ()
    """(service, digest, whether its file is there) of all that is live on this host's platforms."""


def judge_store(seen: StoreSeen) -> Judgement:
    parts: list[Part] = []
    if seen.is_writable:
        is_tight = seen.free_bytes < seen.largest_live_bytes
        text = f"{seen.folder} can be written, {seen.free_bytes / GIBIBYTE:.1f} GiB free"
        remedy = (
            "There is no room for another file as large as the largest live one: free some."
            if is_tight
            else ""
        )
        parts.append(Part("folder", Health.WARNING if is_tight else Health.OK, text, remedy))
    else:
        remedy = f"Give the user that runs Tidegate the folder: sudo chown -R $USER {seen.folder}"
        parts.append(Part("folder", Health.FAILED, f"{seen.folder} cannot be written", remedy))
    for service, digest, is_there in seen.live:
        if is_there:
            parts.append(Part(service, Health.OK, f"{digest[:12]} is in the store"))
        else:
            remedy = (
                "A set that restarts cannot load it: register the file again, `tidegate models register`."
            )
            parts.append(
                Part(service, Health.FAILED, f"the live file {digest[:12]} is not in the store", remedy)
            )
    return Judgement.of(parts, {"free_bytes": float(seen.free_bytes)})


MAKE, VERIFY = "Make one now: tidegate backup create.", "Restore one as a test: tidegate backup verify."


def judge_backups(
    made: BackupMark | None,
    verified: BackupMark | None,
    failures: tuple[Finding, ...],
    now: datetime,
    limits: BackupLimits,
) -> Judgement:
    """A backup that was never restored is a hope; one that was never made is not even that."""
    parts = [Part(finding.kind, Health.FAILED, finding.summary, finding.remedy) for finding in failures]
    measures: dict[str, float] = {}
    if made is None:
        parts.append(Part("made", Health.UNKNOWN, "no backup was made yet", MAKE))
    else:
        age_s = (now - made.at).total_seconds()
        measures |= {"made_age_s": age_s, "size_bytes": float(made.size_bytes)}
        text = f"{made.name}, {_span(age_s)} old"
        parts.append(_above("made", age_s, limits.made_warning_s, limits.made_failed_s, text, MAKE))
    if verified is None:
        parts.append(Part("verified", Health.UNKNOWN, "no backup was ever restored as a test", VERIFY))
    else:
        age_s = (now - verified.at).total_seconds()
        text = f"{verified.name} was restored as a test {_span(age_s)} ago"
        parts.append(_above("verified", age_s, limits.verified_warning_s, None, text, VERIFY))
    return Judgement.of(parts, measures)


def _span(seconds: float) -> str:
    return f"{seconds / 3600:.0f} h" if seconds < 72 * 3600 else f"{seconds / 86400:.0f} d"


def _above(name: str, value: float, warning: float, failed: float | None, text: str, remedy: str) -> Part:
    health = Health.WARNING if value > warning else Health.OK
    if failed is not None and value > failed:
        health = Health.FAILED
    return Part(name, health, text, remedy if health is not Health.OK else "")


def _below(name: str, value: float, warning: float, failed: float, text: str, remedy: str) -> Part:
    health = Health.WARNING if value < warning else Health.OK
    if value < failed:
        health = Health.FAILED
    return Part(name, health, text, remedy if health is not Health.OK else "")
