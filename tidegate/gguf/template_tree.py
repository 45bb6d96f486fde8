"""The syntax tree of a chat template, walked once: nodes in reading order, their parents, the branches around them.

Every later check asks this one object, so that the whole analysis is linear in the tree and counts its own work.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

from jinja2 import nodes

from tidegate.gguf.findings import Severity

# The largest of several hundred published templates has 2,019 nodes and is 28 deep.
MOST_NODES = 20_000
DEEPEST = 150
MOST_WORK = 400_000

AnyNode = TypeVar("AnyNode", bound=nodes.Node)


class TooLarge(Exception):
    """The template is too large, too deep or too intricate to be judged."""


@dataclass(frozen=True, slots=True)
class Found:
    """One thing that is wrong with a template, before it becomes a finding of the file."""

    check: str
    message: str
    line: int = 0
    severity: Severity | None = None


class Tree:
    """A parsed template. Raises `TooLarge` instead of working without end."""

    def __init__(self, root: nodes.Template):
        self.root = root
        self.nodes: list[nodes.Node] = []
        self.work = 0
        self._parents: dict[int, nodes.Node] = {}
        self._by_type: dict[type[nodes.Node], list[nodes.Node]] = {}
        waiting: list[tuple[nodes.Node, int]] = [(root, 0)]
        while waiting:
            node, depth = waiting.pop()
            if len(self.nodes) >= MOST_NODES or depth > DEEPEST:
                raise TooLarge(f"It has more than {MOST_NODES} parts or is nested more than {DEEPEST} deep.")
            self.nodes.append(node)
            self._by_type.setdefault(type(node), []).append(node)
            children = list(node.iter_child_nodes())
            for child in children:
                self._parents[id(child)] = node
            waiting += [(child, depth + 1) for child in reversed(children)]

    def spend(self, steps: int = 1) -> None:
        """Count work; a template made to be slow to judge is refused instead."""
        self.work += steps
        if self.work > MOST_WORK:
            raise TooLarge("Judging it would take too long.")

    def of(self, kind: type[AnyNode]) -> list[AnyNode]:
        """All nodes of exactly this class, in reading order."""
        return [node for node in self._by_type.get(kind, ()) if isinstance(node, kind)]

    def parent(self, node: nodes.Node) -> nodes.Node | None:
        return self._parents.get(id(node))

    def around(self, node: nodes.Node) -> Iterator[tuple[nodes.Node, nodes.Node]]:
        """Pairs of an enclosing node and the child of it on the way down, from the inside out."""
        child, parent = node, self.parent(node)
        while parent is not None:
            yield parent, child
            child, parent = parent, self.parent(parent)

    def under(self, node: nodes.Node) -> Iterator[nodes.Node]:
        """The node and everything in it."""
        waiting = [node]
        while waiting:
            self.spend()
            one = waiting.pop()
            yield one
            waiting += list(one.iter_child_nodes())[::-1]
