"""docs/logging.md says what the code does: keys, figures and commands."""

import re
from pathlib import Path

from tests.unit.cli.test_operations_docs import commands, fault_of
from tidegate.correlation import FIELDS
from tidegate.gateway import GatewayConfig
from tidegate.log_files import KEPT_ROTATIONS, KEPT_S, MAX_LOG_BYTES
from tidegate.observability.log_keys import KEYS, NAMES, keys_table

DOCUMENT = (Path(__file__).resolve().parents[3] / "docs" / "logging.md").read_text(encoding="utf-8")
MIB = 1024**2


def row(log: str) -> list[str]:
    (line,) = [one for one in DOCUMENT.splitlines() if one.startswith(f"| {log} |")]
    return [cell.strip() for cell in line.split("|")[1:-1]]


def test_the_table_of_keys_is_that_of_the_code():
    found = re.search(r"<!-- keys:[^\n]*-->\n(.*?)\n<!-- /keys -->", DOCUMENT, re.DOTALL)

    assert found is not None
    assert found[1] == keys_table()


def test_every_key_stands_once_and_everything_that_can_be_bound_is_one():
    assert len(set(NAMES)) == len(KEYS)
    assert set(NAMES) >= FIELDS


def test_the_figures_of_rotation_are_those_of_the_code():
    gateway = GatewayConfig("g", Path("g"), 1, Path("g.sock"))
    days = f"{KEPT_S / 86_400:g} days"

    assert row("`logs/*.log`")[1:4] == [f"{MAX_LOG_BYTES // MIB} MiB", str(KEPT_ROTATIONS), days]
    assert row("`gateway/*/envoy.log`")[1:4] == [f"{MAX_LOG_BYTES // MIB} MiB", str(KEPT_ROTATIONS), days]
    assert row("`gateway/*/access.log`")[1:4] == [
        f"{gateway.max_access_log_bytes // MIB} MiB",
        str(gateway.kept_access_logs),
        f"{gateway.kept_logs_s / 86_400:g} days",
    ]
    assert row("what is measured of live requests")[1] == f"{gateway.live_keep_bytes // MIB} MiB"


def test_every_quoted_command_exists_with_its_options():
    shell = re.sub(r"\s+#.*", "", DOCUMENT)

    assert [fault for line in commands(shell) if (fault := fault_of(line))] == []
