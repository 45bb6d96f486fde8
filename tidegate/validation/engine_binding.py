"""The low-level calls of llama.cpp from Python, without the rest of the package that brings them."""

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

PACKAGE = "llama_cpp"


def engine_binding() -> ModuleType:
    """The module with the calls alone: the package's own start loads chat formats, caches and numpy with it, which
    takes four times as long as all that the plan of an allocation needs.

    To be called in a process of its own: what imports the package later finds it without its usual names.

    Raises: ImportError when the engine is not installed.
    """
    spec = find_spec(PACKAGE)
    if spec is None or spec.submodule_search_locations is None:
        raise ImportError(f"there is no package {PACKAGE}")
    package = ModuleType(PACKAGE)
    package.__spec__, package.__path__ = spec, list(spec.submodule_search_locations)
    sys.modules.setdefault(PACKAGE, package)
    return import_module(f"{PACKAGE}.llama_cpp")
