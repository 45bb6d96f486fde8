"""The figures that an engine tells about itself, from its page of metrics. Pure."""

ENGINE_PREFIX = "llamacpp:"


def parse_metrics(page: str) -> dict[str, float]:
    """Names without the engine's prefix; lines that are no plain figure are left out."""
    found: dict[str, float] = {}
    for line in page.splitlines():
        name, _, value = line.partition(" ")
        if not name.startswith(ENGINE_PREFIX):
            continue
        try:
            found[name.removeprefix(ENGINE_PREFIX)] = float(value)
        except ValueError:
            continue
    return found
