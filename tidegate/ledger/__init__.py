"""The database behind everything: versions, releases, journal, evidence, sets, routes. Import `Ledger` from here.

Naming `Ledger` loads SQLAlchemy, importing this package does not: a command that needs no database stays fast.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tidegate.ledger.ledger import Ledger

__all__ = ["Ledger"]


def __getattr__(name: str) -> Any:
    if name != "Ledger":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from tidegate.ledger.ledger import Ledger

    return Ledger
