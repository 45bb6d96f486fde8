"""The commands of docs/provenance.md work as they stand there."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from house import House

from tidegate.settings import SOURCE_ROOT

DOCUMENT = SOURCE_ROOT / "docs/provenance.md"


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the document makes its key with openssl")
def test_the_commands_of_the_document_sign_register_and_verify(tmp_path: Path):
    blocks = re.findall(r"```sh\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), flags=re.DOTALL)
    shutil.copy(SOURCE_ROOT / "deployments/demo/models/pipit-v2.gguf", tmp_path)
    house = House(tmp_path, {})
    keys = house.deployments / "organizations/keys"
    keys.mkdir()
    env = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TIDEGATE_HOME": str(house.home),
        "TIDEGATE_DEPLOYMENTS_DIR": str(house.deployments),
    }
    said = []
    for number, block in enumerate(blocks):
        if number == len(blocks) - 1:
            shutil.copy(tmp_path / "training.pub", keys)
            house.declare(
                {"required": True, "trusted_keys": [{"name": "acme-training", "path": "keys/training.pub"}]}
            )
        done = subprocess.run(
            ["bash", "-euc", block], cwd=tmp_path, env=env, capture_output=True, text=True, timeout=600
        )
        assert done.returncode == 0, done.stdout + done.stderr
        said.append(done.stdout)

    assert len(blocks) == 3
    assert "signed by acme-training" in said[-1]
