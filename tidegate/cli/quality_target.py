"""Whom `tidegate quality` asks: an OpenAI-compatible URL, a service of this installation, or a model file."""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidegate.cli.endpoint_access import base_url
from tidegate.domain import InvalidInput, Refused, Secret, ServiceRef, Transient

if TYPE_CHECKING:
    from tidegate.quality import EndpointAsker
    from tidegate.quality.cache import AnswerStore
    from tidegate.quality.source import Served, Source

KEY_REFUSED = ("HTTP 401", "HTTP 403")
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


def refuse_same(first: Target, second: Target) -> None:
    """Two names of one model compare nothing. Raises: Refused."""
    if first.served.digest is not None and first.served.digest == second.served.digest:
        raise Refused(
            "Both targets serve the same file: there is nothing to compare.",
            remedy="Name two models; to see how much one differs from itself, use: tidegate quality run --repeat 2.",
            field="CANDIDATE",
        )
