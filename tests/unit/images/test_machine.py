"""What `nvidia-smi` and the container's limits say."""

import os
from pathlib import Path

from tidegate_worker.engine import open_connections
from tidegate_worker.machine import find_gpu, memory_bytes, parse_gpus


def test_the_cards_are_counted_and_described_by_the_first() -> None:
    gpu = parse_gpus("NVIDIA RTX A4000, 16376, 550.54.15\nNVIDIA RTX A4000, 16376, 550.54.15\n")

    assert gpu is not None
    assert gpu.as_dict() == {
        "name": "NVIDIA RTX A4000",
        "count": 2,
        "memory_bytes": 16376 << 20,
        "driver": "550.54.15",
    }


def test_a_machine_without_cards_has_none() -> None:
    assert find_gpu("no-such-command") is None
    assert parse_gpus("No devices were found") is None
    assert parse_gpus("") is None


def test_nvidia_smi_is_asked_where_it_exists(tmp_path: Path) -> None:
    command = tmp_path / "nvidia-smi"
    command.write_text("#!/bin/sh\necho 'NVIDIA L4, 23034, 560.1'\n")
    command.chmod(0o755)

    gpu = find_gpu(str(command))

    assert gpu is not None
    assert gpu.name == "NVIDIA L4"


def test_the_limit_of_a_container_counts_when_there_is_one(tmp_path: Path) -> None:
    limit, none = tmp_path / "memory.max", tmp_path / "none"
    limit.write_text("1048576\n")
    none.write_text("max\n")
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    assert memory_bytes((none, limit)) == 1048576
    assert memory_bytes((none, tmp_path / "missing")) == physical


def test_established_connections_of_the_port_count_with_their_unsent_bytes(tmp_path: Path) -> None:
    table = tmp_path / "tcp"
    table.write_text(
        "  sl  local_address rem_address   st tx_queue:rx_queue\n"
        "   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 x\n"
        "   1: 0100007F:1F40 0100007F:C350 01 00000200:00000000 x\n"
        "   2: 0100007F:1F40 0100007F:C351 01 00000000:00000000 x\n"
        "   3: 0100007F:1F41 0100007F:C352 01 00000200:00000000 x\n"
    )

    assert open_connections(8000, table) == [512, 0]
    assert open_connections(8000, tmp_path / "missing") == []
