"""Runs one check of another package: `python -m tidegate.validation.plugin_child`. The context comes on stdin."""

import json
import os
import sys
from importlib.metadata import entry_points

from tidegate.validation.checks import GROUP, Check, CheckContext
from tidegate.validation.confinement import Message, confine, limits_from_argv, say

LONGEST_TEXT = 300


def main(argv: list[str]) -> int:
    """Write what the check found, or why it found nothing."""
    limits, request = limits_from_argv(argv)
    output = os.dup(1)
    # Whatever the check prints must not reach the parent as a message.
    os.dup2(2, 1)
    confine(limits)
    content: Message = json.loads(sys.stdin.buffer.read())
    result = _run(request["name"], request["categories"], content)
    os.dup2(output, 1)
    say(result)
    return 0


def _run(name: str, categories: list[str], content: Message) -> Message:
    found = [entry for entry in entry_points(group=GROUP) if entry.name == name]
    if not found:
        return {"problem": "it is not installed here"}
    if len(found) > 1:
        return {"problem": f"{len(found)} packages bring a check of this name"}
    try:
        check: Check = found[0].load()()
        declared = {"id": str(check.id), "category": str(check.category.value)}
        if declared["category"] not in categories or content["profile"] not in check.profiles:
            return {**declared, "skipped": True}
        results = check.run(CheckContext.model_validate(content))
        return {**declared, "results": [json.loads(result.model_dump_json()) for result in results]}
    except Exception as error:  # noqa: BLE001 - whatever foreign code raises is its result
        return {"problem": f"it raised {type(error).__name__}: {error}"[:LONGEST_TEXT]}


if __name__ == "__main__":
    sys.exit(main(sys.argv))
