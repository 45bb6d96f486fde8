"""What Prometheus and Alertmanager must be told of an installation: addresses, and who is on call."""

from pathlib import Path
from typing import Annotated, Any, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from tidegate.domain import InvalidInput
from tidegate.domain.names import Name

Address = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.\-\[\]:]+:[0-9]{1,5}$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s{}]+$")]
Mailbox = Annotated[str, StringConstraints(pattern=r"^[^@\s,]+@[^@\s,]+$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Mail(_Part):
    """The mail server that Alertmanager hands pages to by itself, so that they arrive while Tidegate is down."""

    smarthost: Address
    sender: Mailbox
    require_tls: bool = True
    username: str = ""
    password_file: str = ""


class OnCall(_Part):
    """Mailboxes that get pages straight from Alertmanager. Everybody else is told by Tidegate's own channels."""

    operators: tuple[Mailbox, ...] = ()
    organizations: dict[Name, tuple[Mailbox, ...]] = Field(default_factory=dict)


class MonitoringSettings(_Part):
    """`deployments/monitoring/monitoring.yaml`."""

    exporter: Address = "127.0.0.1:8091"
    prometheus: Address = "127.0.0.1:9090"
    alertmanager: Address = "127.0.0.1:9093"
    console: Url = "http://127.0.0.1:8090"
    alert_token_file: str = Field(
        default="/run/secrets/tidegate-alerts",
        description="File that holds what `tidegate keys alerts` prints, as Alertmanager sees it.",
    )
    engine_targets: Url | None = Field(
        default=None, description="HTTP service discovery of engines whose own metrics are wanted, too."
    )
    dead_man_url: Url | None = Field(
        default=None, description="Who must hear the Watchdog all the time, and calls a person when it stops."
    )
    mail: Mail | None = None
    on_call: OnCall = OnCall()


def load_monitoring(file: Path) -> MonitoringSettings:
    """Raises: InvalidInput that names the file and the first wrong field."""
    try:
        read: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
        return MonitoringSettings.model_validate(cast("object", read or {}))
    except (OSError, yaml.YAMLError) as error:
        raise InvalidInput(
            f"{file} cannot be read: {error}.", remedy="Name a YAML file with --settings.", field="settings"
        ) from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"]) or "monitoring"
        raise InvalidInput(
            f"{file}: {field}: {first['msg']}.",
            remedy="See deployments/monitoring/monitoring.yaml.",
            field=field,
        ) from error
