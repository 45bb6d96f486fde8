"""`tidegate models register --signature`, `show` and `verify`."""

import json
from pathlib import Path
from typing import Any

from house import House
from signing import KeySigner

NAMES = ("--org", "acme", "--name", "pipit", "--version", "v1")


def verify(house: House) -> tuple[int, dict[str, Any]]:
    result = house.run("models", "verify", "acme", "pipit:v1", "--json")
    return result.exit_code, json.loads(result.stdout)


def test_a_version_registered_with_its_signature_verifies_and_tells_its_signer(
    strict: House, model: Path, trainer: KeySigner
):
    done = strict.run("models", "register", model, *NAMES, "--signature", trainer.sign(model))
    assert done.exit_code == 0, done.output

    code, said = verify(strict)
    assert (code, said["verified"], said["file_intact"]) == (0, True, True)
    assert said["signature"]["data"]["signed_by"] == ["acme-training"]
    assert "signed by acme-training" in strict.run("models", "verify", "acme", "pipit:v1").stdout
    shown = strict.run("models", "show", "pipit:v1", "--org", "acme")
    assert "signed by acme-training" in shown.stdout
    data = json.loads(strict.run("models", "show", "pipit:v1", "--org", "acme", "--json").stdout)
    assert data["signature"]["data"]["signed_by"] == ["acme-training"]


def test_a_signature_is_attached_to_a_version_that_is_registered_already(
    strict: House, model: Path, other_model: Path, trainer: KeySigner
):
    strict.register(model, "v1")

    refused = strict.run("models", "attach", "acme", "pipit:v1", trainer.sign(other_model))
    assert (refused.exit_code, "signs another file" in refused.stderr) == (2, True)
    assert verify(strict)[0] == 1
    done = strict.run("models", "attach", "acme", "pipit:v1", trainer.sign(model), "--json")

    assert done.exit_code == 0
    assert json.loads(done.stdout)["signature"]["data"]["signed_by"] == ["acme-training"]
    assert verify(strict)[0] == 0


def test_an_unsigned_version_does_not_verify_even_where_it_may_be_released(lenient: House, model: Path):
    assert lenient.run("models", "register", model, *NAMES).exit_code == 0

    code, said = verify(lenient)

    assert (code, said["verified"], said["file_intact"]) == (1, False, True)
    assert said["signature"]["verdict"] == "pass"
    assert "tidegate models attach" in lenient.run("models", "verify", "acme", "pipit:v1").stdout


def test_a_stored_file_that_was_changed_does_not_verify(strict: House, model: Path, trainer: KeySigner):
    version = strict.register(model, "v1", trainer.sign(model))
    stored = Path(version.path)
    content = bytearray(stored.read_bytes())
    content[-1] ^= 1
    stored.chmod(0o644)
    stored.write_bytes(content)

    code, said = verify(strict)

    assert (code, said["verified"], said["file_intact"]) == (1, False, False)


def test_every_signature_that_does_not_count_is_listed_with_its_reason(
    strict: House, model: Path, stranger: KeySigner
):
    strict.register(model, "v1", stranger.sign(model))

    result = strict.run("models", "verify", "acme", "pipit:v1")

    assert result.exit_code == 1
    assert "unknown_signer" in result.stdout
    assert "provenance.trusted_keys" in result.stdout


def test_a_trusted_key_that_is_gone_stops_every_command_with_its_name(strict: House, tmp_path: Path):
    strict.declare({"trusted_keys": [{"name": "acme-training", "path": "gone.pub"}]})

    result = strict.run("models", "list")

    assert result.exit_code == 2
    assert "gone.pub" in result.stderr
    assert "remove the entry" in result.stderr
