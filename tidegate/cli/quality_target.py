"""Whom `tidegate quality` asks: an OpenAI-compatible URL, a service of this installation, or a model file."""

import os
import re
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tidegate.domain import InvalidInput, Refused, Secret, ServiceRef, Transient

if TYPE_CHECKING:
    from tidegate.quality import EndpointAsker
    from tidegate.quality.cache import AnswerStore
    from tidegate.quality.source import Served, Source

KEY_BYTES = 8192
KEY_REFUSED = ("HTTP 401", "HTTP 403")
ENDING = "/chat/completions"
NOT_KNOWN = (
    "{target} does not say which file it serves (a SHA-256 as model name) or by which engine, so nothing was taken from "
    "earlier runs and a stopped run cannot go on."
)


@dataclass(frozen=True)
class Target:
    """One model to ask, while it is open."""

    source: "Source"
    served: "Served"
    kept: "AnswerStore | None" = None
    ref: ServiceRef | None = None
    note: str = ""


@dataclass(frozen=True)
class AskOptions:
    """How a target is asked; the same for both of a comparison."""

    max_tokens: int = 64
    seed: int = 0
    timeout_s: float = 60.0
    model: str = ""
    is_resumed: bool = True


@contextmanager
def opened_target(text: str, key: Secret, options: AskOptions, option: str = "TARGET") -> Generator[Target]:
    """Ask who is there, and open the answers that were kept of it.

    Raises: InvalidInput, NotFound, Refused, Transient.
    """
    with ExitStack() as stack:
        source, ref = _source(text, key, options, option, stack)
        served = source.identify()
        if served.error in KEY_REFUSED:
            raise Refused(
                f"{source.target} does not take this key ({served.error}).",
                remedy="Give the right one with --key-env NAME or --key-file FILE.",
                field="--key-env",
            )
        if served.error:
            raise Transient(
                f"{source.target} does not answer: {served.error}.",
                remedy="Check that it runs, that host and port are right, and that the key is taken (--key-env).",
                field=option,
            )
        kept, note = None, ""
        if options.is_resumed and served.is_known:
            kept = stack.enter_context(_store(ref, served))
        elif options.is_resumed:
            note = NOT_KNOWN.format(target=source.target)
        yield Target(source, served, kept, ref, note)


def _source(
    text: str, key: Secret, options: AskOptions, option: str, stack: ExitStack
) -> "tuple[Source, ServiceRef | None]":
    from tidegate.quality import EndpointAsker

    if "://" in text:
        asker = _endpoint(EndpointAsker, base_url(text, option), key, options.model or "default", options)
        stack.enter_context(asker)
        if not options.model:
            asker.use_offered_model()
        return asker, None
    if Path(text).exists() or text.endswith(".gguf"):
        from tidegate.validation.file_asker import FileAsker

        return FileAsker(text, max_tokens=options.max_tokens), None
    try:
        ref = ServiceRef.parse(text)
    except InvalidInput:
        raise InvalidInput(
            f"'{text[:120]}' is no URL, no file and no service.",
            remedy="Write http://HOST:PORT/v1, ORGANIZATION/SERVICE, or the path of a GGUF file.",
            field=option,
        ) from None
    return stack.enter_context(_service(ref, options)), ref


def _endpoint(
    asker: "type[EndpointAsker]", url: str, key: Secret, model: str, options: AskOptions, **more: Any
) -> "EndpointAsker":
    return asker(
        url, key, model, max_tokens=options.max_tokens, seed=options.seed, timeout_s=options.timeout_s, **more
    )


def _service(ref: ServiceRef, options: AskOptions) -> "EndpointAsker":
    """The live set, pinned: a release that begins meanwhile must not mix two models into one result."""
    from tidegate import wiring
    from tidegate.quality import EndpointAsker
    from tidegate.steps.evaluation import live_set
    from tidegate.steps.targets import PIN_HEADER, probe_key, service_url

    ports = wiring.load()
    ports.service(ref)
    name, digest = live_set(ports, ref)
    pin = {PIN_HEADER: name}
    return _endpoint(EndpointAsker, service_url(ports, ref), probe_key(ports), digest, options, headers=pin)


def _store(ref: ServiceRef | None, served: "Served") -> "AnswerStore":
    """Where a release of the service keeps them too; of anything else, a folder that no organization has."""
    from tidegate.quality.cache import AnswerStore
    from tidegate.settings import load_settings

    folder = load_settings().home / "answers"
    return AnswerStore(folder / ref.org / ref.service if ref else folder / "_local", served)


def base_url(text: str, option: str = "TARGET") -> str:
    """What `/chat/completions` is appended to. A bare host gets `/v1`.

    Raises: InvalidInput, also for a URL that holds what every user of this machine could read in its process list.
    """
    how = "Write it as http://HOST:PORT/v1."
    try:
        parts = urlsplit(text.strip())
        is_usable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        raise InvalidInput("This URL cannot be read.", remedy=how, field=option) from None
    if not is_usable:
        raise InvalidInput("This is no URL of HTTP.", remedy=how, field=option)
    if parts.username or parts.password or parts.query or parts.fragment:
        raise InvalidInput(
            "The URL holds a user, a password or a query, which everyone who lists processes can see.",
            remedy="Leave them out; give a key with --key-env or --key-file.",
            field=option,
        )
    path = parts.path.rstrip("/").removesuffix(ENDING)
    return f"{parts.scheme}://{parts.netloc}{path or '/v1'}"


def read_key(key_env: str, key_file: Path | None, option: str = "--key-env") -> Secret:
    """From a variable or a file, never from the command line. Raises: InvalidInput."""
    if key_env and key_file is not None:
        raise InvalidInput("A key is named twice.", remedy="Give a variable or a file.", field=option)
    if key_env:
        value = os.environ.get(key_env, "")
        # Whoever writes the key itself here must not read it in the error, or in a log of it.
        shown = key_env if re.fullmatch(r"[A-Z][A-Z0-9_]{1,60}", key_env) else "that is named"
        why = f"The variable {shown} is not set."
    elif key_file is not None:
        try:
            value = key_file.read_text(encoding="utf-8")[:KEY_BYTES].strip()
        except (OSError, UnicodeDecodeError) as error:
            raise InvalidInput(
                f"{key_file} cannot be read ({type(error).__name__}).",
                remedy="Name a file that holds the key alone.",
                field=option,
            ) from error
        why = f"{key_file} holds no key."
    else:
        return Secret("")
    if not value or not value.isascii() or not value.isprintable() or " " in value:
        raise InvalidInput(why, remedy="A key is one word of printable characters.", field=option)
    return Secret(value)


def refuse_same(first: Target, second: Target) -> None:
    """Two names of one model compare nothing. Raises: Refused."""
    if first.served.digest is not None and first.served.digest == second.served.digest:
        raise Refused(
            "Both targets serve the same file: there is nothing to compare.",
            remedy="Name two models; to see how much one differs from itself, use: tidegate quality run --repeat 2.",
            field="CANDIDATE",
        )
