"""How an entry of the bank is written."""

from typing import Any

Entry = dict[str, Any]


def entry(
    name: str,
    topic: str,
    prompt: str,
    reference: str,
    *,
    scorers: list[dict[str, Any]],
    expect: Any = None,
    tags: tuple[str, ...] = (),
    cluster: str = "",
    **more: Any,
) -> Entry:
    """One question. `reference` is an answer that is right: tests score it."""
    made: Entry = {"id": name, "topic": topic, "prompt": prompt}
    if expect is not None:
        made["expect"] = expect
    made["scorers"] = scorers
    made |= more
    if cluster:
        made["cluster"] = cluster
    made["tags"] = [topic, *tags]
    made["metadata"] = {"reference": reference}
    return made


def number(
    name: str,
    topic: str,
    prompt: str,
    value: float | int,
    *,
    tags: tuple[str, ...] = (),
    cluster: str = "",
    **options: Any,
) -> Entry:
    """A question whose answer is one number."""
    told = f"{value:g}" if isinstance(value, float) else str(value)
    return entry(
        name,
        topic,
        f"{prompt} Answer with the number only.",
        told,
        expect=value,
        scorers=[{"name": "numeric", **({"options": options} if options else {})}],
        tags=tags,
        cluster=cluster,
        max_tokens=48,
    )


def word(
    name: str,
    topic: str,
    prompt: str,
    accepted: str | list[str],
    *,
    tags: tuple[str, ...] = (),
    cluster: str = "",
) -> Entry:
    """A question whose answer is a word or short phrase."""
    first = accepted if isinstance(accepted, str) else accepted[0]
    return entry(
        name,
        topic,
        prompt,
        first,
        expect=accepted,
        scorers=[{"name": "contains", "options": {"whole_words": True}}],
        tags=tags,
        cluster=cluster,
        max_tokens=48,
    )
