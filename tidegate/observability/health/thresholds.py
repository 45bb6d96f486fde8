"""Where good ends: the limits that health checks judge by, from `deployments/health.yaml` where there is one."""

from pathlib import Path
from typing import Any, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tidegate.domain import InvalidInput

GIBIBYTE = 1024**3
HOUR_S, DAY_S = 3600.0, 86400.0


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HostLimits(_Part):
    load_per_cpu_warning: float = Field(
        default=4.0, gt=0, description="Processes that wait for each processor."
    )
    memory_warning_ratio: float = Field(default=0.10, ge=0, le=1, description="Free memory below this share.")
    memory_failed_ratio: float = Field(default=0.03, ge=0, le=1)
    disk_warning_bytes: int = Field(default=2 * GIBIBYTE, ge=0, description="Free room in the home folder.")
    disk_failed_bytes: int = Field(default=GIBIBYTE // 2, ge=0)


class GpuLimits(_Part):
    expected: int = Field(default=0, ge=0, description="GPUs that this host must have.")
    temperature_warning_celsius: float = 85.0
    temperature_failed_celsius: float = 95.0
    memory_warning_ratio: float = Field(default=0.97, ge=0, le=1, description="Memory in use.")


class LedgerLimits(_Part):
    write_warning_s: float = Field(default=0.5, gt=0)
    write_failed_s: float = Field(default=5.0, gt=0)


class GatewayLimits(_Part):
    silence_warning_s: float = Field(default=5.0, gt=0)
    silence_failed_s: float = Field(default=30.0, gt=0)
    behind_failed_s: float = Field(
        default=30.0, gt=0, description="So long may a new generation take to reach a gateway."
    )


class QueueLimits(_Part):
    run_warning_s: float = Field(default=120.0, gt=0, description="A flow run that should have begun.")
    run_failed_s: float = Field(default=900.0, gt=0)
    notice_warning_s: float = Field(default=120.0, gt=0, description="An event nobody was told of yet.")
    notice_failed_s: float = Field(default=1800.0, gt=0)


class ExpiryLimits(_Part):
    warning_s: float = Field(default=14 * DAY_S, gt=0)
    failed_s: float = Field(default=2 * DAY_S, ge=0)


class BackupLimits(_Part):
    made_warning_s: float = Field(default=26 * HOUR_S, gt=0)
    made_failed_s: float = Field(default=3 * DAY_S, gt=0)
    verified_warning_s: float = Field(default=8 * DAY_S, gt=0)


class Thresholds(_Part):
    """`deployments/health.yaml`; what is not named there is as here."""

    host: HostLimits = HostLimits()
    gpu: GpuLimits = GpuLimits()
    ledger: LedgerLimits = LedgerLimits()
    gateways: GatewayLimits = GatewayLimits()
    queues: QueueLimits = QueueLimits()
    expiry: ExpiryLimits = ExpiryLimits()
    backups: BackupLimits = BackupLimits()


def load_thresholds(file: Path) -> Thresholds:
    """The defaults where there is no such file.

    Raises: InvalidInput that names the file and the first wrong field.
    """
    try:
        read: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        return Thresholds.model_validate(cast("object", read or {}))
    except FileNotFoundError:
        return Thresholds()
    except (OSError, yaml.YAMLError) as error:
        raise InvalidInput(f"{file} cannot be read: {error}.", remedy="Correct or remove it.") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "health"
        raise InvalidInput(
            f"{file}: {field}: {first['msg']}.", remedy="See docs/health.md.", field=field
        ) from error
