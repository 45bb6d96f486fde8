"""Secrets: who wins, what is refused, and that no text form ever shows one."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tidegate.access import PREFECT_AUTH, PROBE_KEY, SecretStore, api_key_name, credential_name
from tidegate.domain import InvalidInput, NeedsOperator, NotFound, Refused, Secret


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "secrets"


def store_one(folder: Path, name: str, value: str, mode: int = 0o600) -> Path:
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / name
    path.write_text(value)
    path.chmod(mode)
    return path


def test_a_secret_that_nobody_made_is_none(folder: Path):
    assert SecretStore(folder, {}).get("org-acme-api-key") is None


def test_the_environment_wins_over_the_file(folder: Path):
    store_one(folder, "org-acme-api-key", "from-file")
    store = SecretStore(folder, {"TIDEGATE_SECRET_ORG_ACME_API_KEY": "from-environment"})

    secret = store.get("org-acme-api-key")

    assert secret is not None
    assert secret.reveal() == "from-environment"


def test_ensure_makes_a_private_file_once_and_keeps_its_value(folder: Path):
    store = SecretStore(folder, {})

    first = store.ensure(api_key_name("acme"))
    second = store.ensure(api_key_name("acme"))

    assert first == second
    assert stat.S_IMODE((folder / "org-acme-api-key").stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert store.names() == ["org-acme-api-key"]


@pytest.mark.parametrize(
    ("name", "prefix"),
    [(api_key_name("acme"), "tg_acme_"), (PROBE_KEY, "tg_probe_"), (PREFECT_AUTH, "tidegate:")],
)
def test_made_secrets_carry_a_recognisable_prefix(folder: Path, name: str, prefix: str):
    value = SecretStore(folder, {}).ensure(name).reveal()

    assert value.startswith(prefix)
    assert len(value) >= len(prefix) + 43


def test_two_processes_that_make_the_same_secret_agree(folder: Path):
    stores = [SecretStore(folder, {}) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        values = {
            secret.reveal()
            for secret in pool.map(lambda store: store.ensure("local-credential-acme"), stores)
        }

    assert len(values) == 1
    assert [path.name for path in folder.iterdir()] == ["local-credential-acme"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666])
def test_a_file_that_others_can_reach_is_refused_with_the_remedy(folder: Path, mode: int):
    path = store_one(folder, "org-acme-api-key", "hush", mode)

    with pytest.raises(Refused) as caught:
        SecretStore(folder, {}).get("org-acme-api-key")

    assert f"chmod 600 {path}" in caught.value.remedy
    assert "hush" not in str(caught.value)


def test_a_link_is_refused(folder: Path, tmp_path: Path):
    target = tmp_path / "elsewhere"
    target.write_text("hush")
    target.chmod(0o600)
    folder.mkdir()
    (folder / "org-acme-api-key").symlink_to(target)

    with pytest.raises(Refused, match="cannot be opened"):
        SecretStore(folder, {}).get("org-acme-api-key")


def test_an_empty_secret_is_refused_wherever_it_stands(folder: Path):
    store_one(folder, "org-acme-api-key", "\n")

    with pytest.raises(InvalidInput, match="is empty"):
        SecretStore(folder, {}).get("org-acme-api-key")
    with pytest.raises(InvalidInput, match="TIDEGATE_SECRET_PROBE_KEY is empty"):
        SecretStore(folder, {"TIDEGATE_SECRET_PROBE_KEY": ""}).get("probe-key")


@pytest.mark.parametrize("name", ["../passwd", "Upper", "a/b", "", ".hidden"])
def test_a_name_that_is_no_name_never_reaches_the_disk(folder: Path, name: str):
    with pytest.raises(InvalidInput, match="no reference to a secret"):
        SecretStore(folder, {}).get(name)


def test_names_of_secrets_are_derived_from_organizations():
    assert api_key_name("acme") == "org-acme-api-key"
    assert credential_name("local", "acme") == "local-credential-acme"


def test_a_replaced_secret_is_the_new_one_and_stays_private(tmp_path):
    store = SecretStore(tmp_path / "secrets", {})
    store.ensure(api_key_name("acme"))

    store.replace(api_key_name("acme"), Secret("the-next-value"))

    assert store.get(api_key_name("acme")) == Secret("the-next-value")
    assert stat.S_IMODE((tmp_path / "secrets" / api_key_name("acme")).stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "secrets").iterdir()] == [api_key_name("acme")]


def test_a_secret_of_the_environment_is_not_replaced_by_a_file(tmp_path):
    store = SecretStore(tmp_path, {"TIDEGATE_SECRET_ORG_ACME_API_KEY": "given-elsewhere"})

    with pytest.raises(Refused, match="TIDEGATE_SECRET_ORG_ACME_API_KEY"):
        store.replace(api_key_name("acme"), Secret("the-next-value"))


def test_a_reference_to_the_environment_reads_exactly_that_variable(folder: Path):
    store = SecretStore(folder, {"ACME_KEY": "value-of-it"})

    assert store.get("env:ACME_KEY") == Secret("value-of-it")
    assert store.get("env:OTHER_KEY") is None


def test_a_reference_to_a_file_reads_it_only_when_it_is_private(folder: Path, tmp_path: Path):
    path = tmp_path / "acme.key"
    path.write_text("value-of-it\n")
    path.chmod(0o600)
    store = SecretStore(folder, {})

    assert store.get(f"file:{path}") == Secret("value-of-it")
    path.chmod(0o644)
    with pytest.raises(Refused, match="can be reached by other users"):
        store.get(f"file:{path}")


def test_prefect_is_asked_only_where_it_can_be(folder: Path):
    inside = SecretStore(folder, {}, prefect_secret={"acme-key": Secret("value-of-it")}.get)

    assert inside.get("prefect-secret:acme-key") == Secret("value-of-it")
    assert inside.get("prefect-secret:other") is None
    with pytest.raises(NeedsOperator, match="only flows can read"):
        SecretStore(folder, {}).get("prefect-secret:acme-key")


@pytest.mark.parametrize("reference", ["env:ACME_KEY", "file:/nowhere/acme", "prefect-secret:acme-key"])
def test_a_secret_kept_elsewhere_is_never_made(folder: Path, reference: str):
    store = SecretStore(folder, {}, prefect_secret=lambda name: None)

    with pytest.raises(NotFound, match="There is no secret at"):
        store.ensure(reference)
    assert not folder.exists()
