"""The ledger has every method of the ports, with the same parameters."""

import inspect

import pytest

from tidegate.ledger import Ledger
from tidegate.release.ports import Journal, Registry, Router

METHODS = [
    (port, name)
    for port in (Journal, Registry, Router)
    for name, member in vars(port).items()
    if inspect.isfunction(member) and not name.startswith("_")
]


@pytest.mark.parametrize(("port", "name"), METHODS, ids=[f"{port.__name__}.{name}" for port, name in METHODS])
def test_a_method_of_a_port_is_offered_as_declared(port, name):
    offered, declared = inspect.signature(getattr(Ledger, name)), inspect.signature(getattr(port, name))
    assert offered == declared
