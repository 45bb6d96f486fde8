"""Secrets by reference: from the environment, from files that only their owner can read, or from Prefect's blocks.

Values leave this room as `Secret` only; no error, log line or listing holds one.
"""

import base64
import os
import re
import secrets
import stat
from collections.abc import Callable, Mapping
from pathlib import Path

from tidegate.domain import InvalidInput, NeedsOperator, NotFound, Place, Refused, Secret, SecretReference
from tidegate.domain.secret_reference import SECRET_NAME_PATTERN

ENVIRONMENT_PREFIX = "TIDEGATE_SECRET_"
PROBE_KEY = "tidegate-probe-key"
PREFECT_AUTH = "prefect-auth"
API_TOKEN = "console-api-token"
ALERT_TOKEN = "alert-webhook-token"
REQUEST_KEYS_PREFIX = "request-keys-"
ENGINE_KEYS_PREFIX = "engine-keys-"
WEBHOOK_KEY_PREFIX = "webhook-key-"
FORBIDDEN_MODE = stat.S_IRWXG | stat.S_IRWXO


def api_key_name(org: str) -> str:
    """Name of the secret that an organization's clients present to the gateway."""
    return f"org-{org}-api-key"


def new_api_key(org: str) -> Secret:
    """A key of 256 random bits for a client of an organization."""
    return Secret(_api_key(org, secrets.token_urlsafe(32)))


def credential_name(platform: str, org: str) -> str:
    """Name of the secret that proves an organization to a platform."""
    return f"{platform}-credential-{org}"


def engine_keys_name(org: str) -> str:
    """Name of the secret that the keys of an organization's public sets are derived from."""
    return f"{ENGINE_KEYS_PREFIX}{org}"


def capture_key_name(org: str) -> str:
    """Name of the secret that seals sampled requests of an organization's clients."""
    return f"capture-key-{org}"


def webhook_key_name(org: str, channel: str) -> str:
    """Name of the secret that signs what a webhook of an organization gets, where its channel names no other."""
    return f"{WEBHOOK_KEY_PREFIX}{org}-{channel}"


def request_keys_name(org: str) -> str:
    """Name of the secret that signs the request tokens of an organization."""
    return f"{REQUEST_KEYS_PREFIX}{org}"


class SecretStore:
    """Reads what a reference names. A bare name is ours: `TIDEGATE_SECRET_<NAME>` wins over the file
    `<folder>/<name>`, which must have mode 0600. Prefect's blocks are read by `prefect_secret`, which only flows have.
    """

    def __init__(
        self,
        folder: Path,
        environ: Mapping[str, str],
        random_text: Callable[[], str] = lambda: secrets.token_urlsafe(32),
        prefect_secret: Callable[[str], Secret | None] | None = None,
    ):
        self._folder = folder
        self._environ = environ
        self._random_text = random_text
        self._prefect_secret = prefect_secret

    def get(self, reference: str) -> Secret | None:
        """The secret, or None when there is none where the reference says.

        Raises:
            InvalidInput: this is no reference, or the value is empty.
            Refused: the file can be read by others, is not a plain file, or belongs to somebody else.
            NeedsOperator: it is kept in Prefect, and this process is no flow.
        """
        place, name = SecretReference.parse(reference)
        match place:
            case Place.ENVIRONMENT:
                return self._read_variable(name)
            case Place.FILE:
                return self._read(Path(name))
            case Place.PREFECT:
                return self._read_prefect(name)
            case Place.STORE:
                own = variable_name(name)
                return self._read_variable(own) if own in self._environ else self._read(self._folder / name)

    def ensure(self, reference: str) -> Secret:
        """The secret, made and stored if our own store lacks it. Two processes asking at once get the same one.

        Raises: what `get` does, and NotFound for a missing one that is kept elsewhere.
        """
        found = self.get(reference)
        if found is not None:
            return found
        place, name = SecretReference.parse(reference)
        if place is not Place.STORE:
            raise NotFound(
                f"There is no secret at '{reference}'.", remedy="Put it there, or correct the reference."
            )
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / name
        self._create(path, _new_value(name, self._random_text()))
        made = self._read(path)
        if made is None:
            raise Refused(
                f"The secret file {path} vanished right after it was made.",
                remedy="Find out which program cleans this folder, then run the command again.",
            )
        return made

    def replace(self, name: str, value: Secret) -> None:
        """Store another value in place of the present one.

        Raises:
            InvalidInput: the name has a shape that no secret of ours has.
            Refused: the environment gives this secret.
        """
        self.refuse_override(name)
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._folder / name
        os.replace(self._draft(path, value.reveal()), path)

    def refuse_override(self, name: str) -> None:
        """Raises: Refused when the environment gives this secret, so that a file would change nothing."""
        variable = variable_name(name)
        if variable in self._environ:
            raise Refused(
                f"The secret '{name}' is given by {variable}.", remedy="Change it there, where it comes from."
            )

    def names(self) -> list[str]:
        """Names of the stored secrets; never a value."""
        if not self._folder.is_dir():
            return []
        return sorted(
            path.name for path in self._folder.iterdir() if re.match(SECRET_NAME_PATTERN, path.name)
        )

    def _create(self, path: Path, value: str) -> None:
        """Write aside, then link: the name appears with its whole content or not at all, and never twice."""
        draft = self._draft(path, value)
        try:
            os.link(draft, path)
        except FileExistsError:
            return
        finally:
            draft.unlink()

    def _draft(self, path: Path, value: str) -> Path:
        """A private file beside `path` that holds the value, on the disk."""
        draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(value + "\n")
            file.flush()
            os.fsync(file.fileno())
        return draft

    def _read_variable(self, name: str) -> Secret | None:
        text = self._environ.get(name)
        return None if text is None else _secret_of(text, f"The environment variable {name}")

    def _read_prefect(self, name: str) -> Secret | None:
        if self._prefect_secret is None:
            raise NeedsOperator(
                f"The secret '{name}' is kept in Prefect, which only flows can read.",
                remedy=f"Do this in a flow, or keep the secret elsewhere: env:NAME, file:PATH, or '{name}' in the store.",
            )
        return self._prefect_secret(name)

    def _read(self, path: Path) -> Secret | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Refused(
                f"The secret file {path} cannot be opened: {error.strerror}.",
                remedy="It must be a plain file (no link) that you own; remove it to have a new one made.",
            ) from error
        with os.fdopen(descriptor, encoding="utf-8") as file:
            _refuse_exposed(path, os.fstat(descriptor))
            return _secret_of(file.read(), f"The secret file {path}")


def variable_name(name: str) -> str:
    """The environment variable that overrides a secret.

    Raises:
        InvalidInput: when the name could not be a file of ours.
    """
    if not re.match(SECRET_NAME_PATTERN, name):
        raise InvalidInput(
            f"'{name}' is not a name of a secret.",
            remedy="Use lower-case letters, digits and dashes, for example org-swaggystacks-api-key.",
            field="name",
        )
    return ENVIRONMENT_PREFIX + name.upper().replace("-", "_")


def _new_value(name: str, random_text: str) -> str:
    """Client keys carry a recognisable prefix, so that a leaked one can be found by secret scanners."""
    if name == PREFECT_AUTH:
        return f"tidegate:{random_text}"
    if name == PROBE_KEY:
        return f"tg_probe_{random_text}"
    if match := re.match(r"^org-(.+)-api-key$", name):
        return _api_key(match[1], random_text)
    if name.startswith((REQUEST_KEYS_PREFIX, ENGINE_KEYS_PREFIX)):
        return f"k1 {random_text}"
    if name.startswith(WEBHOOK_KEY_PREFIX):
        # As Standard Webhooks writes keys: receivers' libraries take it as it is.
        return f"whsec_{base64.b64encode(random_text.encode()).decode()}"
    return random_text


def _api_key(org: str, random_text: str) -> str:
    return f"tg_{org}_{random_text}"


def _secret_of(text: str, origin: str) -> Secret:
    value = text.strip()
    if not value:
        raise InvalidInput(
            f"{origin} is empty.", remedy="Set a value, or remove it to have one made.", field="secret"
        )
    return Secret(value)


def _refuse_exposed(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise Refused(f"{path} is not a plain file.", remedy="Remove it to have a new secret made.")
    if status.st_uid not in (os.geteuid(), 0):
        raise Refused(
            f"The secret file {path} belongs to another user.",
            remedy=f"Run: sudo chown {os.geteuid()} {path}",
        )
    if status.st_mode & FORBIDDEN_MODE:
        raise Refused(
            f"The secret file {path} can be reached by other users (mode {stat.S_IMODE(status.st_mode):04o}).",
            remedy=f"Run: chmod 600 {path}, and replace the secret if others may have read it.",
        )
